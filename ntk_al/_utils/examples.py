"""Batches of examples: an array ``[N, ...]``, or a pytree of arrays with a common first axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ntk_al._utils import checks
from ntk_al._utils.lazy_array import Joined, LazyArray
from ntk_al.types import ArrayLike, PyTree

Rows = slice | np.ndarray | list[int]


def count(x: PyTree) -> int:
    """Returns N, the number of examples."""
    return len(jax.tree.leaves(x)[0])


def take(x: PyTree, rows: Rows) -> PyTree:
    """Returns some of the examples."""
    if isinstance(rows, list):
        rows = np.asarray(rows, np.int64)
    return jax.tree.map(lambda a: a[rows], x)


def stack(parts: Sequence[PyTree]) -> PyTree:
    """Joins batches of examples; on the host if all of them are there, and unread if any is."""

    def joined(*arrays: ArrayLike) -> ArrayLike | LazyArray:
        if any(isinstance(a, LazyArray | np.memmap) for a in arrays):
            return Joined(arrays)
        on_host = all(isinstance(a, np.ndarray) for a in arrays)
        return np.concatenate(arrays) if on_host else jnp.concatenate(arrays)

    return parts[0] if len(parts) == 1 else jax.tree.map(joined, *parts)


def fill(x: PyTree, size: int) -> PyTree:
    """Repeats the last example, which is a valid input, until there are ``size``."""
    missing = size - count(x)
    if missing <= 0:
        return x

    def filled(a: ArrayLike | LazyArray) -> ArrayLike:
        a = a[:] if isinstance(a, LazyArray) else a
        xp = np if isinstance(a, np.ndarray) else jnp
        return xp.concatenate([a, xp.broadcast_to(a[-1:], (missing, *a.shape[1:]))])

    return jax.tree.map(filled, x)


def read(x: PyTree) -> PyTree:
    """Reads examples that have not been read yet."""
    return jax.tree.map(lambda a: a[:] if isinstance(a, LazyArray) else a, x)


def shapes(x: PyTree, num: int | None = None) -> PyTree:
    """Returns the shapes and dtypes of a batch, or of a batch of ``num`` such examples."""

    def shape(a: ArrayLike) -> jax.ShapeDtypeStruct:
        rows = len(a) if num is None else num
        return jax.ShapeDtypeStruct((rows, *a.shape[1:]), jax.dtypes.canonicalize_dtype(a.dtype))

    return jax.tree.map(shape, x)


def describe(x: PyTree) -> str:
    """Describes inputs in messages, by shape and dtype."""
    named = [f"{_suffix(path)} {a.shape} {a.dtype}".strip() for path, a in _leaves(x)]
    return ", ".join(named)


def numbered(x: PyTree) -> np.ndarray:
    """Returns a number for each example, ``[N]``, which copies share and others do not.

    Examples:
      >>> numbered(np.array([[3, 4], [1, 2], [3, 4]])).tolist()
      [1, 0, 1]
    """
    number = np.zeros(count(x), int)
    for leaf in jax.tree.leaves(read(x)):
        rows = np.ascontiguousarray(leaf).reshape(len(number), -1)
        if not rows.size:
            continue
        content = rows.view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1]))).ravel()
        of_leaf = np.unique(content, return_inverse=True)[1].reshape(-1)
        pairs = np.stack([number, of_leaf])
        number = np.unique(pairs, axis=1, return_inverse=True)[1].reshape(-1)
    return number


def num_bytes(x: PyTree) -> int:
    """Returns the bytes of one example."""
    return sum(a[0].size * a.dtype.itemsize for a in jax.tree.leaves(x))


def on_devices(x: PyTree) -> PyTree:
    """Puts examples on the default device; unlike ``jnp.asarray``, this compiles nothing."""
    return jax.device_put(x)


def on_host(x: PyTree) -> PyTree:
    """Copies examples to the host, unless they are traced: there, slices compile nothing."""

    def copied(a: ArrayLike | LazyArray) -> ArrayLike | LazyArray:
        if isinstance(a, LazyArray):
            return a
        is_key = jnp.issubdtype(a.dtype, jax.dtypes.prng_key)  # NumPy has no PRNG keys
        return a if is_key else np.asarray(a)

    return x if checks.is_traced(x) else jax.tree.map(copied, x)


def check(name: str, x: PyTree) -> None:
    """Checks that ``x`` is a non-empty batch of finite inputs.

    Raises:
      TypeError: if a leaf is not an array of real numbers, or ``x`` is a list.
      ValueError: if it is not a batch, is empty or has entries that are not finite, or if the
        leaves differ in their number of examples.
    """
    check_structure(name, x)
    axes = 1 if _is_tree(x) else 2
    for path, leaf in _leaves(x):
        checks.inputs(name + _suffix(path), leaf, axes=axes)


def check_structure(name: str, x: PyTree) -> None:
    """Checks that ``x`` is a non-empty batch, whatever its entries.

    Raises:
      TypeError: if a leaf is not an array, or ``x`` is a list.
      ValueError: if it is empty, or if the leaves differ in their number of examples.
    """
    if isinstance(x, list):
        raise TypeError(
            f"{name} is a list; make one array of it with np.stack({name}), whose first axis "
            "numbers the examples, or pass a tuple or dict of such arrays"
        )
    leaves = {name + _suffix(path): leaf for path, leaf in _leaves(x)}
    if not leaves:
        raise ValueError(f"{name} holds no arrays")
    for of_leaf, leaf in leaves.items():
        checks.batch(of_leaf, leaf)
    sizes = {of_leaf: len(leaf) for of_leaf, leaf in leaves.items()}
    if len(set(sizes.values())) > 1:
        counts = ", ".join(f"{leaf} has {size}" for leaf, size in sizes.items())
        raise ValueError(f"the arrays of {name} must have one row for each example: {counts}")


def check_alike(first: str, x1: PyTree, second: str, x2: PyTree) -> None:
    """Raises ValueError unless the examples of both batches have the same structure and shapes."""
    structures: list[Any] = [jax.tree.structure(x1), jax.tree.structure(x2)]
    if structures[0] != structures[1]:
        raise ValueError(
            f"{first} and {second} differ in structure: {structures[0]} and {structures[1]}"
        )
    for (path, a), (_, b) in zip(_leaves(x1), _leaves(x2), strict=True):
        checks.same_example_shape(first + _suffix(path), a, second + _suffix(path), b)


def _is_tree(x: Any) -> bool:
    return not jax.tree_util.treedef_is_leaf(jax.tree.structure(x))


def _leaves(x: PyTree) -> list[tuple[Any, ArrayLike]]:
    return jax.tree_util.tree_flatten_with_path(x)[0]


def _suffix(path: Any) -> str:
    return jax.tree_util.keystr(path)
