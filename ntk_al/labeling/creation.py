"""The first event of a campaign: what belongs to it and never changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ntk_al.labeling.classes import Classes
from ntk_al.labeling.events import FORMAT, Created, Entry, Id
from ntk_al.labeling.sources import Source

_AUDIT_SHARE = 0.05
_LEAST_AUDIT, _MOST_AUDIT = 40, 100
_MOST_AUDIT_SHARE = 0.2
_SHOWN = 5  # ids in a message


def created(source: Source, classes: Classes, audit: float | int | None, seed: Any) -> Created:
    """Makes the first event, for which the audit is drawn and the pool is read.

    Raises:
      TypeError: if an argument has the wrong type.
      ValueError: if the pool holds no inputs, or an argument does not fit it.
    """
    num, seed = len(source), at_least_zero("seed", seed)
    order = np.random.default_rng(seed).permutation(num)
    return Created(
        format=FORMAT,
        num_examples=num,
        pool=source.digest(),
        example=_example(source),
        num_classes=classes.num,
        audit=order[: _size_of_audit(audit, num)].tolist(),
        seed=seed,
        class_names=classes.names,
    )


def of_entries(entries: Sequence[Entry]) -> Created:
    """Returns the first event of a log."""
    first = entries[0].event
    assert isinstance(first, Created)
    return first


def check_pool(
    folder: str, source: Source, created: Created, ids: Sequence[Id] | None = None
) -> None:
    """Raises ValueError unless a pool is the one with which a campaign was created.

    Args:
      folder: where the campaign is kept.
      source: the pool.
      created: the first event.
      ids: the ids of the campaign, if its user or its source chose them.
    """
    go_on = (
        f"The labels are safe: ntk-al campaign export {folder} --out=labels.csv writes them, and "
        "another campaign on the pool of now can import that file"
    )
    if len(source) != created.num_examples:
        raise ValueError(
            f"the pool has {len(source)} examples, but the campaign in {folder} was created with "
            f"{created.num_examples}{_changes(source.ids, ids)}: pass the same pool. {go_on}"
        )
    if source.digest() != created.pool:
        example = _example(source)
        differs = (
            f"an example is {example} and was {created.example}"
            if example != created.example
            else "their shape is the same, but their content or their ids differ"
            + _changes(source.ids, ids)
        )
        raise ValueError(
            f"the examples of the pool are not those with which the campaign in {folder} was "
            f"created: {differs}. Pass the same ones, prepared in the same way and in the same "
            f"order. {go_on}"
        )


def _changes(now: Sequence[Id] | None, before: Sequence[Id] | None) -> str:
    """Says which examples are gone and which are new, if their ids tell."""
    if now is None or before is None:
        return ""
    lists = (("gone", {*before} - {*now}), ("new", {*now} - {*before}))
    told = [
        f"{name}: {', '.join(sorted(map(str, found))[:_SHOWN])}"
        + (f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else "")
        for name, found in lists
        if found
    ]
    return f" ({'; '.join(told)})" if told else ""


def _example(source: Source) -> str:
    x = source.take(np.arange(1))
    return f"{'x'.join(map(str, x.shape[1:])) or 'a number'}, {x.dtype}"


def _size_of_audit(audit: float | int | None, num: int) -> int:
    if audit is None:
        wanted = min(max(round(_AUDIT_SHARE * num), _LEAST_AUDIT), _MOST_AUDIT)
        return min(wanted, int(_MOST_AUDIT_SHARE * num))
    if isinstance(audit, bool) or not isinstance(audit, int | float | np.number):
        raise TypeError(f"audit must be a number or a share of examples, got {audit!r}")
    whole = isinstance(audit, int | np.integer)
    size = int(audit) if whole else round(num * audit) if 0 <= audit < 1 else -1
    if not 0 <= size < num:
        raise ValueError(
            f"audit must be a number of examples below {num}, or a share of them below 1, got "
            f"{audit!r}"
        )
    return size


def at_least_zero(name: str, value: Any) -> int:
    """Returns a whole number, or raises ValueError."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 0:
        raise ValueError(f"{name} must be a whole number of at least 0, got {value!r}")
    return int(value)
