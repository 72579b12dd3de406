"""Plans fit into their budgets; the memory that they take is compared in ``tests/benchmarks``."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import pytest

from ntk_al import Network, models
from ntk_al.kernels.empirical.demand import Demand
from ntk_al.kernels.empirical.plan import BudgetError, make_plan
from ntk_al.kernels.empirical.rounding import Product
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
