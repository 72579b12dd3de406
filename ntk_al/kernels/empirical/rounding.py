"""Products of Jacobian entries in a chosen precision, always accumulated in float32 or wider."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp

from ntk_al.types import Array

PRECISIONS = ("float32", "bfloat16_3x", "tensorfloat32", "bfloat16")
"""How the entries of the Jacobian are rounded before they are multiplied.

``float32`` does not round (and float64 stays float64). ``bfloat16_3x`` rounds each entry to the sum
of a large and a small bfloat16 number, which together keep about 16 bits of the mantissa.
``tensorfloat32`` keeps 10 bits, and ``bfloat16`` keeps 7. In each of them, every product of two
rounded entries is exact, so the kernel is that of the rounded entries: it is positive semidefinite
up to the rounding of its sums, about 1e-6 of the diagonal. (JAX's ``BF16_BF16_F32_X3`` leaves out
the product of the small numbers. Its matrix had eigenvalues of −7e-5 of the diagonal, and ridges
below that ranked noise.)

How well candidates are ranked depends on the ridge, too. On a kernel whose rank is below the number
of labels, Spearman correlations with the exact ranking were, in the order above, 1.0000, 1.0000,
0.9999 and 0.992 at a ridge of 1e-4, and 0.97, 0.95, 0.87 and 0.59 at 1e-6.
"""

_ROUNDED = ("tensorfloat32", "bfloat16")
_Algorithm = jax.lax.DotAlgorithmPreset


def exact_passes(precision: str = "float32") -> contextlib.AbstractContextManager[object]:
    """Within a block, computes the factors of the Jacobian as exactly as ``precision`` promises.

    In float32, layers of a network multiply in TF32 on recent GPUs and in bfloat16 on TPUs unless
    told otherwise. Their gradients would have three digits, of which no later product tells.
    Layers and processes that name a precision of their own keep it.

    Args:
      precision: one of ``PRECISIONS``; for the two that round more than this, nothing changes.
    """
    config: Any = jax.config
    if precision in _ROUNDED or config.jax_default_matmul_precision is not None:
        return contextlib.nullcontext()
    return jax.default_matmul_precision("highest")


@dataclasses.dataclass(frozen=True)
class Product:
    """Multiplies arrays of Jacobian entries, or of the factors of such entries.

    Attributes:
      precision: one of ``PRECISIONS``.
      backend: ``"cpu"``, ``"gpu"`` or ``"tpu"``. GPUs and TPUs have units for the short formats. A
        CPU computes the same numbers with float32 arithmetic, so it gains no speed.
    """

    precision: str
    backend: str

    def __call__(self, subscripts: str, a: Array, b: Array) -> Array:
        """Computes the ``einsum`` of two operands in the chosen precision."""
        dtype = _accumulator(a, b)
        if self.precision == "bfloat16_3x":
            (a_high, a_low), (b_high, b_low) = _split(a), _split(b)
            if self.backend == "cpu":  # which has no units for bfloat16
                return self.exact(subscripts, a_high + a_low, b_high + b_low)
            pairs = ((a_low, b_low), (a_low, b_high), (a_high, b_low), (a_high, b_high))
            return functools.reduce(jnp.add, (_short(subscripts, *p) for p in pairs)).astype(dtype)
        if self.precision == "tensorfloat32" and self.backend == "gpu":
            return _einsum(subscripts, a, b, _Algorithm.TF32_TF32_F32, dtype)
        return self.exact(subscripts, self.round(a), self.round(b))

    def exact(self, subscripts: str, a: Array, b: Array) -> Array:
        """Computes an ``einsum`` without rounding; by default, recent GPUs would use TF32."""
        dtype = _accumulator(a, b)
        return _einsum(subscripts, a, b, jax.lax.Precision.HIGHEST, dtype)

    def round(self, entries: Array) -> Array:
        """Rounds entries to the form in which they are multiplied and can be stored."""
        if self.precision == "bfloat16":
            return entries.astype(jnp.bfloat16)
        if self.precision == "tensorfloat32":
            return jax.lax.reduce_precision(entries, exponent_bits=8, mantissa_bits=10)
        return entries

    @property
    def rounds_stored(self) -> bool:
        """Whether ``round`` makes another array."""
        return self.precision in _ROUNDED

    @property
    def rounds_operands(self) -> bool:
        """Whether a product of stored entries makes rounded copies of its operands."""
        if self.precision == "tensorfloat32":
            return self.backend != "gpu"
        return self.precision == "bfloat16_3x"

    def stored_bytes(self, entry_bytes: int) -> int:
        """Returns the bytes of a rounded entry that takes ``entry_bytes`` unrounded."""
        return 2 if self.precision == "bfloat16" else entry_bytes


def _accumulator(a: Array, b: Array) -> jnp.dtype:
    return jnp.dtype(jnp.float64 if jnp.float64 in (a.dtype, b.dtype) else jnp.float32)


def _einsum(subscripts: str, a: Array, b: Array, precision: object, dtype: jnp.dtype) -> Array:
    return jnp.einsum(subscripts, a, b, precision=precision, preferred_element_type=dtype)  # type: ignore[call-overload]


def _short(subscripts: str, a: Array, b: Array) -> Array:
    """Computes an ``einsum`` of bfloat16 numbers that are stored in a wider format."""
    a, b = a.astype(jnp.bfloat16), b.astype(jnp.bfloat16)
    return _einsum(subscripts, a, b, jax.lax.Precision.HIGHEST, jnp.dtype(jnp.float32))


def _split(entries: Array) -> tuple[Array, Array]:
    high = jax.lax.reduce_precision(entries, exponent_bits=8, mantissa_bits=7)
    low = jax.lax.reduce_precision(entries - high, exponent_bits=8, mantissa_bits=7)
    return high, low
