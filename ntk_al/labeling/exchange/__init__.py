"""Files by which campaigns and other programs exchange examples and labels."""

from ntk_al.labeling.exchange.exports import EXPORTS, export
from ntk_al.labeling.exchange.queues import Imported, read_answers, write_queue

__all__ = ["EXPORTS", "Imported", "export", "read_answers", "write_queue"]
