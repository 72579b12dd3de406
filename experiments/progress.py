"""The progress of a run on the terminal: a bar, the current stage, and a line for each cycle."""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Iterator
from typing import Any, TextIO

from tqdm import tqdm

from .config import Config


class Progress:
    """A progress bar over the cycles of all strategies, of which some may have been done before."""

    def __init__(self, config: Config, done: int = 0) -> None:
        self._config = config
        # miniters=0 refreshes the text next to the bar even if no cycle was completed.
        self._bar = tqdm(
            initial=done,
            total=len(config.strategy) * config.cycles,
            unit="cycle",
            miniters=0,
            dynamic_ncols=True,
            disable=None,  # no bar in a file
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
        show, line_of, said = warnings.showwarning, warnings.formatwarning, set()

        def show_once(
            message: Warning | str,
            category: type[Warning],
            filename: str,
            lineno: int,
            file: TextIO | None = None,
            line: str | None = None,
        ) -> None:
            if str(message) in said:
                return
            said.add(str(message))
            with tqdm.external_write_mode(sys.stdout):
                show(message, category, filename, lineno, sys.stdout)

        with warnings.catch_warnings():
            warnings.simplefilter("always", UserWarning)
            warnings.showwarning, warnings.formatwarning = show_once, as_line
            try:
                yield
            finally:
                warnings.formatwarning = line_of

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


def as_line(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    line: str | None = None,
) -> str:
    """Formats a warning without the place in the code that it comes from."""
    del category, filename, lineno, line
    return f"warning: {message}\n"
