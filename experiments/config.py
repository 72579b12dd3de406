"""One experiment as one frozen value, checked when it is made."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

from jax.sharding import Mesh

from ntk_al._utils import checks
from ntk_al.acquisition import BATCH_MODES, STRATEGIES, LookaheadOptions
from ntk_al.acquisition.schemes import SCHEMES
from ntk_al.data import DATASETS
from ntk_al.kernels import PRECISIONS
from ntk_al.lookahead import ALL_LOGITS, CRITERIA, REFERENCES
from ntk_al.models import MODELS
from ntk_al.network import READOUTS
from ntk_al.training import AUGMENTATIONS, LOSSES, TrainingConfig

RESTARTS = {
    "cold": "fresh weights in every cycle",
    "warm": "the weights of the cycle before, as in the authors' released code",
}
DATASET_AUGMENTATION = "dataset"

DEVICES = ("one", "all")
"""Which devices of this machine compute the kernel and the scores."""


def _setting(
    default: Any,
    help: str,
    *,
    choices: Iterable[str] | None = None,
    least: float | None = None,
) -> Any:
    """A field of ``Config``: its default, its help, and what its values may be."""
    if choices is not None:
        help = f"{help} {' | '.join(choices)}."
    metadata = {"help": help, "choices": choices, "least": least}
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True)
class Config:
    """What an experiment depends on; each field is the flag of the same name.

    Raises:
      ValueError: a name that is not known, a number out of range, or numbers that contradict each
        other.
    """

    dataset: str = _setting(
        "digits", f"{' | '.join(DATASETS)}, or a .npz with x_train, y_train, x_test, y_test."
    )
    data_dir: str | None = _setting(
        None, "Where tensorflow-datasets finds prepared datasets; default: its own."
    )
    model: str = _setting("convnet", "The network:", choices=MODELS)
    width: int | None = _setting(None, "Width of the model; default: the model's own.", least=1)
    blocks: int | None = _setting(
        None,
        "Blocks per stage of wide_resnet, hidden layers of mlp; default: the model's own.",
        least=1,
    )
    dropout: float = _setting(0.0, "Rate of dropout before the last layer; bald needs it above 0.")
    strategy: tuple[str, ...] = _setting(
        ("mlmoc",),
        "One or more, separated by commas, compared from the same initial labels:",
        choices=STRATEGIES,
    )
    scheme: str = _setting(
        "batch",
        "Labels of a cycle all at once, or each revealed and absorbed before the next is chosen:",
        choices=SCHEMES,
    )
    init_size: int = _setting(20, "Labeled examples at the start.", least=1)
    query_size: int = _setting(20, "Labels queried in a cycle.", least=1)
    subset_size: int = _setting(
        1000, "Candidates of a cycle: a random subset of the unlabeled pool.", least=1
    )
    cycles: int = _setting(8, "Each trains, tests and queries.", least=1)
    seed: int = _setting(0, "Of everything random.", least=0)
    restart: str = _setting(
        "cold",
        f"Each cycle trains from {', or '.join(RESTARTS.values())}:",
        choices=RESTARTS,
    )
    epochs: int = _setting(200, "Passes over the labeled examples.", least=1)
    batch_size: int = _setting(16, "Examples in a step of SGD.", least=1)
    learning_rate: float = _setting(0.1, "Peak of the one-cycle schedule.")
    weight_decay: float = _setting(5e-4, "L2 coefficient.", least=0)
    loss: str = _setting("squared", "The look-ahead is exact for the squared loss:", choices=LOSSES)
    augmentation: str = _setting(
        DATASET_AUGMENTATION,
        f"Of training images; {DATASET_AUGMENTATION!r} is what suits the dataset:",
        choices=[DATASET_AUGMENTATION, *AUGMENTATIONS],
    )
    readout: str = _setting(
        LookaheadOptions.readout,
        "The scalar whose gradient makes the kernel, or the kernel of all pairs of logits (small "
        "problems):",
        choices=[*READOUTS, ALL_LOGITS],
    )
    reference: str = _setting(
        LookaheadOptions.reference, "What a change of outputs is measured from:", choices=REFERENCES
    )
    ridge: float = _setting(
        LookaheadOptions.ridge, "λ over the mean diagonal of the kernel.", least=0
    )
    precision: str = _setting(
        LookaheadOptions.precision,
        "Of the Jacobian's entries, before they are multiplied:",
        choices=PRECISIONS,
    )
    memory_budget: int | None = _setting(
        None, "Bytes that a kernel may take on each device; default: most of what is free.", least=1
    )
    devices: str = _setting("one", "Devices that share the candidates:", choices=DEVICES)
    eval_size: int | None = _setting(
        None,
        "Evaluation points, at which look-ahead strategies measure changes: a random subset of the "
        "candidates; default: all of them.",
        least=1,
    )
    batch_mode: str = _setting(
        LookaheadOptions.batch_mode,
        f"Batches of look-ahead strategies: {', or '.join(BATCH_MODES.values())}:",
        choices=BATCH_MODES,
    )
    criterion: str = _setting(
        LookaheadOptions.criterion,
        "What naive, one_step and infinite_ntk measure:",
        choices=CRITERIA,
    )
    move_network: bool = _setting(
        LookaheadOptions.move_network,
        "Whether labels of a sequential query move the network's outputs too, and with them "
        "pseudo-labels and reference.",
    )
    retraining_epochs: int = _setting(
        15, "Passes over the labels for each candidate of naive.", least=1
    )
    retraining_rate: float = _setting(
        0.01, "Peak learning rate of naive for a candidate, and the step of one_step."
    )
    workdir: str | None = _setting(
        None, "Where records go; it must not hold another run. Default: a new one in runs/."
    )

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            choices, least = field.metadata["choices"], field.metadata["least"]
            whole = isinstance(field.default, int) and not isinstance(field.default, bool)
            if whole and not isinstance(value, int):
                raise TypeError(f"{field.name} must be a whole number, got {value!r}")
            if isinstance(field.default, tuple) and not isinstance(value, tuple):
                raise TypeError(f"{field.name} must be a tuple of names, got {value!r}")
            if choices is not None:
                for name in value if isinstance(value, tuple) else (value,):
                    checks.one_of(field.name, name, choices)
            if least is not None and value is not None:
                checks.at_least(field.name, value, least)
        if self.seed >= 2**32:
            raise ValueError(f"seed must be below 2^32, got {self.seed}")
        if not self.dataset.endswith(".npz"):
            checks.one_of("dataset (or path of a .npz file)", self.dataset, DATASETS)
        if not self.strategy:
            raise ValueError(f"no strategy was named; known: {', '.join(sorted(STRATEGIES))}")
        if len(set(self.strategy)) != len(self.strategy):
            raise ValueError(f"a strategy was named twice: {', '.join(self.strategy)}")
        if self.query_size > self.subset_size:
            raise ValueError(
                f"query_size ({self.query_size}) is larger than subset_size ({self.subset_size}), "
                "the number of candidates that a cycle scores; raise subset_size"
            )
        if self.eval_size is not None and self.eval_size > self.subset_size:
            raise ValueError(
                f"eval_size ({self.eval_size}) is larger than subset_size ({self.subset_size}), "
                "the number of candidates that evaluation points are drawn from"
            )
        self.lookahead("none")  # raises what the options of look-ahead strategies raise
        checks.positive("learning_rate", self.learning_rate)
        checks.rate("dropout", self.dropout)
        checks.positive("retraining_rate", self.retraining_rate)

    def training(self, dataset_augmentation: str) -> TrainingConfig:
        """How networks are fitted, on a dataset with that augmentation of its own."""
        own = self.augmentation == DATASET_AUGMENTATION
        return TrainingConfig(
            epochs=self.epochs,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            loss=self.loss,
            augmentation=dataset_augmentation if own else self.augmentation,
        )

    def lookahead(self, dataset_augmentation: str, mesh: Mesh | None = None) -> LookaheadOptions:
        """Choices of the look-ahead strategies, on a dataset with that augmentation of its own."""
        return LookaheadOptions(
            memory_budget=self.memory_budget,
            mesh=mesh,
            readout=self.readout,
            reference=self.reference,
            ridge=self.ridge,
            precision=self.precision,
            batch_mode=self.batch_mode,
            criterion=self.criterion,
            move_network=self.move_network,
            retraining=dataclasses.replace(
                self.training(dataset_augmentation),
                epochs=self.retraining_epochs,
                learning_rate=self.retraining_rate,
            ),
        )

    def check_pool(self, num_examples: int) -> None:
        """Raises ValueError unless the pool lasts for every cycle."""
        last = num_examples - self.init_size - (self.cycles - 1) * self.query_size
        if last < self.subset_size:
            raise ValueError(
                f"subset_size ({self.subset_size}) is larger than the pool: of {num_examples} "
                f"training examples {max(last, 0)} are still unlabeled in cycle {self.cycles} "
                f"(init_size {self.init_size}, query_size {self.query_size}). Lower init_size, "
                "query_size, subset_size or cycles."
            )
