"""Whether chosen labels are better than random ones: the audit labels are a random sample."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ntk_al.labeling.report import Comparison, Rate
from ntk_al.network import Network

Train = Callable[[np.ndarray, np.ndarray], Network]
"""A function from inputs ``[L, ...]`` and class ids ``[L]`` to a trained network."""

FOLDS = 5
LEAST = 20
"""So many audit labels are needed."""

_SHARES = (0.25, 0.5, 0.75)
_DRAWS = 2000


def compare(
    train: Train,
    x_chosen: np.ndarray,
    y_chosen: np.ndarray,
    x_audit: np.ndarray,
    y_audit: np.ndarray,
    *,
    seed: int,
) -> Comparison:
    """Compares chosen labels with random ones of the same number, on examples that neither has.

    The audit labels are split into ``FOLDS`` parts. For each part, one network is trained on the
    other parts, which are random labels, and tested on it; another one is trained on equally many
    of the chosen labels, the first ones, and tested on all audit labels. Differences of single
    examples are resampled for the interval, so that it holds for these networks; it does not
    include how networks vary from one training to the next.

    Args:
      train: trains a network.
      x_chosen: inputs in the order in which they were labeled, ``[L, ...]``.
      y_chosen: their class ids, ``[L]``.
      x_audit: inputs of the audit, ``[M, ...]``.
      y_audit: their class ids, ``[M]``.
      seed: of the folds and of the resampling.

    Raises:
      ValueError: if there are too few labels.
    """
    num = len(y_audit)
    if num < LEAST:
        raise ValueError(
            f"random labels are compared on audit labels, of which there must be {LEAST}, not "
            f"{num}: label more of them, next(0, audit={LEAST - num})"
        )
    rng = np.random.default_rng([seed, num])
    parts = np.array_split(rng.permutation(num), FOLDS)
    size = min(num - max(len(part) for part in parts), len(y_chosen))
    if size < 1:
        raise ValueError("there are no chosen labels yet")
    random = np.empty(num, bool)
    for part in parts:
        others = np.setdiff1d(np.arange(num), part)
        kept = rng.permutation(others)[:size]
        network = train(x_audit[kept], y_audit[kept])
        random[part] = correct(network, x_audit[part], y_audit[part])

    def after(labels: int) -> np.ndarray:
        return correct(train(x_chosen[:labels], y_chosen[:labels]), x_audit, y_audit)

    chosen = after(size)
    differences = chosen.astype(float) - random
    low, high = _interval(rng, differences)
    saved = None
    for labels in sorted({max(1, round(share * size)) for share in _SHARES} - {size}):
        if after(labels).mean() >= random.mean():
            saved = size - labels
            break
    if saved is None and chosen.mean() >= random.mean():
        saved = 0
    return Comparison(
        size, Rate.of(chosen), Rate.of(random), float(differences.mean()), low, high, saved
    )


def correct(network: Network, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Returns for each example whether the network predicts its class, ``[N]``."""
    return np.asarray(network.predict(x)).argmax(1) == y


def _interval(rng: np.random.Generator, differences: np.ndarray) -> tuple[float, float]:
    """The 95 % interval of a mean by the percentiles of resampled means."""
    rows = rng.integers(0, len(differences), (_DRAWS, len(differences)))
    low, high = np.quantile(differences[rows].mean(1), (0.025, 0.975))
    return float(low), float(high)
