"""Redraws the published figures from the raw results that came with the code.

python -m experiments.figures.published [--to=FOLDER]
"""

from __future__ import annotations

import dataclasses
import pathlib
import sys
from collections.abc import Sequence

from ntk_al._utils import extras

try:
    with extras.needed("figures need", "absl-py, matplotlib and statsmodels", extra="experiments"):
        import matplotlib
        from absl import app, flags

        from .__main__ import draw
except extras.MissingExtraError as error:
    sys.exit(f"error: {error}")

_ROOT = pathlib.Path(__file__).absolute().parents[1]
RESULTS = _ROOT / "results"
_BENCHMARKS = _ROOT / "benchmarks" / "results"
PICTURES = _ROOT.parent / "docs" / "figures"
"""Where the published figures are."""

BEST = "mlmoc, sequential, ridge 0.1"
"""The form of MLMOC that is recommended, which tables compare with all others."""


@dataclasses.dataclass(frozen=True)
class Published:
    """A published figure.

    Attributes:
      figure: a key of ``FIGURES``.
      sources: what it is drawn from.
      against: the method that a table compares with the others.
    """

    figure: str
    sources: tuple[pathlib.Path, ...]
    against: str = "mlmoc"


PUBLISHED = {
    "theory": Published("theory", (RESULTS / "theory",)),
    "fidelity": Published("fidelity", (_BENCHMARKS / "approximations.json",)),
    "quick_look": Published("curves", (RESULTS / "quick_look",)),
    "temperature": Published("curves", (RESULTS / "temperature",)),
    "1a": Published("1a", (RESULTS / "fig1b", _BENCHMARKS / "look_ahead.json")),
    "1b": Published("1b", (RESULTS / "fig1b",)),
    "summary-1b": Published("summary", (RESULTS / "fig1b",)),
    "2-digits": Published("2-digits", (RESULTS / "fig2_digits",)),
    "2-mnist": Published("2-mnist", (RESULTS / "fig2_mnist",)),
    "3a": Published("3a", (RESULTS / "fig2_mnist",)),
    "summary-mnist": Published("summary", (RESULTS / "fig2_mnist",)),
    "table1-mnist": Published("table1", (RESULTS / "fig2_mnist",), against="mlmoc, sequential"),
    "2-letter": Published("2-letter", (RESULTS / "fig2_letter",)),
    "summary-letter": Published("summary", (RESULTS / "fig2_letter",)),
    "table1-letter": Published("table1", (RESULTS / "fig2_letter",), against=BEST),
    "3b": Published("3b", (RESULTS / "fig3b",)),
    "3c": Published("3c", (RESULTS / "fig3c",)),
    "summary-3c": Published("summary", (RESULTS / "fig3c",)),
    "2-satellite": Published("2-satellite", (RESULTS / "fig2_satellite",)),
    "summary-satellite": Published("summary", (RESULTS / "fig2_satellite",)),
    "table1-satellite": Published("table1", (RESULTS / "fig2_satellite",), against=BEST),
    "landmarks": Published("curves", (RESULTS / "landmarks",)),
    "summary-landmarks": Published("summary", (RESULTS / "landmarks",)),
    "summary-ridge": Published("summary", (RESULTS / "ridge",)),
    "summary-digits": Published("summary", (RESULTS / "fig2_digits",)),
    "table1-digits": Published("table1", (RESULTS / "fig2_digits",), against=BEST),
}
"""The published figures, by the names of their files."""


def redraw(name: str, to: str) -> list[str]:
    """Draws a published figure.

    Args:
      name: a key of ``PUBLISHED``.
      to: the folder for its files.

    Returns:
      The paths of the files.
    """
    published = PUBLISHED[name]
    sources = [str(path) for path in published.sources]
    return draw(published.figure, sources, to, published.against, file_name=f"figure-{name}")


def main(arguments: Sequence[str]) -> None:
    """Draws all of them; errors end the program with a message."""
    del arguments
    matplotlib.use("Agg")
    try:
        for name in PUBLISHED:
            print(f"wrote {' '.join(redraw(name, flags.FLAGS.to))}", flush=True)
    except (OSError, ValueError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    flags.DEFINE_string("to", str(PICTURES), "The folder for the files.")
    app.run(main)
