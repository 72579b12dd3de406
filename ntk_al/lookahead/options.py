"""The options of a look-ahead score: their defaults and their valid values."""

from __future__ import annotations

import dataclasses

import numpy as np
from jax.sharding import Mesh

from ntk_al._utils import checks, sharding
from ntk_al.kernels import PRECISIONS
from ntk_al.lookahead.criteria import CRITERIA
from ntk_al.lookahead.ridges import LEAVE_ONE_OUT, PAPER
from ntk_al.lookahead.tasks import TASKS
from ntk_al.network import PREDICTIVES, READOUTS, Predictive

REFERENCES = ("network", "linearized")
"""What a change is measured from: the network's f, as printed in Eq. 13, or the retrained mean."""

APPROXIMATIONS = {
    "none": "the whole covariance",
    "landmarks": "columns of some points, and the diagonal",
    "auto": "landmarks where they take at most half of the kernel, otherwise none",
}
"""How much of the posterior covariance S is computed."""

SOLVERS = {
    "cholesky": "a Cholesky factor of the kernel of the labeled set, exact",
    "cg": "conjugate gradients, for labeled sets whose kernel does not fit into memory",
}
"""How the labeled set is conditioned on."""

ALL_LOGITS = "all_logits"
"""The value of ``readout`` that selects the LC × LC kernel of all logits, for small problems."""

BATCH_MODES = {
    "top_k": "the k highest scores",
    "greedy": "one at a time, each conditioned on the pseudo-labels of the earlier picks",
}
"""How scores become a batch."""

SOLVER_TOLERANCES = (1e-14, 1e-3)
"""The least and the largest ``solver_tolerance``."""


@dataclasses.dataclass(frozen=True)
class ScoreOptions:
    """The options of a look-ahead score.

    This class is the only place that defines their defaults; ``select`` has another ridge.

    Attributes:
      criterion: how the change of the outputs becomes a score, one of the criteria of the task.
      readout: the scalar whose gradient defines the kernel, a key of ``network.READOUTS``; or
        ``"all_logits"`` for the kernel of every pair of logits, which needs C² times the memory and
        is meant for small problems.
      reference: ``"network"`` measures changes from f (Eq. 13 as printed), ``"linearized"`` from
        the retrained linearized network.
      ridge: λ divided by the mean of diag Θ(L, L). If the kernel cannot be factorized, the ridge is
        multiplied by ten until it can. ``"leave_one_out"`` takes the one, from 1e-4 to 1, with
        which the labels predict each other best, see ``ridges``; it suits noisy labels.
      precision: precision of the Jacobian's entries, see ``kernels.gram``. Everything after the
        kernel is computed in float64 if the device supports it.
      memory_budget: bytes that the kernel may take on each device; ``None`` allows most of the free
        memory.
      mesh: devices, along an axis named ``pool``, that share the candidates; ``None`` means one
        device.
      task: what the outputs of the network and the labels mean, a key of ``TASKS``.
      predictive: p(y | x) as a function of the outputs, for criteria that weigh by it: a key of
        ``network.PREDICTIVES``, or a ``network.Predictive``.
      approximation: how much of the posterior covariance is computed, a key of
        ``APPROXIMATIONS``. The labeled set is conditioned on exactly in any case.
      rank: the number of landmarks; ``None`` takes as many as ``tolerance`` asks for.
      tolerance: landmarks are added until the scores of all and of half of them have a rank
        correlation of at least 1 − tolerance.
      solver: how the labeled set is conditioned on, a key of ``SOLVERS``. ``"cg"`` never forms
        Θ(L, L), but computes it anew in every iteration.
      solver_tolerance: conjugate gradients stop when no residual is larger than this share of its
        right-hand side. Errors of the covariance grow with its square.

    Raises:
      TypeError: if the ridge or the budget is not a number, or ``predictive`` is neither a name nor
        a ``Predictive``.
      ValueError: if a name is unknown, the criterion does not fit the task or ``predictive``, a
        number is out of range, the mesh does not have exactly one axis named ``pool``, or
        ``"all_logits"`` is combined with an option that it does not support.
    """

    criterion: str = "mlmoc"
    readout: str = "first_logit"
    reference: str = "network"
    ridge: float | str = PAPER
    precision: str = "float32"
    memory_budget: int | None = None
    mesh: Mesh | None = None
    task: str = "classification"
    predictive: str | Predictive = "calibrated"
    approximation: str = "none"
    rank: int | None = None
    tolerance: float = 0.02
    solver: str = "cholesky"
    solver_tolerance: float = 1e-6

    def __post_init__(self) -> None:
        checks.one_of("task", self.task, TASKS)
        checks.one_of("criterion", self.criterion, CRITERIA)
        if self.criterion not in (fitting := TASKS[self.task].criteria):
            raise ValueError(
                f"criterion={self.criterion!r} is about classes and does not fit "
                f"task={self.task!r}; these do: {', '.join(sorted(fitting))}"
            )
        checks.one_of("readout", self.readout, (*READOUTS, ALL_LOGITS))
        checks.one_of("reference", self.reference, REFERENCES)
        checks.one_of("precision", self.precision, PRECISIONS)
        if self.ridge is None or (isinstance(self.ridge, str) and self.ridge != LEAVE_ONE_OUT):
            raise TypeError(f"ridge must be a number or {LEAVE_ONE_OUT!r}, got {self.ridge!r}")
        if not (isinstance(self.ridge, str) or checks.is_traced(self.ridge)):
            checks.at_least("ridge", self.ridge, 0)
        if self.memory_budget is not None:
            checks.positive("memory_budget", self.memory_budget)
        sharding.check(self.mesh)
        check_predictive(self.predictive)
        chosen = self.predictive
        on_simplex = chosen.simplex if isinstance(chosen, Predictive) else chosen == "simplex"
        if self.criterion == "log_score" and on_simplex:
            raise ValueError(
                "criterion='log_score' needs probabilities above zero, which predictive='simplex' "
                "does not give: the log score of a class with probability zero is infinite. Use "
                "predictive='calibrated', or criterion='brier'"
            )
        checks.one_of("approximation", self.approximation, APPROXIMATIONS)
        if self.rank is not None:
            if not isinstance(self.rank, int | np.integer):
                raise TypeError(f"rank must be an integer, got {self.rank!r}")
            checks.at_least("rank", self.rank, 2)
            if self.approximation == "none":
                raise ValueError(
                    "rank is the number of landmarks: it needs approximation='landmarks'"
                )
        checks.at_least("tolerance", self.tolerance, 0)
        checks.one_of("solver", self.solver, SOLVERS)
        checks.positive("solver_tolerance", self.solver_tolerance)
        least, most = SOLVER_TOLERANCES
        if not least <= self.solver_tolerance <= most:
            raise ValueError(
                f"solver_tolerance must be between {least:g} and {most:g}, got "
                f"{self.solver_tolerance:g}: numbers have no more digits than the one, and with "
                "the other, variances may be wrong already"
            )
        exact = self.approximation == "none" and self.solver == "cholesky"
        if self.readout == ALL_LOGITS and not (
            self.mesh is None and self.precision == "float32" and exact
        ):
            raise ValueError(
                "readout='all_logits' is for small problems: it takes neither a mesh nor a "
                "precision other than float32 nor an approximation nor solver='cg'"
            )


def check_predictive(choice: object) -> None:
    """Raises TypeError or ValueError unless ``choice`` is a ``Predictive`` or the name of one."""
    if isinstance(choice, Predictive):
        return
    if not isinstance(choice, str):
        raise TypeError(
            f"predictive must be one of {', '.join(PREDICTIVES)}, or an ntk_al.network.Predictive, "
            f"got {type(choice).__name__}"
        )
    checks.one_of("predictive", choice, PREDICTIVES)
