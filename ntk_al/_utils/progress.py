"""A progress bar with the time left, for work that turns out to take long."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

import jax
from tqdm.auto import tqdm

from ntk_al._utils import checks

DELAY = 10.0
"""Seconds after which a bar appears."""

Advance = Callable[..., None]
"""Called with an array after each part of the work that ends in it."""


@contextlib.contextmanager
def shown(text: str, total: int) -> Iterator[Advance]:
    """Shows how much of some work is done, if it takes more than ``DELAY`` seconds.

    The bar is for terminals and notebooks; nothing is written into files and pipes.

    Args:
      text: what is done.
      total: the number of parts.

    Yields:
      A function to call after each part. JAX returns before it has computed, so while a bar is
      visible, each call waits for the array that it is given.
    """
    start = time.monotonic()
    with tqdm(
        desc=text, total=total, delay=DELAY, disable=None, leave=False, dynamic_ncols=True
    ) as bar:

        def advance(result: object = None) -> None:
            if bar.disable:
                return
            if time.monotonic() - start > DELAY and not checks.is_traced(result):
                jax.block_until_ready(result)
            bar.update()

        yield advance
