from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from experiments.benchmarks import evaluation_points
from experiments.benchmarks.harness import entry
from ntk_al import lookahead
from ntk_al.lookahead import posterior
from ntk_al.types import GramBlocks

U, C = 12, 3


@pytest.fixture
def belief():
    rng = np.random.default_rng(0)
    factor = rng.normal(size=(U + 4, 6))
    theta = factor @ factor.T + 0.1 * np.eye(U + 4)
    blocks = GramBlocks.square(*map(jnp.asarray, (theta[:4, :4], theta[:4, 4:], theta[4:, 4:])))
    return posterior.condition(blocks, rng.normal(size=(4, C)), rng.normal(size=(U, C)), ridge=0.1)


def test_samples_of_every_kind_are_compared():
    rows = entry.run(evaluation_points.BENCHMARK, ["--quick"])
    assert [row["sample"] for row in rows] == 2 * list(evaluation_points.SAMPLES)
    assert all(0 < row["spearman"] <= 1 for row in rows)


def test_all_points_give_the_scores_of_the_package(belief):
    given = evaluation_points.Given(belief, np.zeros((U, 1)))
    np.testing.assert_allclose(given.scores(None), lookahead.score_posterior(belief), rtol=1e-5)
    everything = np.arange(U), np.ones(U)
    np.testing.assert_allclose(given.scores(everything), given.scores(None))


@pytest.mark.parametrize("name", evaluation_points.SAMPLES)
def test_weights_of_a_sample_stand_for_all_points(name, belief):
    given = evaluation_points.Given(belief, np.random.default_rng(1).normal(size=(U, 2)))
    sums = []
    for seed in range(200):
        rows, weights = evaluation_points.SAMPLES[name](np.random.default_rng(seed), given, 6)
        assert len(set(rows.tolist())) == len(rows) <= 6
        sums.append(weights.sum())
    assert np.mean(sums) == pytest.approx(U, rel=0.1)
