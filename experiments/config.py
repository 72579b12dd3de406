"""The configuration of an experiment, checked when it is created."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

from jax.sharding import Mesh

from ntk_al._utils import checks
from ntk_al.acquisition import APPROXIMATIONS, BATCH_MODES, SOLVERS, STRATEGIES, LookaheadOptions
from ntk_al.acquisition.schemes import SCHEMES
from ntk_al.data import DATASETS
from ntk_al.kernels import PRECISIONS
from ntk_al.lookahead import ALL_LOGITS, REFERENCES
from ntk_al.lookahead.criteria import CRITERIA, LABEL_CRITERIA
from ntk_al.models import MODELS
from ntk_al.network import PREDICTIVES, READOUTS
from ntk_al.training import AUGMENTATIONS, LOSSES, TrainingConfig

RESTARTS = {
    "cold": "fresh weights",
    "warm": "the weights of the previous cycle, as in the authors' released code",
}
"""Where training starts in each cycle."""

DATASET_AUGMENTATION = "dataset"
"""The value of ``augmentation`` that selects the one that suits the dataset."""

DEFAULT_PREDICTIVES = {"squared": "calibrated", "cross_entropy": "softmax"}
"""The class probabilities of a network by the loss with which it was trained."""


DEVICES = ("one", "all")
"""Which devices of this machine compute the kernel and the scores."""


def _setting(
    default: Any,
    help: str,
    *,
    choices: Iterable[str] | None = None,
    least: float | None = None,
) -> Any:
    """Makes a field of ``Config`` from its default, its help text and the limits of its values."""
    if choices is not None:
        help = f"{help} {' | '.join(choices)}."
    metadata = {"help": help, "choices": choices, "least": least}
    return dataclasses.field(default=default, metadata=metadata)


def moves_network(scheme: str) -> bool:
    """Returns whether labels within a query move the network's outputs by default.

    Those of a sequential query do: they are real, and the paper's sequential algorithm goes on with
    the updated model. The pseudo-labels of a greedy batch do not.
    """
    return scheme == "sequential"


@dataclasses.dataclass(frozen=True)
class Config:
    """All settings of an experiment; each field is the flag of the same name.

    ``move_network`` is never ``None`` afterwards: it is what ``moves_network`` says then.

    Raises:
      TypeError: if a value has the wrong type.
      ValueError: if a name is unknown, a number is out of range, or values contradict each other.
    """

    dataset: str = _setting(
        "digits",
        f"The dataset: {' | '.join(DATASETS)}, or a .npz file with x_train, y_train, x_test and "
        "y_test.",
    )
    data_dir: str | None = _setting(
        None,
        "The folder in which tensorflow-datasets finds prepared datasets; default: the default of "
        "tensorflow-datasets.",
    )
    model: str = _setting("convnet", "The network:", choices=MODELS)
    width: int | None = _setting(
        None, "The width of the model; default: depends on the model.", least=1
    )
    blocks: int | None = _setting(
        None,
        "The number of blocks in a stage of wide_resnet, or of hidden layers of mlp; default: "
        "depends on the model.",
        least=1,
    )
    dropout: float = _setting(
        0.0, "The dropout rate before the last layer; bald and batchbald need a rate above 0."
    )
    strategy: tuple[str, ...] = _setting(
        ("mlmoc",),
        "One or more strategies, separated by commas, which start from the same initial labels:",
        choices=STRATEGIES,
    )
    scheme: str = _setting(
        "batch",
        "Whether the labels of a cycle are queried all at once; one at a time, with each label "
        "absorbed before the next choice; or, as an upper line, as the best of many batches of the "
        "strategy by their true labels:",
        choices=SCHEMES,
    )
    init_size: int = _setting(20, "The number of labeled examples at the start.", least=1)
    query_size: int = _setting(20, "The number of labels to query in each cycle.", least=1)
    subset_size: int = _setting(
        1000,
        "The number of candidates in each cycle, drawn at random from the unlabeled pool.",
        least=1,
    )
    cycles: int = _setting(
        8, "The number of cycles. Each cycle trains, tests and queries.", least=1
    )
    seed: int = _setting(0, "The seed of everything random.", least=0)
    restart: str = _setting(
        "cold",
        f"Each cycle trains from {' or from '.join(RESTARTS.values())}:",
        choices=RESTARTS,
    )
    epochs: int = _setting(200, "The number of passes over the labeled examples.", least=1)
    batch_size: int = _setting(16, "The number of examples in a step of SGD.", least=1)
    learning_rate: float = _setting(0.1, "The peak learning rate of the one-cycle schedule.")
    weight_decay: float = _setting(5e-4, "The coefficient of weight decay.", least=0)
    loss: str = _setting(
        "squared",
        "The training loss; the look-ahead is exact only for the squared loss:",
        choices=LOSSES,
    )
    augmentation: str = _setting(
        DATASET_AUGMENTATION,
        "The augmentation of training images; "
        f"{DATASET_AUGMENTATION!r} selects the one that suits the dataset:",
        choices=[DATASET_AUGMENTATION, *AUGMENTATIONS],
    )
    predictive: str | None = _setting(
        None,
        "The class probabilities p(y | x) that strategies use: "
        + "; ".join(f"{name}: {how}" for name, how in PREDICTIVES.items())
        + ". Default: softmax for --loss=cross_entropy, else calibrated. One of:",
        choices=PREDICTIVES,
    )
    readout: str = _setting(
        LookaheadOptions.readout,
        "The scalar whose gradient defines the kernel, or all_logits for the kernel of all pairs "
        "of logits (small problems only):",
        choices=[*READOUTS, ALL_LOGITS],
    )
    reference: str = _setting(
        LookaheadOptions.reference,
        "What changes are measured from, the network's outputs or the retrained linearized ones:",
        choices=REFERENCES,
    )
    ridge: float | str = _setting(
        LookaheadOptions.ridge,
        "λ divided by the mean diagonal of the kernel, or leave_one_out: the one with which the "
        "labels predict each other best.",
    )
    precision: str = _setting(
        LookaheadOptions.precision,
        "How the entries of the Jacobian are rounded before they are multiplied:",
        choices=PRECISIONS,
    )
    memory_budget: int | None = _setting(
        None,
        "Bytes that a kernel may take on each device; default: most of the free memory.",
        least=1,
    )
    devices: str = _setting("one", "The devices that share the candidates:", choices=DEVICES)
    eval_size: int | None = _setting(
        None,
        "The number of evaluation points, at which look-ahead strategies measure changes. They are "
        "drawn at random from the candidates; default: all candidates.",
        least=1,
    )
    approximation: str = _setting(
        LookaheadOptions.approximation,
        "How much of the posterior covariance look-ahead strategies compute. "
        + "; ".join(f"{name}: {how}" for name, how in APPROXIMATIONS.items())
        + ". One of:",
        choices=APPROXIMATIONS,
    )
    rank: int | None = _setting(
        None, "The number of landmarks; default: as many as --tolerance asks for.", least=2
    )
    tolerance: float = _setting(
        LookaheadOptions.tolerance,
        "Landmarks are added until the scores of all and of half of them have a rank correlation "
        "of at least 1 minus this.",
        least=0,
    )
    solver: str = _setting(
        LookaheadOptions.solver,
        "How look-ahead strategies condition on the labeled set. "
        + "; ".join(f"{name}: {how}" for name, how in SOLVERS.items())
        + ". One of:",
        choices=SOLVERS,
    )
    solver_tolerance: float = _setting(
        LookaheadOptions.solver_tolerance,
        "Conjugate gradients stop when no residual is larger than this share of its right-hand "
        "side.",
    )
    batch_mode: str = _setting(
        LookaheadOptions.batch_mode,
        "How look-ahead strategies form a batch. "
        + "; ".join(f"{name}: {how}" for name, how in BATCH_MODES.items())
        + ". One of:",
        choices=BATCH_MODES,
    )
    criterion: str = _setting(
        LookaheadOptions.criterion,
        "The criterion of naive, one_step and infinite_ntk:",
        choices=LABEL_CRITERIA,
    )
    move_network: bool | None = _setting(
        None,
        "Whether a label within a query also moves the network's outputs, which decide "
        "pseudo-labels and the reference; default: the labels of a sequential query do.",
    )
    retraining_epochs: int = _setting(
        15, "The number of passes over the labels when naive retrains for a candidate.", least=1
    )
    retraining_rate: float = _setting(
        0.01,
        "The peak learning rate when naive retrains for a candidate, and the step of one_step.",
    )
    workdir: str | None = _setting(
        None,
        "The work directory for records, which must not hold another run; default: a new folder in "
        "runs/.",
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
            if choices is not None and value is not None:
                for name in value if isinstance(value, tuple) else (value,):
                    checks.one_of(field.name, name, choices)
            if least is not None and value is not None:
                checks.at_least(field.name, value, least)
        if self.workdir == "":
            raise ValueError("workdir must be the name of a directory")
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
                "the number of candidates in a cycle; raise subset_size"
            )
        if self.eval_size is not None and self.eval_size > self.subset_size:
            raise ValueError(
                f"eval_size ({self.eval_size}) is larger than subset_size ({self.subset_size}), "
                "the number of candidates from which evaluation points are drawn"
            )
        if self.move_network is None:
            object.__setattr__(self, "move_network", moves_network(self.scheme))
        options = self.lookahead("none")  # checks the options of look-ahead strategies
        for name in CRITERIA.keys() & set(self.strategy):
            options.scoring(name)
        checks.positive("learning_rate", self.learning_rate)
        checks.rate("dropout", self.dropout)
        checks.positive("retraining_rate", self.retraining_rate)

    @property
    def class_probabilities(self) -> str:
        """The name of p(y | x): ``predictive``, or the one that suits the loss."""
        return self.predictive or DEFAULT_PREDICTIVES[self.loss]

    def training(self, dataset_augmentation: str) -> TrainingConfig:
        """Returns the settings of training.

        Args:
          dataset_augmentation: the augmentation that suits the dataset.
        """
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
        """Returns the options of the look-ahead strategies.

        Args:
          dataset_augmentation: the augmentation that suits the dataset.
          mesh: devices that share the candidates; ``None`` means one device.
        """
        return LookaheadOptions(
            memory_budget=self.memory_budget,
            mesh=mesh,
            predictive=self.class_probabilities,
            readout=self.readout,
            reference=self.reference,
            ridge=self.ridge,
            precision=self.precision,
            approximation=self.approximation,
            rank=self.rank,
            tolerance=self.tolerance,
            solver=self.solver,
            solver_tolerance=self.solver_tolerance,
            batch_mode=self.batch_mode,
            criterion=self.criterion,
            move_network=bool(self.move_network),
            retraining=dataclasses.replace(
                self.training(dataset_augmentation),
                epochs=self.retraining_epochs,
                learning_rate=self.retraining_rate,
            ),
        )

    def check_pool(self, num_examples: int) -> None:
        """Raises ValueError unless the pool has enough unlabeled examples for every cycle."""
        last = num_examples - self.init_size - (self.cycles - 1) * self.query_size
        if last < self.subset_size:
            raise ValueError(
                f"subset_size ({self.subset_size}) is larger than the pool: of {num_examples} "
                f"training examples, {max(last, 0)} are still unlabeled in cycle {self.cycles} "
                f"(init_size {self.init_size}, query_size {self.query_size}). Lower init_size, "
                "query_size, subset_size or cycles."
            )
