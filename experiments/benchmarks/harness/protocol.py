"""The MNIST protocol of ``mnist.flags``, and a small one on the digits for ``--quick``."""

from __future__ import annotations

import os

from absl import flags
from absl.flags import FlagValues

from ... import command_line
from . import problem
from .problem import Problem

flags.disclaim_key_flags()  # the flags belong to the benchmark, which shows them in its --help

FULL = ("mnist.flags", "--width=64")
QUICK = (
    "digits.flags",
    "--model=mlp",
    "--augmentation=none",
    "--width=16",
    "--epochs=60",
    "--subset_size=60",
    "--query_size=5",
)
FLAGS = ("quick", "seed", "data_dir", "width", "num_labeled", "num_pool", "epochs")
"""The flags that ``load`` reads."""


def define_flags(values: FlagValues) -> None:
    """Defines the flags of a benchmark that runs on this protocol."""
    flags.DEFINE_string(
        "data_dir", None, "Where tensorflow-datasets finds MNIST.", flag_values=values
    )
    flags.DEFINE_integer(
        "width", None, "Width; default: 64, or 16 with --quick.", 1, flag_values=values
    )
    flags.DEFINE_integer(
        "num_labeled", None, "Labels; default: as in the protocol.", 1, flag_values=values
    )
    flags.DEFINE_integer(
        "epochs", None, "Epochs of training; default: as in the protocol.", 1, flag_values=values
    )
    flags.DEFINE_integer(
        "num_pool", None, "Candidates; default: as in the protocol.", 1, flag_values=values
    )


def load(values: FlagValues, *, train: bool = True) -> Problem:
    """Makes the problem that the flags describe.

    Args:
      values: parsed flags.
      train: whether to train the network, which is not needed to measure memory.
    """
    flagfile, *rest = QUICK if values.quick else FULL
    settings = {
        "width": values.width,
        "init_size": values.num_labeled,
        "subset_size": values.num_pool,
        "epochs": values.epochs,
    }
    rest += [f"--{name}={value}" for name, value in settings.items() if value is not None]
    experiment = FlagValues()
    command_line.define(experiment)
    experiment(["", f"--flagfile={os.path.join(command_line.FLAGFILE_DIR, flagfile)}", *rest])
    return problem.first_query(
        " ".join([flagfile, *rest]),
        command_line.to_config(experiment),
        seed=values.seed,
        data_dir=values.data_dir,
        train=train,
    )
