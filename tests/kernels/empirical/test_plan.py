"""Plans fit into their budgets; the memory that they take is compared in ``tests/benchmarks``."""

from __future__ import annotations

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest

from ntk_al import Network, models
from ntk_al.kernels.empirical.demand import Demand
from ntk_al.kernels.empirical.plan import BudgetError, make_plan
from ntk_al.kernels.empirical.rounding import Product
from ntk_al.kernels.empirical.steps import LayerParts
from ntk_al.kernels.empirical.survey import survey

GIB = 2**30


def cifar100_protocol(backend):
    """10 000 labels and 6000 candidates, for ResNet18."""
    module = models.build("resnet18", 100)
    x = jax.ShapeDtypeStruct((10_000, 32, 32, 3), jnp.float32)
    variables = jax.eval_shape(
        lambda key: module.init(key, jnp.zeros((1, *x.shape[1:])), train=False), jax.random.key(0)
    )
    found = survey(Network(module, variables), x)
    return Demand(
        found.layers,
        found.leaves,
        (10_000, 6_000),
        ((0, 0), (0, 1), (1, 1)),
        Product("float32", backend),
        example_bytes=4 * 32 * 32 * 3,
    )


@pytest.mark.parametrize(("gigabytes", "passes"), [(80, 1), (8, 21)])
@pytest.mark.parametrize("backend", ["gpu", "cpu"])
@pytest.mark.quick
def test_resnet18_at_the_cifar100_protocol_fits(gigabytes, passes, backend):
    demand = cifar100_protocol(backend)
    budget = int(0.9 * gigabytes * GIB)
    plan = make_plan(demand, budget)
    assert plan.peak_bytes <= budget
    assert 1 <= len(plan.groups) <= passes
    assert [layer for group in plan.groups for layer in group.layers] == list(demand.layers)


@pytest.mark.quick
def test_a_plan_rests_on_what_is_measured():
    demand, budget = cifar100_protocol("cpu"), 16 * GIB
    estimated = make_plan(demand, budget)
    measured = []

    def more(limits, program):
        measured.append(program)
        return 5 * GIB

    plan = make_plan(demand, budget, more)
    assert 5 * GIB < plan.peak_bytes <= budget
    assert len(plan.groups) > len(estimated.groups)  # less is kept of the samples at a time
    assert len(set(measured)) == len(measured)  # nothing twice


@pytest.mark.quick
def test_a_plan_that_turns_out_too_large_is_refused_with_what_is_needed():
    demand = cifar100_protocol("cpu")
    with pytest.raises(BudgetError, match=r"needs about \d+ MiB"):
        make_plan(demand, 16 * GIB, lambda limits, program: 20 * GIB)


@pytest.mark.quick
def test_programs_queue_up_only_if_the_budget_has_room_for_them():
    demand = cifar100_protocol("cpu")
    assert not make_plan(demand, 200 * GIB).in_turn
    assert make_plan(demand, 16 * GIB).in_turn


def needed(demand):
    """What the refusal of a tiny budget says would be enough, in bytes."""
    with pytest.raises(BudgetError) as error:
        make_plan(demand, 1)
    return 2**20 * int(str(error.value).split("about ")[1].split(" MiB")[0])


@pytest.mark.quick
def test_a_budget_that_only_just_misses_is_refused_only_if_xla_says_so():
    # Of few samples, a pass takes more than what is kept of them.
    demand = dataclasses.replace(cifar100_protocol("cpu"), sizes=(20, 30))
    budget = int(needed(demand) / 1.2)
    assert make_plan(demand, budget, lambda limits, program: 1).peak_bytes <= budget
    with pytest.raises(BudgetError):
        make_plan(demand, budget)


@pytest.mark.quick
def test_a_budget_that_is_far_too_small_is_refused_before_anything_is_compiled():
    demand = cifar100_protocol("cpu")

    def never(limits, program):
        raise AssertionError

    with pytest.raises(BudgetError):
        make_plan(demand, needed(demand) // 4, never)


@pytest.mark.parametrize(("devices", "groups"), [(1, 1), (1, 4), (4, 1)])
@pytest.mark.quick
def test_a_part_of_the_rows_is_as_large_as_its_share_of_the_budget_allows(devices, groups):
    module = nn.Sequential(
        [nn.Conv(64, (3, 3), feature_group_count=groups), jnp.tanh, lambda y: y.mean((1, 2))]
    )
    x = jnp.zeros((1, 6, 6, 64))
    found = survey(Network(module, module.init(jax.random.key(0), x)), x)
    demand = Demand(
        found.layers,
        found.leaves,
        (2000,),
        ((0, 0),),
        Product("float32", "cpu"),
        example_bytes=4 * x.size,
        devices=devices,
    )
    plan = make_plan(demand, 10**8)
    ((part,),) = [[s for s in group.steps if isinstance(s, LayerParts)] for group in plan.groups]
    tile, layer = plan.tilings[0].size // devices, part.layer
    column_bytes = 4 * tile * groups * (64 // groups)
    assert part.columns * column_bytes <= plan.limits.rows
    assert part.columns == layer.num_channels or 2 * part.columns * column_bytes > plan.limits.rows
