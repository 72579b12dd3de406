"""The picture of a single run, drawn when a strategy is done."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from ntk_al._utils import files

from .records import ACCURACY


def draw_accuracy(records: Sequence[dict[str, Any]], workdir: str) -> str:
    """Draws test accuracy against the number of labels, with one line for each strategy.

    Args:
      records: the records of a run; the first one holds the config.
      workdir: the folder for the figure.

    Returns:
      The path of the figure.

    Raises:
      OSError: if the figure cannot be written.
    """
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from matplotlib.ticker import MaxNLocator

    config = records[0]["config"]
    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    for strategy in dict.fromkeys(record["strategy"] for record in records):
        own = [record for record in records if record["strategy"] == strategy]
        axes.plot(
            [record["num_labeled"] for record in own],
            [100 * record["test_accuracy"] for record in own],
            marker="o",
            label=strategy,
        )
    axes.set_xlabel("labeled examples")
    axes.set_ylabel("test accuracy [%]")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_title(
        f"{os.path.basename(config['dataset'])}, {config['model']}, {config['scheme']} scheme, "
        f"seed {config['seed']}"
    )
    axes.grid(alpha=0.3)
    axes.legend()
    path = os.path.join(workdir, ACCURACY)
    try:
        with files.replacing(path) as part:
            figure.savefig(part, format="png", dpi=150)
    finally:
        plt.close(figure)
    return path
