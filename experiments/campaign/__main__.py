"""Label your own examples: a strategy says which ones, and every label is on disk.

ntk-al campaign create animals --pool=images --class_names=cat,dog --image_size=64,64
ntk-al campaign next animals --k=20 --out=queue.csv
ntk-al campaign import animals queue.csv
ntk-al campaign status animals
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from .. import stopping

if __name__ == "__main__":  # before the imports that take seconds
    stopping.install("every label that was recorded is on disk")

from ntk_al._utils import extras

try:
    with extras.needed("this command needs", "absl-py", extra="experiments"):
        from absl import app, flags

        from .. import command_line
        from . import commands, dispatch
        from .learner import AUTO
except extras.MissingExtraError as error:
    sys.exit(f"error: {error}")

from ntk_al.acquisition import BATCH_MODES, STRATEGIES
from ntk_al.labeling.exchange import EXPORTS
from ntk_al.models import MODELS
from ntk_al.training import AUGMENTATIONS


def define(values: flags.FlagValues = flags.FLAGS) -> None:
    """Defines all flags."""

    def text(name: str, default: str | None, help: str) -> None:
        flags.DEFINE_string(name, default, help, flag_values=values)

    def one_of(name: str, default: str, choices: Sequence[str], help: str) -> None:
        flags.DEFINE_enum(name, default, sorted(choices), help, flag_values=values)

    text("pool", None, "create: a folder of images, or a .csv, .parquet or .npy file.")
    flags.DEFINE_list("image_size", None, "create: height,width of images.", flag_values=values)
    flags.DEFINE_integer(
        "channels", 3, "create: 3 for colored images, 1 for grey ones.", flag_values=values
    )
    flags.DEFINE_list(
        "columns", None, "create: the columns of a table to learn from.", flag_values=values
    )
    text("id_column", None, "create: the column of a table with ids; default: row numbers.")
    flags.DEFINE_list("class_names", None, "create: the names of the classes.", flag_values=values)
    flags.DEFINE_integer(
        "num_classes",
        None,
        "create: the number of classes, if they have no names.",
        flag_values=values,
    )
    text(
        "audit_size",
        None,
        "create: how many examples are set apart to measure accuracy, or which share; default: "
        "5 % of the pool, but 40 to 100, and at most a fifth of it.",
    )
    flags.DEFINE_integer("seed", 0, "create: the seed of all random draws.", 0, flag_values=values)
    flags.DEFINE_integer("k", 20, "next: how many examples to propose.", 0, flag_values=values)
    flags.DEFINE_integer(
        "audit", 0, "next: how many to add that measure accuracy.", 0, flag_values=values
    )
    one_of("strategy", "mlmoc", [*STRATEGIES], "next: how to choose, once there are labels.")
    one_of(
        "batch_mode",
        "greedy",
        [*BATCH_MODES],
        "next: how the best scores become a batch: greedy avoids near copies.",
    )
    one_of("model", AUTO, [AUTO, *MODELS], "next, status: the network.")
    flags.DEFINE_integer(
        "width", None, "next, status: the width of the network.", 1, flag_values=values
    )
    flags.DEFINE_integer(
        "epochs", 100, "next, status: epochs of the training of the network.", 1, flag_values=values
    )
    flags.DEFINE_float(
        "learning_rate",
        0.1,
        "next, status: the learning rate of the training of the network.",
        flag_values=values,
    )
    one_of(
        "augmentation", "none", [*AUGMENTATIONS], "next, status: how images are varied in training."
    )
    text("by", None, "import: who labeled, if the file has no column by.")
    text("out", None, "next, export: the file to write.")
    one_of("format", "csv", [*EXPORTS], "export: the format.")
    flags.DEFINE_bool(
        "compare",
        False,
        "status: train networks on chosen and on random labels, and compare them.",
        flag_values=values,
    )


def main(arguments: Sequence[str], values: flags.FlagValues = flags.FLAGS) -> None:
    """Does a command; errors end the program with a message."""
    flag_values = values.flag_values_dict()
    dispatch.serve(arguments, "ntk-al campaign", commands.COMMANDS, flag_values)


if __name__ == "__main__":
    define()
    app.run(main, flags_parser=command_line.parse)
