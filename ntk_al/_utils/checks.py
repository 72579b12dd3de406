"""Checks of arguments that fail early and with a readable message.

Under ``jax.jit``, an argument is a tracer. Its shape and dtype are checked, but its values are not
known yet.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ntk_al.types import Array, ArrayLike

_PART_BYTES = 64 * 2**20


def is_traced(*trees: object) -> bool:
    """Returns whether any leaf is a tracer, whose values are not known yet."""
    return any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree_util.tree_leaves(trees))


def one_of(kind: str, name: str, known: Mapping[str, object] | Iterable[str]) -> None:
    """Raises a ValueError that lists the known names, unless ``name`` is one of them.

    Examples:
      >>> one_of("criterion", "mloc", ["mlmoc", "emoc"])
      Traceback (most recent call last):
      ValueError: unknown criterion 'mloc'; known: emoc, mlmoc
    """
    names = sorted(known)
    if name not in names:
        raise ValueError(f"unknown {kind} {name!r}; known: {', '.join(names)}")


def positive(name: str, value: float) -> None:
    """Raises ValueError unless ``value`` is a finite number above zero."""
    _number(name, value)
    if not (np.isfinite(value) and value > 0):
        raise ValueError(f"{name} must be a positive finite number, got {value!r}")


def whole(name: str, value: int) -> None:
    """Raises an error unless ``value`` is a whole number above zero.

    Raises:
      TypeError: if it is not an integer.
      ValueError: if it is not positive.

    Examples:
      >>> whole("epochs", 1.5)
      Traceback (most recent call last):
      TypeError: epochs must be a whole number, got 1.5
    """
    try:
        operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be a whole number, got {value!r}") from None
    positive(name, value)


def at_least(name: str, value: float, least: float) -> None:
    """Raises ValueError unless ``value`` is a finite number of at least ``least``."""
    _number(name, value)
    if not (np.isfinite(value) and value >= least):
        raise ValueError(f"{name} must be a finite number of at least {least}, got {value!r}")


def rate(name: str, value: float) -> None:
    """Raises ValueError unless 0 ≤ value < 1."""
    _number(name, value)
    if not 0 <= value < 1:
        raise ValueError(f"{name} must be a number of at least 0 and below 1, got {value!r}")


def _number(name: str, value: object) -> None:
    scalar_array = isinstance(value, jax.Array | np.ndarray) and value.ndim == 0
    if not (scalar_array or isinstance(value, int | float | np.number)):
        raise TypeError(f"{name} must be a number, got {value!r}")


def finite(name: str, x: ArrayLike, *, hint: str = "") -> None:
    """Raises a ValueError that names the first NaN or infinite entry of ``x``, if there is one.

    Tracers and integers pass.
    """
    if is_traced(x) or not jnp.issubdtype(x.dtype, jnp.inexact):
        return
    on_host = isinstance(x, np.ndarray) or jax.default_backend() == "cpu"
    if not on_host and bool(jnp.isfinite(x).all()):
        return
    # On the host nothing is compiled for the shape.
    num_bad, first = 0, tuple[int, ...]()
    for start, part in _parts(np.asarray(x) if isinstance(x, jax.Array) else x):
        bad = ~np.isfinite(part)
        if bad.any():
            if not num_bad:
                index = [int(i) for i in np.argwhere(bad)[0]]
                first = (start + index[0], *index[1:]) if index else ()
            num_bad += int(bad.sum())
    if num_bad:
        raise ValueError(
            f"{name} has {num_bad} NaN or infinite entries, the first at index {first}. " + hint
        )


def _parts(x: Any) -> Iterator[tuple[int, np.ndarray]]:
    """The rows of an array, which may lie in a file, in parts; each with its first row's number."""
    if x.ndim == 0 or len(x) == 0:
        yield 0, np.asarray(x)
        return
    of_row = x.dtype.itemsize * math.prod(x.shape[1:])
    step = max(1, _PART_BYTES // max(1, of_row))
    for start in range(0, len(x), step):
        yield start, np.asarray(x[start : start + step])


def key(name: str, key: object) -> None:
    """Raises TypeError unless ``key`` is one PRNG key, of the new style or of the old one."""
    if isinstance(key, jax.Array) and jnp.issubdtype(key.dtype, jax.dtypes.prng_key):
        if key.shape == ():
            return
        found = f"{key.shape} keys"
    elif isinstance(key, jax.Array | np.ndarray):
        if key.dtype == np.uint32 and key.shape == (2,):
            return
        found = f"an array of dtype {key.dtype} and shape {key.shape}"
    else:
        found = repr(key)
    raise TypeError(f"{name} must be a PRNG key, got {found}; make one with jax.random.key(0)")


_TO_NUMPY = {"pandas": ".to_numpy()", "polars": ".to_numpy()", "torch": ".numpy()"}
"""How the arrays of other libraries become NumPy arrays."""


def array(name: str, x: object) -> None:
    """Raises TypeError unless ``x`` is a NumPy or JAX array that does not hold Python objects.

    Examples:
      >>> array("x", [1, 2])
      Traceback (most recent call last):
      TypeError: x must be a NumPy or JAX array, got list
    """
    library = type(x).__module__.partition(".")[0]
    if library in _TO_NUMPY:
        raise TypeError(
            f"{name} must be a NumPy or JAX array, got a {library} {type(x).__name__}; "
            f"pass {name}{_TO_NUMPY[library]}"
        )
    if not hasattr(x, "shape") or not hasattr(x, "dtype"):
        raise TypeError(f"{name} must be a NumPy or JAX array, got {type(x).__name__}")
    if x.dtype == object:
        raise TypeError(
            f"{name} holds Python objects (dtype object). If they are arrays, they must have one "
            f"shape: np.stack({name}); if they are numbers, write {name}.astype(float), and for "
            f"class ids {name}.astype(int)"
        )


def inputs(name: str, x: ArrayLike, *, axes: int = 2) -> None:
    """Checks that ``x`` is a non-empty batch of finite inputs, ``[N, ...]``, with enough axes.

    Raises:
      TypeError: if ``x`` is not an array of real numbers.
      ValueError: if it is not a batch, is empty or has entries that are not finite.
    """
    batch(name, x, axes=axes)
    if not (jnp.issubdtype(x.dtype, jnp.number) or x.dtype == bool):
        raise TypeError(f"{name} must hold numbers, got dtype {x.dtype}")
    if jnp.issubdtype(x.dtype, jnp.complexfloating):
        raise TypeError(f"{name} must hold real numbers, got dtype {x.dtype}")
    finite(name, x, hint="Clean or drop these examples.")


def batch(name: str, x: ArrayLike, *, axes: int = 1) -> None:
    """Checks that ``x`` is a non-empty batch, ``[N, ...]``, with enough axes.

    Raises:
      TypeError: if ``x`` is not an array.
      ValueError: if it is not a batch, or is empty.
    """
    array(name, x)
    if x.ndim < axes and not (x.ndim == 1 and jnp.issubdtype(x.dtype, jnp.integer)):  # ids
        raise ValueError(f"{name} must be a batch [N, ...] of inputs, got shape {x.shape}")
    if x.shape[0] == 0:
        raise ValueError(f"{name} is empty: it has shape {x.shape}")


def same_example_shape(first: str, x1: ArrayLike, second: str, x2: ArrayLike) -> None:
    """Raises ValueError unless the examples of both batches have the same shape and kind.

    Integers and floats are different kinds, because integers are probably images that have not been
    normalized.
    """
    if x1.shape[1:] != x2.shape[1:]:
        raise ValueError(
            f"{first} holds examples of shape {x1.shape[1:]} but {second} of shape {x2.shape[1:]}; "
            "both must be prepared in the same way"
        )
    if jnp.issubdtype(x1.dtype, jnp.integer) != jnp.issubdtype(x2.dtype, jnp.integer):
        raise ValueError(
            f"{first} has dtype {x1.dtype} but {second} {x2.dtype}: one looks like raw images and "
            "the other like normalized ones; both must be prepared in the same way"
        )


def one_output_a_class(num_outputs: int) -> None:
    """Raises ValueError if a network has fewer outputs than there are classes, at least two."""
    if num_outputs < 2:
        raise ValueError(
            "the network has one output, but classification needs an output for each class, at "
            "least two. For two classes with one logit, train it on the targets 2.0 * y - 1 and "
            "use lookahead.score with task='binary'; for real-valued targets, train on floats and "
            "score with task='regression'"
        )


def labels(name: str, y: ArrayLike) -> ArrayLike:
    """Returns labels as an array.

    Args:
      name: the name of ``y`` in messages.
      y: an array or a list.

    Raises:
      TypeError: if they are neither an array nor a list, or are strings or other objects.
      ValueError: if a list is ragged.
    """
    if isinstance(y, list | tuple):
        try:
            y = np.asarray(y)
        except ValueError as error:
            raise ValueError(
                f"{name} is a ragged list, but every example needs a label of the same length"
            ) from error
    values = np.ravel(y)[:1].tolist() if isinstance(y, np.ndarray) else []
    if any(isinstance(value, str | bytes) for value in values):
        raise TypeError(
            f"{name} holds strings; encode them as class ids: "
            f"classes, {name} = np.unique({name}, return_inverse=True)"
        )
    array(name, y)
    return y


def count(name: str, y: ArrayLike, num_examples: int) -> None:
    """Raises ValueError unless there is one label for each example."""
    if len(y) != num_examples:
        raise ValueError(f"{name} has {len(y)} labels for {num_examples} examples")


_NO_LABEL = "Leave out the examples without a label."


def class_ids(name: str, y: ArrayLike, num_classes: int) -> None:
    """Raises ValueError if class ids are no whole numbers or outside 0..C-1; tracers pass."""
    if is_traced(y) or y.size == 0:
        return
    finite(name, y, hint=_NO_LABEL)
    if (broken := np.asarray(y) % 1 != 0).any():
        first = int(np.argmax(broken))
        raise ValueError(f"{name} must be class ids, but {np.ravel(y)[first]} is at index {first}")
    low, high = int(y.min()), int(y.max())
    if low < 0 or high >= num_classes:
        raise ValueError(
            f"{name} must be class ids in 0..{num_classes - 1}, one for each of the "
            f"{num_classes} outputs, got values from {low} to {high}"
        )


def numbers(y: ArrayLike) -> Array:
    """Converts to the default float dtype; on the host, where nothing is compiled for a shape."""
    dtype = jnp.result_type(float)
    return jnp.asarray(y, dtype) if is_traced(y) else jax.device_put(np.asarray(y, dtype))


def targets(name: str, y: ArrayLike, num_examples: int, num_classes: int) -> Array:
    """Converts class ids to one-hot targets, or checks real-valued targets.

    Args:
      name: the name of ``y`` in messages.
      y: class ids ``[N]`` or real-valued targets ``[N, C]``, as an array or a list.
      num_examples: N.
      num_classes: C.

    Returns:
      Real-valued targets, ``[N, C]``.

    Raises:
      TypeError: if ``y`` holds neither integer class ids nor real-valued targets.
      ValueError: if the shape is wrong, ids are out of range, or targets are not finite.

    Examples:
      >>> targets("y", [2, 0], num_examples=2, num_classes=3).tolist()
      [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    """
    y = labels(name, y)
    if y.ndim == 2 and jnp.issubdtype(y.dtype, jnp.number):
        if y.shape != (num_examples, num_classes):
            raise ValueError(
                f"{name} as real targets must have shape {(num_examples, num_classes)}, one column "
                f"for each output of the network, got {y.shape}; class ids are [N], not [N, 1]"
            )
        finite(name, y)
        return numbers(y)
    if y.ndim != 1 or not jnp.issubdtype(y.dtype, jnp.integer):
        finite(name, y, hint=_NO_LABEL)
        raise TypeError(
            f"{name} must be integer class ids [N] or real targets [N, C], got dtype {y.dtype} and "
            f"shape {y.shape}; for ids stored as floats write {name}.astype(int)"
        )
    count(name, y, num_examples)
    class_ids(name, y, num_classes)
    if is_traced(y):
        return jax.nn.one_hot(y, num_classes)
    return numbers(np.eye(num_classes, dtype=np.int8)[np.asarray(y)])


_ROUNDING = 1e-2  # in a sum of probabilities: that of 100 of them in bfloat16


def class_targets(name: str, y: ArrayLike, num_examples: int, num_classes: int) -> Array:
    """Converts class ids to one-hot targets, or checks probabilities of classes.

    Args:
      name: the name of ``y`` in messages.
      y: class ids ``[N]`` or probabilities ``[N, C]``, as an array or a list.
      num_examples: N.
      num_classes: C.

    Returns:
      Probabilities, ``[N, C]``.

    Raises:
      TypeError: if ``y`` holds neither integer class ids nor numbers.
      ValueError: as ``targets``, or if a row does not hold probabilities.
    """
    found = targets(name, y, num_examples, num_classes)
    if is_traced(found) or labels(name, y).ndim == 1:
        return found
    rows = np.asarray(found, np.float64)
    bad = (rows < -_ROUNDING).any(1) | (np.abs(rows.sum(1) - 1) > _ROUNDING)
    if bad.any():
        first = int(np.argmax(bad))
        raise ValueError(
            f"{name} must hold class ids [N] or probabilities of classes [N, C], but row {first} "
            f"does not hold probabilities: {rows[first]}. For a regression, lookahead.score and "
            "lookahead.select take task='regression'"
        )
    return found
