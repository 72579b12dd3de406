"""Products of Jacobian entries in a chosen precision, always accumulated in float32 or wider."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp

from ntk_al.types import Array

PRECISIONS = ("float32", "bfloat16_3x", "tensorfloat32", "bfloat16")
"""How the entries of the Jacobian are rounded before they are multiplied.

``float32`` does not round (and float64 stays float64). ``bfloat16_3x`` splits each entry into a
large and a small bfloat16 number and drops only the product of the two small ones.
``tensorfloat32`` keeps 10 bits of the mantissa, and ``bfloat16`` keeps 7. The kernel of rounded
entries is still positive semidefinite.
"""

_Algorithm = jax.lax.DotAlgorithmPreset


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
        dtype = jnp.promote_types(jnp.promote_types(a.dtype, b.dtype), jnp.float32)
        if self.precision == "bfloat16_3x":
            if self.backend != "cpu":
                return _einsum(subscripts, a, b, _Algorithm.BF16_BF16_F32_X3, dtype)
            (a_high, a_low), (b_high, b_low) = _split(a), _split(b)
            return (
                self.exact(subscripts, a_high, b_high)
                + self.exact(subscripts, a_high, b_low)
                + self.exact(subscripts, a_low, b_high)
            )
        if self.precision == "tensorfloat32" and self.backend == "gpu":
            return _einsum(subscripts, a, b, _Algorithm.TF32_TF32_F32, dtype)
        return self.exact(subscripts, self.round(a), self.round(b))

    def exact(self, subscripts: str, a: Array, b: Array) -> Array:
        """Computes an ``einsum`` without rounding; by default, recent GPUs would use TF32."""
        dtype = jnp.promote_types(jnp.promote_types(a.dtype, b.dtype), jnp.float32)
        return _einsum(subscripts, a, b, jax.lax.Precision.HIGHEST, dtype)

    def round(self, entries: Array) -> Array:
        """Rounds entries to the form in which they are multiplied and can be stored."""
        if self.precision == "bfloat16":
            return entries.astype(jnp.bfloat16)
        if self.precision == "tensorfloat32":
            return jax.lax.reduce_precision(entries, exponent_bits=8, mantissa_bits=10)
        return entries

    def stored_bytes(self, entry_bytes: int) -> int:
        """Returns the bytes of a rounded entry that takes ``entry_bytes`` unrounded."""
        return 2 if self.precision == "bfloat16" else entry_bytes


def _einsum(subscripts: str, a: Array, b: Array, precision: object, dtype: jnp.dtype) -> Array:
    return jnp.einsum(subscripts, a, b, precision=precision, preferred_element_type=dtype)  # type: ignore[call-overload]


def _split(entries: Array) -> tuple[Array, Array]:
    high = jax.lax.reduce_precision(entries, exponent_bits=8, mantissa_bits=7)
    low = jax.lax.reduce_precision(entries - high, exponent_bits=8, mantissa_bits=7)
    return high, low
