"""What programs take: estimates, and what XLA says."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntk_al import Network, models, training
from ntk_al.kernels.empirical import measure
from ntk_al.kernels.empirical.costs import Costs, Pass
from ntk_al.kernels.empirical.demand import Demand
from ntk_al.kernels.empirical.limits import CPU
from ntk_al.kernels.empirical.programs import Setting
from ntk_al.kernels.empirical.rounding import Product
from ntk_al.kernels.empirical.steps import Group, LayerRows, LeafRows
from ntk_al.kernels.empirical.survey import survey

EXACT = Product("float32", "cpu")


def of_model(name, shape, **options):
    x = np.ones((2, *shape), np.float32)
    return training.initialize(jax.random.key(0), models.build(name, 3, **options), x), x


def scales():
    """A network whose parameters have no rule."""
    scale = np.linspace(-1, 1, 4000, dtype=np.float32)
    network = Network.from_function(
        lambda p, x: jnp.tanh(x * p).reshape(len(x), 2, -1).sum(2), scale
    )
    return network, np.ones((2, 4000), np.float32)


NETWORKS = {
    "convnet": lambda: of_model("convnet", (12, 12, 3), width=16),
    "wide_resnet": lambda: of_model("wide_resnet", (12, 12, 3), width=16),
    "scales": scales,
}


def demand_of(network, x):
    found = survey(network, x)
    return Demand(found.layers, found.leaves, (100,), ((0, 0),), EXACT, example_bytes=4 * x[0].size)


def group_of(demand):
    leaves = (LeafRows(demand.leaves),) if demand.leaves else ()
    return Group((*map(LayerRows, demand.layers), *leaves))


@pytest.mark.parametrize("name", NETWORKS)
def test_estimates_of_passes_are_not_far_from_what_xla_says(name):
    network, x = NETWORKS[name]()
    demand = demand_of(network, x)
    one = Pass(group_of(demand), 32)
    asked = measure.with_xla(
        lambda limits: Setting("first_logit", EXACT, limits, None), network, x, jnp.float32
    )
    costs = Costs(demand, asked)
    estimated = costs.of(one)
    assert costs.learn(CPU, [one])
    assert 0.5 * costs.of(one) < estimated < 2 * costs.of(one)
    assert not costs.learn(CPU, [one])


def test_what_is_learned_of_one_pass_corrects_the_estimates_of_others():
    demand = demand_of(*NETWORKS["convnet"]())
    known, unknown = (Pass(group_of(demand), num) for num in (32, 8))
    before = Costs(demand).of(known), Costs(demand).of(unknown)
    costs = Costs(demand, lambda limits, program: 3 * before[0])
    costs.learn(CPU, [known])
    assert costs.of(known) == 3 * before[0]
    assert costs.of(unknown) == pytest.approx(3 * before[1], rel=1e-3)
