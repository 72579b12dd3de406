"""``NetworkClassifier``: a network of any JAX library as a classifier of scikit-activeml."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from skactiveml.base import SkactivemlClassifier
from skactiveml.utils import MISSING_LABEL, is_labeled
from sklearn.utils.validation import check_array, check_is_fitted

from ntk_al import lookahead, models, training
from ntk_al.network import Network, Predictive

Train = Callable[[jax.Array, np.ndarray, np.ndarray, int], Network]
"""A function from a PRNG key, inputs ``[L, ...]``, class ids ``[L]`` and C to a trained network."""


def train_mlp(key: jax.Array, x: np.ndarray, y: np.ndarray, num_classes: int) -> Network:
    """Trains a small perceptron with the squared loss; inputs should be standardized."""
    first, second = jax.random.split(key)
    network = training.initialize(first, models.MLP(num_classes, width=64), x)
    config = training.TrainingConfig(epochs=100, batch_size=16, learning_rate=0.05)
    return training.fit(second, network, x, y, config)[0]


class NetworkClassifier(SkactivemlClassifier):
    """A classifier that trains a network, for ``LookAheadSampling`` and for every other strategy.

    Without any label, or with labels of a single class and no ``classes``, there is no network, and
    all classes are equally likely.

    Args:
      train: trains a network, ``train(key, x, y, num_classes)``, on class ids from 0; ``None`` is a
        small perceptron.
      classes: the labels of all classes; ``None`` takes those that occur.
      missing_label: what stands for a missing label.
      cost_matrix: see ``SkactivemlClassifier``.
      random_state: decides the key of the training.

    Attributes:
      fitted_: after ``fit``, the trained network and p(y | x) as a function of its outputs, or
        twice ``None``.
      example_shape_: the shape of an example.
    """

    fitted_: tuple[Network | None, Predictive | None]
    example_shape_: tuple[int, ...]

    def __init__(
        self,
        train: Train | None = None,
        classes: Any = None,
        missing_label: Any = MISSING_LABEL,
        cost_matrix: Any = None,
        random_state: Any = None,
    ) -> None:
        super().__init__(
            classes=classes,
            missing_label=missing_label,
            cost_matrix=cost_matrix,
            random_state=random_state,
        )
        self.train = train

    def fit(self, X: Any, y: Any) -> NetworkClassifier:
        """Trains a network on the examples that have a label.

        Args:
          X: examples, ``[N, ...]``; those without a label calibrate the probabilities.
          y: labels, ``[N]``, some of which may be missing.

        Raises:
          TypeError: if ``train`` is not a function, or does not return a ``Network``.
          ValueError: if shapes do not match, or no class is known.
        """
        if self.train is not None and not callable(self.train):
            raise TypeError(f"train must be a function, got {self.train!r}")
        shapes = {"allow_nd": True, "ensure_min_samples": 0, "ensure_min_features": 0}
        x, ids, _ = self._validate_data(X, y, check_X_dict=shapes)
        known = is_labeled(ids, missing_label=-1)
        self.fitted_ = None, None
        self.example_shape_ = x.shape[1:]
        if known.any() and len(self.classes_) > 1:
            train = train_mlp if self.train is None else self.train
            key = jax.random.key(int(self.random_state_.randint(2**31 - 1)))
            labels = ids[known].astype(np.int32)
            network = train(key, x[known], labels, len(self.classes_))
            if not isinstance(network, Network):
                raise TypeError(f"train must return a Network, got {type(network).__name__}")
            pool = x if known.all() else x[~known]
            predictive = lookahead.predictive(network, x[known], labels, pool)
            temperature = float(np.asarray(predictive.temperature))
            self.fitted_ = network, Predictive(temperature)
        return self

    @property
    def network_(self) -> Network | None:
        """The trained network, or ``None``."""
        check_is_fitted(self, "fitted_")
        return self.fitted_[0]

    def predict_proba(self, X: Any) -> np.ndarray:
        """Returns the class probabilities, ``[N, C]``, in the order of ``classes_``.

        Args:
          X: examples, ``[N, ...]``.

        Raises:
          ValueError: if their shape is another one than in ``fit``.
        """
        check_is_fitted(self, "fitted_")
        x = check_array(X, allow_nd=True)
        expected = self.example_shape_
        if expected and x.shape[1:] != expected:
            raise ValueError(f"X has features of shape {x.shape[1:]}, but was fitted on {expected}")
        network, predictive = self.fitted_
        if network is None or predictive is None:
            return np.full((len(x), len(self.classes_)), 1 / len(self.classes_))
        outputs = np.asarray(network.predict(x), np.float64)
        return np.asarray(predictive.probabilities(outputs))

    def encoded(self, y: np.ndarray) -> np.ndarray:
        """Returns labels of known classes as class ids, ``[N]``."""
        check_is_fitted(self, "fitted_")
        return np.asarray(self._le.transform(y), np.int32)
