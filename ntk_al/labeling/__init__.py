"""Labeling campaigns: people label what a strategy proposes, and every label is on disk."""

from ntk_al.labeling.campaign import Campaign
from ntk_al.labeling.comparison import Train
from ntk_al.labeling.exchange import export, read_answers, write_queue
from ntk_al.labeling.reading import Recorded, read, recorded
from ntk_al.labeling.report import Comparison, Rate, Report
from ntk_al.labeling.sources import ArrayRecord, ImageFolder, Source, Standardized, Table

__all__ = [
    "ArrayRecord",
    "Campaign",
    "Comparison",
    "ImageFolder",
    "Rate",
    "Recorded",
    "Report",
    "Source",
    "Standardized",
    "Table",
    "Train",
    "export",
    "read",
    "read_answers",
    "recorded",
    "write_queue",
]
