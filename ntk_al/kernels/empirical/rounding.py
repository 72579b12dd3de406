"""Products of Jacobian entries in a stated precision, always accumulated in float32 or wider."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp

from ntk_al.types import Array

PRECISIONS = ("float32", "bfloat16_3x", "tensorfloat32", "bfloat16")
"""How the entries of the Jacobian are rounded before they are multiplied.

``float32`` rounds nothing (float64 stays float64). ``bfloat16_3x`` splits each entry into two
bfloat16 numbers and drops only the product of the two small ones. ``tensorfloat32`` keeps 10 bits
of the mantissa and ``bfloat16`` 7. Rounded entries still make a positive semidefinite kernel.
"""

_Algorithm = jax.lax.DotAlgorithmPreset


@dataclasses.dataclass(frozen=True)
class Product:
    """Multiplies arrays of Jacobian entries, or of the factors that they are made of.

    Attributes:
      precision: one of ``PRECISIONS``.
      backend: ``"cpu"``, ``"gpu"`` or ``"tpu"``: the two last have units for the short formats. A
        CPU computes the same numbers with float32 arithmetic, and is not faster for it.
    """

    precision: str
    backend: str

    def __call__(self, subscripts: str, a: Array, b: Array) -> Array:
        """``einsum`` of two operands."""
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
        """``einsum`` without rounding; recent GPUs would use TF32 unless told otherwise."""
        dtype = jnp.promote_types(jnp.promote_types(a.dtype, b.dtype), jnp.float32)
        return _einsum(subscripts, a, b, jax.lax.Precision.HIGHEST, dtype)

    def round(self, entries: Array) -> Array:
        """The entries as they are multiplied, and may be stored."""
        if self.precision == "bfloat16":
            return entries.astype(jnp.bfloat16)
        if self.precision == "tensorfloat32":
            return jax.lax.reduce_precision(entries, exponent_bits=8, mantissa_bits=10)
        return entries

    def stored_bytes(self, entry_bytes: int) -> int:
        """Bytes of an entry of so many bytes once it is rounded."""
        return 2 if self.precision == "bfloat16" else entry_bytes


def _einsum(subscripts: str, a: Array, b: Array, precision: object, dtype: jnp.dtype) -> Array:
    return jnp.einsum(subscripts, a, b, precision=precision, preferred_element_type=dtype)  # type: ignore[call-overload]


def _split(entries: Array) -> tuple[Array, Array]:
    high = jax.lax.reduce_precision(entries, exponent_bits=8, mantissa_bits=7)
    low = jax.lax.reduce_precision(entries - high, exponent_bits=8, mantissa_bits=7)
    return high, low
