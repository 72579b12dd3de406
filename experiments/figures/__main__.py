"""Draws a figure from sweeps, finished or not, and writes it as PNG, SVG and CSV.

ntk-al figure NAME --workdir=runs/SWEEP
python -m experiments.figures NAME --workdir=runs/SWEEP   (the same, from the root of a clone)
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from ntk_al._utils import extras

try:
    with extras.needed("figures need", "absl-py, matplotlib and statsmodels", extra="experiments"):
        import matplotlib
        from absl import app, flags

        from .. import command_line
        from ..statistics import UNITS
        from . import drawn, registry
except extras.MissingExtraError as error:
    sys.exit(f"error: {error}")


def define(values: flags.FlagValues = flags.FLAGS) -> None:
    """Defines all flags."""
    flags.DEFINE_multi_string(
        "workdir",
        [],
        "A directory of a sweep or a run, or a result file of a benchmark or a study; may be given "
        "several times.",
        flag_values=values,
    )
    flags.DEFINE_string(
        "to", None, "The folder for the files; default: the first --workdir.", flag_values=values
    )
    flags.DEFINE_string(
        "against", "mlmoc", "The method that table1 compares with the others.", flag_values=values
    )
    flags.DEFINE_enum(
        "unit",
        "area",
        sorted(UNITS),
        "What table1 pairs: areas of seeds, or every cycle.",
        flag_values=values,
    )


def main(arguments: Sequence[str]) -> None:
    """Draws the figures that are named; errors end the program with a message."""
    names = arguments[1:]
    known = "\n".join(f"  {name:12}{figure.about}" for name, figure in registry.FIGURES.items())
    unknown = [name for name in names if name not in registry.FIGURES]
    if not names or unknown:
        what = f"unknown figure {unknown[0]!r}" if unknown else "name a figure"
        sys.exit(f"error: {what}; there are:\n{known}")
    matplotlib.use("Agg")
    values = flags.FLAGS
    for name in names:
        try:
            paths = draw(name, values.workdir, values.to, values.against, values.unit)
        except (ValueError, OSError) as error:
            sys.exit(f"error: figure {name}: {error}")
        except (KeyError, TypeError, IndexError) as error:
            sys.exit(f"error: figure {name}: records or results are not what they were: {error!r}")
        print(f"wrote {' '.join(paths)}")


def draw(
    name: str,
    workdirs: Sequence[str],
    to: str | None,
    against: str = "mlmoc",
    unit: str = "area",
    file_name: str | None = None,
) -> list[str]:
    """Draws one figure.

    Args:
      name: a key of ``FIGURES``.
      workdirs: directories and result files.
      to: the folder for the files; by default the first directory.
      against: the method that tables compare with the others.
      unit: what tables pair.
      file_name: the name of the files without their ends; by default that of the figure.

    Returns:
      The paths of the files.

    Raises:
      FileNotFoundError: if a directory does not exist or has no records.
      OSError: if a file cannot be written.
      ValueError: if a file is damaged, or the figure cannot be drawn from what is there.
    """
    figure = registry.FIGURES[name]
    sources = registry.sources(workdirs, against, unit)
    figure.check(sources)
    number = f"Figure {name}: " if name[0].isdigit() else ""
    picture = figure.draw(sources, f"{number}{figure.about}")
    folder = to or (sources.folders or [os.path.dirname(workdirs[0]) or "."])[0]
    return drawn.save(picture, folder, file_name or f"figure-{name}")


if __name__ == "__main__":
    define()
    app.run(main, flags_parser=command_line.parse)
