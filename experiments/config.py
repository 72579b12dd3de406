"""One experiment as one frozen value, checked when it is made."""

from __future__ import annotations

import dataclasses

from ntk_al import checks
from ntk_al.acquisition import STRATEGIES, LookaheadOptions
from ntk_al.data import DATASETS
from ntk_al.models import MODELS
from ntk_al.query import SCHEMES
from ntk_al.training import AUGMENTATIONS, LOSSES, TrainingConfig

RESTARTS = {
    "cold": "fresh weights in every cycle",
    "warm": "the weights of the cycle before, as in the authors' released code",
}
DATASET_AUGMENTATION = "dataset"


@dataclasses.dataclass(frozen=True)
class Config:
    """What an experiment depends on; each field is the flag of the same name.

    Raises:
      ValueError: a name that is not known, a number out of range, or numbers that contradict each
        other.
    """

    dataset: str = "digits"
    data_dir: str | None = None
    model: str = "convnet"
    width: int | None = None
    blocks: int | None = None
    strategy: tuple[str, ...] = ("mlmoc",)
    scheme: str = "batch"
    init_size: int = 20
    query_size: int = 10
    subset_size: int = 1000
    cycles: int = 5
    seed: int = 0
    restart: str = "cold"
    epochs: int = 100
    batch_size: int = 16
    learning_rate: float = 0.1
    weight_decay: float = 5e-4
    loss: str = "squared"
    augmentation: str = DATASET_AUGMENTATION
    readout: str = "first_logit"
    reference: str = "network"
    ridge: float = 1e-4
    workdir: str | None = None

    def __post_init__(self) -> None:
        if not self.dataset.endswith(".npz"):
            checks.one_of("dataset (or path of a .npz file)", self.dataset, DATASETS)
        checks.one_of("model", self.model, MODELS)
        if not self.strategy:
            raise ValueError(f"no strategy was named; known: {', '.join(sorted(STRATEGIES))}")
        for strategy in self.strategy:
            checks.one_of("strategy", strategy, STRATEGIES)
        if len(set(self.strategy)) != len(self.strategy):
            raise ValueError(f"a strategy was named twice: {', '.join(self.strategy)}")
        checks.one_of("scheme", self.scheme, SCHEMES)
        checks.one_of("restart", self.restart, RESTARTS)
        checks.one_of("augmentation", self.augmentation, [*AUGMENTATIONS, DATASET_AUGMENTATION])
        checks.one_of("loss", self.loss, LOSSES)
        for name in ("init_size", "query_size", "subset_size", "cycles"):
            checks.positive(name, getattr(self, name))
        checks.not_negative("seed", self.seed)
        if self.query_size > self.subset_size:
            raise ValueError(
                f"query_size ({self.query_size}) is larger than subset_size ({self.subset_size}), "
                "the number of candidates that a cycle scores; raise subset_size"
            )
        self.training("none")
        self.lookahead()

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

    def lookahead(self) -> LookaheadOptions:
        """Choices of the look-ahead strategies."""
        return LookaheadOptions(readout=self.readout, reference=self.reference, ridge=self.ridge)

    def check_pool(self, num_examples: int) -> None:
        """Raises ValueError unless the pool lasts for every cycle."""
        last = num_examples - self.init_size - (self.cycles - 1) * self.query_size
        if last < self.subset_size:
            raise ValueError(
                f"subset_size ({self.subset_size}) is larger than the pool: of {num_examples} training "
                f"examples {max(last, 0)} are still unlabeled in cycle {self.cycles} (init_size "
                f"{self.init_size}, query_size {self.query_size}). Lower subset_size, query_size or "
                "cycles."
            )
