"""Random posteriors: singular kernels, copies, ridges down to zero, and every criterion."""

from __future__ import annotations

import warnings

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from ntk_al import lookahead, posterior
from tests import helpers

SHAPES = [(3, 6, 2), (3, 12, 3), (10, 12, 3), (10, 20, 4)]  # few, because each compiles
STEPS = 4
REFUSALS = ("positive definite", "not finite", "can be scored")
CRITERIA = list(lookahead.CRITERIA)
WELL_CONDITIONED = 1e-4
"""From this ridge on, kernels in float32 determine the ranking."""


def draw(rng):
    """A kernel in float32 whose rank, scale and copies are random, a residual and outputs."""
    num_labeled, num_query, num_classes = SHAPES[rng.integers(len(SHAPES))]
    num = num_labeled + num_query
    rank = int(rng.integers(1, 2 * num))
    spectrum = 10 ** rng.uniform(-rng.uniform(0, 8), 0, rank)
    features = rng.normal(size=(num, rank)) * np.sqrt(spectrum)
    for _ in range(int(rng.integers(0, 4))):
        features[rng.integers(num)] = features[rng.integers(num)]
    theta = (10 ** rng.uniform(-4, 4) * features @ features.T).astype(np.float32)
    residual = rng.normal(size=(num_labeled, num_classes)) * 10 ** rng.uniform(-3, 0)
    logits = rng.normal(size=(num_query, num_classes))
    return theta, residual.astype(np.float32), logits.astype(np.float32)


def refit(theta, residual, logits, noise, rows, labels):
    """Mean and covariance of all labels at once, from the kernel in float64.

    The mean is a regression on Y − f, of which the first part is the given residual.
    """
    num_labeled = len(residual)
    theta = theta.astype(np.float64)
    known = np.r_[: len(residual), num_labeled + np.asarray(rows, int)]
    query = np.arange(num_labeled, len(theta))
    targets = np.vstack([residual, np.eye(logits.shape[1])[labels] - logits[rows]])
    a = theta[np.ix_(known, known)] + noise * np.eye(len(known))
    solved = np.linalg.solve(a, theta[np.ix_(known, query)])
    covariance = theta[np.ix_(query, query)] - theta[np.ix_(query, known)] @ solved
    return logits + solved.T @ targets, covariance


def plain_scores(criterion, mean, covariance, logits, noise):
    """One candidate and one label at a time."""
    scores = []
    for j, f in enumerate(logits):
        gain = covariance[:, j] / (covariance[j, j] + noise)
        if criterion == "variance":
            scores.append((gain * covariance[:, j]).sum())
            continue
        if criterion == "epig":
            explained = gain * covariance[:, j] / (np.diagonal(covariance) + noise)
            scores.append(-np.log1p(-explained).sum() / 2)
            continue

        def after(label, gain=gain, j=j):
            return mean + np.outer(gain, np.eye(len(mean[j]))[label] - mean[j])

        scores.append(helpers.PLAIN_CRITERIA[criterion](after, logits, f))
    return np.array(scores)


@pytest.mark.filterwarnings("ignore:.*(positive definite|rounding errors)")
def test_random_posteriors_are_those_of_refits_or_say_that_they_are_lost(fuzz):
    def case(rng):
        theta, residual, logits = draw(rng)
        ridge = 0.0 if rng.random() < 0.2 else float(10 ** rng.uniform(-12, 0))
        criterion = CRITERIA[rng.integers(len(CRITERIA))]
        rows = rng.integers(0, len(logits), STEPS)
        labels = rng.integers(0, logits.shape[1], STEPS)
        blocks = helpers.square_blocks(jnp.asarray(theta), len(residual))
        try:
            with warnings.catch_warnings(record=True) as said:
                warnings.simplefilter("always")
                belief = posterior.condition(blocks, residual, logits, ridge=ridge)
                for row, label in zip(rows, labels, strict=True):
                    belief = belief.observe(int(row), int(label))
                scores = np.asarray(
                    lookahead.score_posterior(
                        belief, criterion=criterion, predictive=helpers.PREDICTIVE
                    )
                )
        except ValueError as error:
            if ridge < WELL_CONDITIONED and any(reason in str(error) for reason in REFUSALS):
                return None
            raise
        mean, covariance = np.asarray(belief.mean), np.asarray(belief.covariance)
        assert np.isfinite(mean).all()
        assert np.isfinite(covariance).all()
        assert not np.isnan(scores).any()
        if ridge < WELL_CONDITIONED:
            return None
        assert not said, f"a warning at ridge {ridge:.3g}: {said[0].message}"
        noise = float(belief.noise)
        plain_mean, plain_covariance = refit(theta, residual, logits, noise, rows, labels)
        of_mean = np.abs(mean - plain_mean).max() / max(1, np.abs(plain_mean).max())
        of_covariance = np.abs(covariance - plain_covariance).max() / np.abs(theta).max()
        assert max(of_mean, of_covariance) < 1e-6, f"{of_mean:.3g}, {of_covariance:.3g}"
        plain = plain_scores(criterion, plain_mean, plain_covariance, logits, noise)
        off = np.abs(scores - plain).max() / np.abs(plain).max() if plain.any() else 0
        if criterion != "flips":  # a step; two equal outputs may fall on either side of it
            assert off < 1e-3, f"{criterion}: {off:.3g} of the largest score at ridge {ridge:.3g}"
            if np.ptp(plain) > 1e-2 * np.abs(plain).max():
                assert scipy.stats.spearmanr(scores, plain).statistic > 0.99
        return max(of_mean, of_covariance)

    fuzz(case, short=100, full=10_000)
