"""Look-ahead active learning with neural tangent kernels, in pure JAX.

    from ntk_al import Network, lookahead
    scores = lookahead.score(Network(module, variables), x_labeled, y_labeled, x_pool)

``ntk_al.types`` explains the notation that all docstrings use. Importing this package imports
neither TensorFlow nor neural-tangents.
"""

from ntk_al import (
    acquisition,
    data,
    kernels,
    labeling,
    lookahead,
    models,
    posterior,
    training,
)
from ntk_al._version import __version__
from ntk_al.acquisition import Pool
from ntk_al.network import Network

__all__ = [
    "Network",
    "Pool",
    "__version__",
    "acquisition",
    "data",
    "kernels",
    "labeling",
    "lookahead",
    "models",
    "posterior",
    "training",
]
