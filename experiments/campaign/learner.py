"""The network that the commands train: small, from this package, on the labels of a campaign."""

from __future__ import annotations

import dataclasses

import jax
import numpy as np

from ntk_al import Network, models, training
from ntk_al.training import TrainingConfig

AUTO = "auto"


@dataclasses.dataclass(frozen=True)
class Learner:
    """What is trained, and how.

    Attributes:
      num_classes: C.
      model: a key of ``models.MODELS``; ``"auto"`` is a small convolutional network for images and
        a perceptron for everything else.
      width: of the model, or ``None`` for its own default.
      epochs: of the training.
      learning_rate: of the training.
      augmentation: a key of ``training.AUGMENTATIONS``.

    Raises:
      ValueError: if a name is unknown or a number is out of range.
    """

    num_classes: int
    model: str = AUTO
    width: int | None = None
    epochs: int = 100
    learning_rate: float = 0.1
    augmentation: str = "none"

    def __post_init__(self) -> None:
        if self.model != AUTO:
            models.build(self.model, self.num_classes, width=self.width)
        self.config()

    def config(self) -> TrainingConfig:
        """Returns the settings of training."""
        return TrainingConfig(
            epochs=self.epochs,
            batch_size=16,
            learning_rate=self.learning_rate,
            augmentation=self.augmentation,
        )

    def train(self, x: np.ndarray, y: np.ndarray) -> Network:
        """Trains from scratch; the same labels give the same network."""
        name = self.model
        if name == AUTO:
            name = "convnet" if x.ndim == 4 else "mlp"
        module = models.build(name, self.num_classes, width=self.width)
        network = training.initialize(jax.random.key(0), module, x)
        return training.fit(jax.random.key(1), network, x, y, self.config())[0]
