"""The progress of a run on the terminal: a bar, the current stage, and a line for each cycle."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from typing import Any

from tqdm import tqdm

from .config import Config


class Progress:
    """A progress bar over the cycles of all strategies."""

    def __init__(self, config: Config) -> None:
        self._config = config
        # miniters=0 refreshes the text next to the bar even if no cycle was completed.
        self._bar = tqdm(
            total=len(config.strategy) * config.cycles, unit="cycle", miniters=0, dynamic_ncols=True
        )

    def cycle(self, strategy: str, cycle: int) -> None:
        """Shows that a cycle begins."""
        self._bar.set_description_str(f"{strategy}, cycle {cycle + 1}/{self._config.cycles}")

    def stage(self, text: str) -> None:
        """Shows the current stage of the cycle."""
        self._bar.set_postfix_str(text, refresh=False)
        self._bar.update(0)

    def epoch(self, epoch: int, loss: float) -> None:
        """Shows that an epoch of training has ended with this mean loss."""
        self.stage(f"epoch {epoch + 1}/{self._config.epochs}, loss {loss:.3f}")

    @contextlib.contextmanager
    def warnings(self) -> Iterator[None]:
        """Writes each user warning of a block once, as a line above the bar."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", UserWarning)
            try:
                yield
            finally:
                for text in dict.fromkeys(str(w.message) for w in caught):
                    self._bar.write(f"warning: {text}")

    def done(self, record: dict[str, Any]) -> None:
        """Writes a line for a cycle that has ended."""
        self._bar.write(
            f"{record['strategy']:>16}  cycle {record['cycle'] + 1:>2}  "
            f"{record['num_labeled']:>6} labels  accuracy {record['test_accuracy']:6.2%}  "
            f"trained {record['train_seconds']:6.1f} s  queried {record['query_seconds']:6.1f} s"
        )
        self._bar.update()

    def close(self) -> None:
        """Closes the bar and leaves it on the screen."""
        self._bar.close()
