"""The command line: absl flags to a ``Config``, and flagfiles by their bare name."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence

from absl import flags

from experiments.config import DATASET_AUGMENTATION, RESTARTS, Config
from ntk_al.acquisition import STRATEGIES
from ntk_al.data import DATASETS
from ntk_al.lookahead import REFERENCES
from ntk_al.models import MODELS
from ntk_al.network import READOUTS
from ntk_al.query import SCHEMES
from ntk_al.training import AUGMENTATIONS, LOSSES

FLAGFILE_DIR = os.path.join(os.path.dirname(os.path.abspath(__file__)), "flags")
_DEFAULTS = Config()


def define() -> None:
    """Defines a flag for each field of ``Config``, with the field's default."""
    string, integer, real = flags.DEFINE_string, flags.DEFINE_integer, flags.DEFINE_float
    string(
        "dataset",
        _DEFAULTS.dataset,
        f"{_names(DATASETS)}, or the path of a .npz file with x_train, y_train, x_test, y_test.",
    )
    string(
        "data_dir",
        _DEFAULTS.data_dir,
        "Where tensorflow-datasets finds prepared datasets; default: its own.",
    )
    string("model", _DEFAULTS.model, _names(MODELS) + ".")
    integer(
        "width", _DEFAULTS.width, "Width of the model; default: the model's own.", lower_bound=1
    )
    integer(
        "blocks",
        _DEFAULTS.blocks,
        "Blocks per stage of wide_resnet, layers of mlp; default: the model's own.",
        lower_bound=1,
    )
    flags.DEFINE_list(
        "strategy",
        list(_DEFAULTS.strategy),
        f"One or more, separated by commas, run "
        f"on the same initial labels and candidates: {_names(STRATEGIES)}.",
    )
    flags.DEFINE_enum(
        "scheme",
        _DEFAULTS.scheme,
        list(SCHEMES),
        "Labels of a cycle all at once, or each revealed and absorbed before the next is chosen.",
    )
    integer("init_size", _DEFAULTS.init_size, "Labeled examples at the start.", lower_bound=1)
    integer("query_size", _DEFAULTS.query_size, "Labels queried in a cycle.", lower_bound=1)
    integer(
        "subset_size",
        _DEFAULTS.subset_size,
        "Candidates of a cycle: a random subset of the unlabeled pool.",
        lower_bound=1,
    )
    integer("cycles", _DEFAULTS.cycles, "Each trains, tests and queries.", lower_bound=1)
    integer("seed", _DEFAULTS.seed, "Of everything random.", lower_bound=0)
    flags.DEFINE_enum(
        "restart",
        _DEFAULTS.restart,
        list(RESTARTS),
        "; ".join(f"{name}: {meaning}" for name, meaning in RESTARTS.items()) + ".",
    )
    integer("epochs", _DEFAULTS.epochs, "Passes over the labeled examples.", lower_bound=1)
    integer("batch_size", _DEFAULTS.batch_size, "Examples in a step of SGD.", lower_bound=1)
    real("learning_rate", _DEFAULTS.learning_rate, "Peak of the one-cycle schedule.")
    real("weight_decay", _DEFAULTS.weight_decay, "L2 coefficient.", lower_bound=0)
    flags.DEFINE_enum(
        "loss", _DEFAULTS.loss, list(LOSSES), "The look-ahead is derived for squared."
    )
    flags.DEFINE_enum(
        "augmentation",
        _DEFAULTS.augmentation,
        [DATASET_AUGMENTATION, *AUGMENTATIONS],
        f"Of training images; {DATASET_AUGMENTATION}: what suits the dataset.",
    )
    flags.DEFINE_enum(
        "readout", _DEFAULTS.readout, list(READOUTS), "Scalar whose gradient makes the kernel."
    )
    flags.DEFINE_enum(
        "reference",
        _DEFAULTS.reference,
        list(REFERENCES),
        "What a change of outputs is measured from.",
    )
    real("ridge", _DEFAULTS.ridge, "λ over the mean diagonal of the kernel.", lower_bound=0)
    string(
        "workdir",
        _DEFAULTS.workdir,
        "Where records go; it must not hold another run. Default: a new directory in runs/.",
    )


def to_config(values: flags.FlagValues = flags.FLAGS) -> Config:
    """The parsed flags as a ``Config``; raises its ValueError."""
    fields = {field.name: values[field.name].value for field in dataclasses.fields(Config)}
    return Config(**{**fields, "strategy": tuple(fields["strategy"])})


def find_flagfiles(arguments: Sequence[str]) -> list[str]:
    """The command line, with bare flagfile names looked up in ``experiments/flags``.

    A file in the current directory goes first, as absl alone would find it.

    Raises:
      FileNotFoundError: no such flagfile; the message lists those that there are.
    """
    found: list[str] = []
    expect_name = False
    for argument in arguments:
        if expect_name:
            found.append(_find_flagfile(argument))
            expect_name = False
            continue
        name, separator, value = argument.partition("=")
        is_flagfile = name in ("--flagfile", "-flagfile")
        if is_flagfile and separator:
            argument = f"{name}={_find_flagfile(value)}"
        expect_name = is_flagfile and not separator
        found.append(argument)
    return found


def _find_flagfile(name: str) -> str:
    for path in (
        name,
        os.path.join(FLAGFILE_DIR, name),
        os.path.join(FLAGFILE_DIR, name + ".flags"),
    ):
        if os.path.isfile(path):
            return path
    known = ", ".join(sorted(os.listdir(FLAGFILE_DIR)))
    raise FileNotFoundError(f"no flagfile {name!r}, neither here nor in experiments/flags: {known}")


def _names(registry: dict) -> str:
    return " | ".join(registry)
