"""The choices of a look-ahead score, their defaults, and what they may be."""

from __future__ import annotations

import dataclasses

from jax.sharding import Mesh

from ntk_al._utils import checks, sharding
from ntk_al.kernels import PRECISIONS
from ntk_al.lookahead.criteria import CRITERIA
from ntk_al.lookahead.posterior import RIDGE
from ntk_al.network import READOUTS

REFERENCES = ("network", "linearized")
"""What a change of outputs is measured from: f, as Eq. 13 prints it, or the retrained mean."""

ALL_LOGITS = "all_logits"
"""In place of a read-out: the LC × LC kernel of every pair of logits, for small problems."""


@dataclasses.dataclass(frozen=True)
class ScoreOptions:
    """The choices of a look-ahead score. Their defaults stand here and nowhere else.

    Attributes:
      criterion: what a change of outputs is worth, a key of ``CRITERIA``.
      readout: the scalar whose gradient makes the kernel, a key of ``network.READOUTS``; or
        ``"all_logits"`` for the kernel of every pair of logits, which needs C² times the memory and
        is for small problems.
      reference: ``"network"`` measures changes from f (Eq. 13 as printed), ``"linearized"`` from
        the retrained linearized network.
      ridge: λ / mean diag Θ(L, L); raised tenfold until the kernel can be factorized.
      precision: of the Jacobian's entries, see ``kernels.gram``. Everything after the kernel is
        computed in float64 where the device has it.
      memory_budget: bytes that the kernel may take on each device; ``None`` means most of what is
        free.
      mesh: devices with an axis ``pool`` that share the candidates; ``None`` means one device.

    Raises:
      TypeError: a ridge or a budget that is not a number.
      ValueError: an unknown name, a number out of range, a mesh without the one axis ``pool``, or
        all logits together with what their kernel does not support.
    """

    criterion: str = "mlmoc"
    readout: str = "first_logit"
    reference: str = "network"
    ridge: float = RIDGE
    precision: str = "float32"
    memory_budget: int | None = None
    mesh: Mesh | None = None

    def __post_init__(self) -> None:
        checks.one_of("criterion", self.criterion, CRITERIA)
        checks.one_of("readout", self.readout, (*READOUTS, ALL_LOGITS))
        checks.one_of("reference", self.reference, REFERENCES)
        checks.one_of("precision", self.precision, PRECISIONS)
        if not checks.is_traced(self.ridge):
            checks.at_least("ridge", self.ridge, 0)
        if self.memory_budget is not None:
            checks.positive("memory_budget", self.memory_budget)
        sharding.check(self.mesh)
        if self.readout == ALL_LOGITS and (self.mesh is not None or self.precision != "float32"):
            raise ValueError(
                "readout='all_logits' is for small problems: it takes neither a mesh nor a "
                "precision other than float32"
            )
