"""Asks XLA what the programs of a plan take; they are compiled by then, ready to run."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from ntk_al._utils import checks, examples
from ntk_al.kernels.empirical import programs
from ntk_al.kernels.empirical.costs import Measure, Pairs, Pass, Program
from ntk_al.kernels.empirical.factors import Layer
from ntk_al.kernels.empirical.limits import Limits
from ntk_al.kernels.empirical.programs import Setting
from ntk_al.kernels.empirical.survey import Survey, survey
from ntk_al.network import Network
from ntk_al.types import PyTree


def with_xla(
    setting: Callable[[Limits], Setting], network: Network, x: PyTree, dtype: jnp.dtype
) -> Measure | None:
    """Returns a function that finds out what a program takes on each device.

    Args:
      setting: makes the setting of the programs from the limits of a plan.
      network: the network, placed as in a pass.
      x: inputs; only the shape and dtype of an example matter.
      dtype: the dtype of the kernel.

    Returns:
      The function; ``None`` if arrays are traced, because programs then become parts of others.
    """
    if checks.is_traced((network, x)):
        return None

    known = _known.setdefault(survey(network, x), {})

    def measure(limits: Limits, program: Program) -> int | None:
        of_plan = setting(limits)
        if (of_plan, program) not in known:
            try:
                known[of_plan, program] = (
                    _of_pass(of_plan, network, x, program)
                    if isinstance(program, Pass)
                    else _of_pairs(of_plan, program, dtype)
                )
            except NotImplementedError:  # by this device, or by an old JAX for this network
                return None
        return known[of_plan, program]

    return measure


_known: weakref.WeakKeyDictionary[Survey, dict[tuple[Setting, Program], int | None]]
_known = weakref.WeakKeyDictionary()  # tracing alone would take longer than a small kernel


def _of_pass(setting: Setting, network: Network, x: PyTree, one: Pass) -> int | None:
    """The records of a chunk, and either the temporaries of recording or what reducing takes."""
    group = one.group
    chunk = setting.shapes(examples.shapes(x, one.num * setting.num_devices))
    recording = programs.record.lower(setting, group, network, chunk)
    recorded = recording.compile().memory_analysis()
    if recorded is None:
        return None
    most = recorded.temp_size_in_bytes
    if group.reducing:
        records = setting.shapes(group.reduced(group.records(recording.out_info)))
        reduced = programs.keep.lower(setting, group.reducing, records).compile().memory_analysis()
        most = max(most, reduced.output_size_in_bytes + reduced.temp_size_in_bytes)
    return int(recorded.output_size_in_bytes + most)


def _of_pairs(setting: Setting, pairs: Pairs, dtype: jnp.dtype) -> int | None:
    """The temporaries of the products, whose results are added in place."""
    work, layer = pairs.work, pairs.step.layer
    num = work.rows * setting.num_devices
    theta = setting.shapes(jax.ShapeDtypeStruct((num, work.columns), dtype))
    factors = [setting.shapes(_factor(layer, n)) for n in (num, work.columns)]
    lowered = programs.add_pairs.lower(setting, pairs.step, theta, *factors)
    taken = lowered.compile().memory_analysis()
    if taken is None:
        return None
    added = taken.output_size_in_bytes - taken.alias_size_in_bytes
    return int(added + taken.temp_size_in_bytes)


def _factor(layer: Layer, num: int) -> Any:
    """The shapes of what is recorded of some samples of a layer."""
    inputs = [jax.ShapeDtypeStruct((num, *a.shape), a.dtype) for a in layer.inputs]
    outputs = [
        jax.ShapeDtypeStruct((num, *a.shape), jnp.promote_types(a.dtype, jnp.float32))
        for a in layer.outputs
    ]
    return tuple(inputs), tuple(outputs)
