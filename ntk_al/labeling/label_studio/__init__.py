"""Label Studio: examples go there in order of priority, and labels come back by their ids."""

from ntk_al.labeling.label_studio.client import connect
from ntk_al.labeling.label_studio.exchange import Pulled, Pushed, pull, push
from ntk_al.labeling.label_studio.projects import find, find_or_create

__all__ = ["Pulled", "Pushed", "connect", "find", "find_or_create", "pull", "push"]
