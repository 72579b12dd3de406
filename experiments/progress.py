"""What the person who waits sees: one bar, what it is busy with, and a line for each cycle."""

from __future__ import annotations

from typing import Any

from tqdm import tqdm

from .config import Config


class Progress:
    """A progress bar over the cycles of all strategies."""

    def __init__(self, config: Config) -> None:
        self._config = config
        # miniters=0: the text beside the bar is refreshed though no cycle was completed.
        self._bar = tqdm(
            total=len(config.strategy) * config.cycles, unit="cycle", miniters=0, dynamic_ncols=True
        )

    def cycle(self, strategy: str, cycle: int) -> None:
        """A cycle begins."""
        self._bar.set_description_str(f"{strategy}, cycle {cycle + 1}/{self._config.cycles}")

    def stage(self, text: str) -> None:
        """What the cycle is busy with now."""
        self._bar.set_postfix_str(text, refresh=False)
        self._bar.update(0)

    def epoch(self, epoch: int, loss: float) -> None:
        """An epoch of training ended."""
        self.stage(f"epoch {epoch + 1}/{self._config.epochs}, loss {loss:.3f}")

    def done(self, record: dict[str, Any]) -> None:
        """A cycle ended, with this record."""
        self._bar.write(
            f"{record['strategy']:>16}  cycle {record['cycle'] + 1:>2}  "
            f"{record['num_labeled']:>6} labels  accuracy {record['test_accuracy']:6.2%}  "
            f"trained {record['train_seconds']:6.1f} s  queried {record['query_seconds']:6.1f} s"
        )
        self._bar.update()

    def close(self) -> None:
        """Leaves the bar as it is."""
        self._bar.close()
