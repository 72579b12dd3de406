"""Training a network on labeled examples with optax."""

from ntk_al.training.augmentation import AUGMENTATIONS
from ntk_al.training.export import to_equinox, to_nnx
from ntk_al.training.fit import DivergedError, TrainingConfig, accuracy, fit, initialize
from ntk_al.training.losses import LOSSES, Ranking

__all__ = [
    "AUGMENTATIONS",
    "LOSSES",
    "DivergedError",
    "Ranking",
    "TrainingConfig",
    "accuracy",
    "fit",
    "initialize",
    "to_equinox",
    "to_nnx",
]
