"""Kernels and scores of random networks against dense float64: one gradient at a time."""

from __future__ import annotations

import itertools
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from ntk_al import Network, kernels, lookahead
from ntk_al._utils import compat
from ntk_al.network import READOUTS
from tests import helpers
from tests.fuzz import networks

KERNEL_TOLERANCE = 2e-5  # of the largest entry
SCORE_TOLERANCE = 2e-3


def dense(apply, params, x, readout):
    """J Jᵀ and f in float64, with the same parameters and inputs."""
    with compat.enable_x64(True):
        wide = [jnp.asarray(a, jnp.float64) for a in params]
        x = jnp.asarray(x, jnp.float64 if x.dtype.kind == "f" else None)

        def of_readout(p, example):
            return READOUTS[readout](apply(p, example[None]))[0]

        rows = jax.jit(jax.vmap(jax.grad(of_readout), (None, 0)))(wide, x)
        flat = np.concatenate([np.asarray(row).reshape(len(x), -1) for row in rows], axis=1)
        return flat @ flat.T, np.asarray(jax.jit(apply)(wide, x))


_drawn = itertools.count(1)
_KEPT = 20


def draw(rng):
    """A network, inputs, a read-out, and the dense answer."""
    if next(_drawn) % _KEPT == 0:
        # Every program keeps pages of memory mapped, of which a process may only have so many.
        jax.clear_caches()
    num_outputs, readout = int(rng.integers(2, 5)), str(rng.choice(list(READOUTS)))
    apply, params, shape = networks.random_network(rng, num_outputs)
    x = networks.random_inputs(rng, shape, int(rng.integers(6, 12)))
    theta, f = dense(apply, params, x, readout)
    return Network.from_function(apply, params), x, readout, theta, f


def test_kernels_of_random_networks_are_made_of_single_gradients(fuzz):
    def case(rng):
        net, x, readout, theta, _ = draw(rng)
        cut = int(rng.integers(1, len(x)))
        found = kernels.blocks(net, x[:cut], x[cut:], readout=readout)
        found = np.block(
            [
                [found.labeled, found.labeled_pool],
                [np.transpose(found.labeled_pool), found.eval_pool],
            ]
        )
        error = np.abs(found - theta).max() / np.abs(theta).max()
        assert error <= KERNEL_TOLERANCE, f"{error:.3g} of the largest entry"
        return error

    fuzz(case, short=3, full=500)


@pytest.mark.filterwarnings("ignore:the outputs of the network")
def test_scores_of_random_networks_are_those_of_dense_refits(fuzz):
    def case(rng):
        net, x, readout, theta, f = draw(rng)
        num_labeled, num_eval = 3, int(rng.integers(2, len(x) - 3))
        options = {
            "criterion": str(rng.choice(["mlmoc", "emoc", "eer", "variance"])),
            "reference": str(rng.choice(lookahead.REFERENCES)),
            "ridge": float(10 ** rng.uniform(-2, 0)),
        }
        y = rng.integers(0, f.shape[1], num_labeled)
        labeled, evaluation = x[:num_labeled], x[num_labeled : num_labeled + num_eval]
        pool = x[num_labeled + num_eval :]
        expected = helpers.naive_scores(
            theta, f, np.eye(f.shape[1])[y], num_labeled=num_labeled, num_eval=num_eval, **options
        )
        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)
            found = np.asarray(
                lookahead.score(
                    net,
                    labeled,
                    y,
                    pool,
                    x_eval=evaluation,
                    readout=readout,
                    predictive=helpers.PREDICTIVE,
                    **options,
                )
            )
        error = np.abs(found - expected).max() / np.abs(expected).max()
        assert error <= SCORE_TOLERANCE, f"{error:.3g} of the largest score, {options}"
        if len(found) > 2 and np.ptp(expected) > 0.1 * np.abs(expected).max():
            assert scipy.stats.spearmanr(found, expected).statistic > 0.9 or len(found) < 5
        return error

    fuzz(case, short=3, full=500)
