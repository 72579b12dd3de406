"""Look-ahead for scikit-activeml: a classifier of networks and a query strategy."""

from ntk_al._utils import extras

with extras.needed("this adapter needs", "scikit-activeml", extra="skactiveml"):
    import skactiveml as _  # noqa: F401

from ntk_al.adapters.skactiveml.classifier import NetworkClassifier
from ntk_al.adapters.skactiveml.sampling import LookAheadSampling

__all__ = ["LookAheadSampling", "NetworkClassifier"]
