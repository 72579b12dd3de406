"""The one-cycle schedule of the learning rate, for any number of steps without compilation."""

from __future__ import annotations

import numpy as np

_SHARE_OF_RISE = 0.3
_START = 1 / 25  # of the peak
_END = 1e-4  # of the start


def one_cycle(num_steps: int, peak: float) -> np.ndarray:
    """Computes what ``optax.cosine_onecycle_schedule`` does, on the host.

    The labeled set grows from cycle to cycle, and with it the number of steps. JAX would compile
    the schedule anew for each of them.

    Args:
      num_steps: the number of steps.
      peak: the largest learning rate.

    Returns:
      The learning rate of each step, ``[num_steps]``, in float32.
    """
    steps, top = np.arange(num_steps), int(_SHARE_OF_RISE * num_steps)
    start, end = peak * _START, peak * _START * _END
    rise = _cosine(steps / max(top, 1), start, peak)
    fall = _cosine((steps - top) / max(num_steps - top, 1), peak, end)
    return np.where(steps < top, rise, fall).astype(np.float32)


def _cosine(progress: np.ndarray, first: float, last: float) -> np.ndarray:
    return first + (last - first) * (1 - np.cos(np.pi * np.clip(progress, 0, 1))) / 2
