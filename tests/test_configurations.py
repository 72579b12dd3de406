"""JAX's strict modes, whose prohibitions the public surface keeps, and float64."""

from __future__ import annotations

import contextlib

import jax
import numpy as np
import pytest

from ntk_al import kernels, lookahead, posterior, training
from ntk_al.acquisition import STRATEGIES, CandidateSet
from tests import helpers

MODES = {
    # Each only forbids something, so that what works with all of them works with each.
    "strict": {
        "jax_numpy_rank_promotion": "raise",
        "jax_numpy_dtype_promotion": "strict",
        "jax_debug_nans": True,
    },
    "float64": {"jax_enable_x64": True},
}
CHEAP = ("mlmoc", "ev_gp", "entropy", "coreset", "badge", "lcmd")
L, U, C = 6, 9, 3


@contextlib.contextmanager
def configured(values):
    before = {name: getattr(jax.config, name) for name in values}
    try:
        for name, value in values.items():
            jax.config.update(name, value)
        yield
    finally:
        for name, value in before.items():
            jax.config.update(name, value)


def sets():
    return helpers.images(L, seed=1), helpers.labels(L, seed=1), helpers.images(U, seed=2)


def belief(net, x_l, y_l, x_u):
    residual = np.eye(C, dtype=np.float32)[y_l] - np.asarray(net.predict(x_l))
    return posterior.condition(kernels.blocks(net, x_l, x_u), residual, net.predict(x_u))


def step(belief, row):
    after = belief.observe(row, row % C, move_network=True)
    return after, lookahead.score_posterior(after, criterion="emoc", predictive="softmax")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.filterwarnings("ignore:the outputs of the network")
def test_the_public_surface_works_in_modes_that_are_not_the_default(mode):
    net, one_logit, arrays = helpers.network(), helpers.network(num_classes=1), sets()
    x_l, y_l, x_u = arrays
    with configured(MODES[mode]):
        assert np.isfinite(lookahead.score(net, *arrays, criterion="emoc")).all()  # calibrated
        for criterion in ("eer", "flips"):
            options = {"criterion": criterion, "predictive": "softmax"}
            assert np.isfinite(lookahead.score(net, *arrays, **options)).all()
        for options in ({"x_eval": x_u[:5]}, {"readout": "all_logits"}):
            assert np.isfinite(lookahead.score(net, *arrays, **options)).all()
        lookahead.score(one_logit, x_l, y_l % 2, x_u, task="binary")
        lookahead.score(net, x_l, np.eye(C)[y_l], x_u, task="regression", criterion="emoc")
        kernels.gram(net, x_l, precision="bfloat16")
        assert len(set(lookahead.select(net, *arrays, 3).rows)) == 3
        given = belief(net, *arrays)
        after, scores = step(given, 2)
        jitted, of_jitted = jax.jit(step)(given, 2)
        np.testing.assert_allclose(jitted.mean, after.mean, atol=1e-6)
        np.testing.assert_allclose(of_jitted, scores, rtol=1e-4)
        candidates = CandidateSet(net, x_l, y_l, x_u, np.arange(U))
        for strategy in CHEAP:
            assert len(STRATEGIES[strategy](jax.random.key(0), candidates, 2).ids) == 2
        config = training.TrainingConfig(epochs=1, batch_size=4, learning_rate=0.01)
        assert np.isfinite(training.fit(jax.random.key(0), net, x_l, y_l, config)[1])


def test_programs_on_the_device_transfer_nothing():
    """Calls from the host take NumPy arrays and so move them; a program of one's own does not."""
    net, arrays = helpers.network(), sets()
    given, row = belief(net, *arrays), jax.device_put(np.int32(2))
    on_device = jax.device_put(arrays)
    with jax.transfer_guard("disallow"):
        jax.jit(step)(given, row)
        jax.jit(lookahead.score)(net, *on_device)
