"""Comparisons of strategies that share their seeds, by the tests of scipy and statsmodels."""

from .area import area_under_curve
from .blocks import UNITS
from .comparison import PairedDifference, paired_difference, wilcoxon
from .curves import Curves
from .intervals import Interval, mean_interval
from .penalty import PenaltyMatrix, penalty_matrix
from .power import detectable_difference, seeds_needed
from .ranks import Friedman, friedman
from .savings import LabelsSaved, labels_saved
from .tables import Row, Table, table

__all__ = [
    "UNITS",
    "Curves",
    "Friedman",
    "Interval",
    "LabelsSaved",
    "PairedDifference",
    "PenaltyMatrix",
    "Row",
    "Table",
    "area_under_curve",
    "detectable_difference",
    "friedman",
    "labels_saved",
    "mean_interval",
    "paired_difference",
    "penalty_matrix",
    "seeds_needed",
    "table",
    "wilcoxon",
]
