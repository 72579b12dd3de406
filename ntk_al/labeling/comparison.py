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


class TooFewError(ValueError):
    """Raised if there are too few labels for a comparison."""


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

    The audit labels, a random sample, are split into ``FOLDS`` parts. For each part, one network is
    trained on the other parts and another one on equally many chosen labels, of which another part
    is left out each time; both are tested on the part. The interval is that of the resampled t-test
    with the variance of Nadeau and Bengio (2003, *Inference for the generalization error*), because
    the labels of any two trainings overlap.

    Args:
      train: trains a network.
      x_chosen: inputs in the order in which they were labeled, ``[L, ...]``.
      y_chosen: their class ids, ``[L]``.
      x_audit: inputs of the audit, ``[M, ...]``.
      y_audit: their class ids, ``[M]``.
      seed: of the parts.

    Raises:
      TypeError: if ``train`` is not a function, or returns no network.
      TooFewError: if there are too few labels.
    """
    if not callable(train):
        raise TypeError(f"train must be a function of inputs and class ids, got {train!r}")
    num = len(y_audit)
    if num < LEAST:
        raise TooFewError(f"random labels are compared on {LEAST} audit labels or more, not {num}")
    if len(y_chosen) < FOLDS:
        raise TooFewError(f"a comparison needs {FOLDS} chosen labels or more, not {len(y_chosen)}")
    rng = np.random.default_rng([seed, num])
    parts = np.array_split(rng.permutation(num), FOLDS)
    num_random = num - max(len(part) for part in parts)
    num_chosen = len(y_chosen) - -(-len(y_chosen) // FOLDS)
    size = min(num_random, num_chosen)
    first = -(-size * FOLDS // (FOLDS - 1))  # so many that without a part ``size`` are left
    chosen_parts = np.array_split(rng.permutation(min(first, len(y_chosen))), FOLDS)
    chosen, random = np.empty(num, bool), np.empty(num, bool)
    for part, left_out in zip(parts, chosen_parts, strict=True):
        others = rng.permutation(np.setdiff1d(np.arange(num), part))[:size]
        random[part] = _correct(train, x_audit[others], y_audit[others], x_audit, y_audit, part)
        kept = np.setdiff1d(np.arange(min(first, len(y_chosen))), left_out)[:size]
        chosen[part] = _correct(train, x_chosen[kept], y_chosen[kept], x_audit, y_audit, part)

    by_part = np.array([chosen[part].mean() - random[part].mean() for part in parts])
    low, high = _interval(by_part)
    saved = None
    if low > 0:
        every = np.arange(num)
        for labels in sorted({max(1, round(share * size)) for share in _SHARES} - {size}):
            x, y = x_chosen[:labels], y_chosen[:labels]
            if _correct(train, x, y, x_audit, y_audit, every).mean() >= random.mean():
                saved = size - labels
                break
    difference = float(by_part.mean())
    return Comparison(size, Rate.of(chosen), Rate.of(random), difference, low, high, saved)


def correct(network: Network, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Returns for each example whether the network predicts its class, ``[N]``."""
    return np.asarray(network.predict(x)).argmax(1) == y


def _correct(
    train: Train,
    x: np.ndarray,
    y: np.ndarray,
    x_audit: np.ndarray,
    y_audit: np.ndarray,
    rows: np.ndarray,
) -> np.ndarray:
    network = train(x, y)
    if not isinstance(network, Network):
        raise TypeError(
            f"train must return an ntk_al.Network, got {type(network).__name__}; training.fit "
            "returns the network and its loss"
        )
    return correct(network, x_audit[rows], y_audit[rows])


def _interval(differences: np.ndarray) -> tuple[float, float]:
    """The 95 % interval of the mean of differences in accuracy, one for each part."""
    from scipy import stats  # a second that `import ntk_al` need not take

    num = len(differences)
    variance = (1 / num + 1 / (num - 1)) * differences.var(ddof=1)
    reach = stats.t.ppf(0.975, num - 1) * np.sqrt(variance)
    return float(differences.mean() - reach), float(differences.mean() + reach)
