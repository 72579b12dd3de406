from __future__ import annotations

import numpy as np
import pytest

from ntk_al.acquisition.features import geometry
from ntk_al.acquisition.features.coverage import greedy_coverage
from tests.acquisition.points import (
    SEEDS,
    brute_squared,
    everything,
    line,
    points,
    to_labeled,
)

pytestmark = [pytest.mark.quick, pytest.mark.usefixtures("tile_entries")]


def coverage(x, weights, labeled, radius, chosen):
    """Σ_x weight(x) max_{x'} k(x, x') / U, one kernel at a time."""
    centers = np.concatenate([labeled, x[list(chosen)]])
    kernel = np.exp(-brute_squared(x, centers) / radius**2)
    return (weights * kernel.max(1)).sum() / len(x)


@SEEDS
@pytest.mark.parametrize("radius", [0.1, 1.0, 5.0])
def test_herding_adds_most_to_the_coverage_at_every_step(seed, radius):
    x, labeled = points(40, seed), points(2, seed + 10)
    weights = np.random.default_rng(seed).random(40) if seed else np.ones(40)
    arguments = everything(40, 12)
    arguments["available"][[3, 4]] = False
    rows, utilities = greedy_coverage(
        x, weights, to_labeled(x, labeled), radius=radius, **arguments
    )
    allowed = set(np.flatnonzero(arguments["available"]))
    before = coverage(x, weights, labeled, radius, [])
    for row in range(40):
        gain = coverage(x, weights, labeled, radius, [row]) - before
        assert utilities[row] == pytest.approx(gain, abs=1e-12)
    for step, row in enumerate(rows):
        values = {
            other: coverage(x, weights, labeled, radius, [*rows[:step], other])
            for other in allowed - set(rows[:step].tolist())
        }
        # Two points that are near to each other alone tie, if both have one weight.
        largest = [r for r in values if values[r] > max(values.values()) - 1e-13]
        assert row == max(largest, key=lambda r: arguments["tie_breaks"][r])


def test_herding_on_two_copies_and_a_far_point():
    x = line(0, 0, 5)
    rows, gains = greedy_coverage(
        x,
        np.ones(3),
        np.full(3, np.inf),
        radius=1.0,
        **everything(3, 3) | {"tie_breaks": np.array([0.1, 0.2, 0.0])},
    )
    np.testing.assert_allclose(gains, [2 / 3, 2 / 3, 1 / 3], atol=1e-10)
    assert rows.tolist() == [1, 2, 0]


def test_herding_needs_few_gains_of_the_second_and_later_steps(monkeypatch):
    """Bounds spare most of the work: the reason for them."""
    x = points(300, 0, dimension=3)
    seen = []
    plain = geometry.squared_distances
    monkeypatch.setattr(
        geometry, "squared_distances", lambda a, b: seen.append(len(a)) or plain(a, b)
    )
    greedy_coverage(x, np.ones(300), np.full(300, np.inf), radius=0.5, **everything(300, 9))
    assert sum(seen) - 300 < 300 * 8 / 2


def test_points_without_weight_need_no_cover():
    x = line(0, 0.1, 5)
    arguments = everything(3, 1)
    rows, _ = greedy_coverage(
        x, np.array([0.0, 0.0, 0.1]), np.full(3, np.inf), radius=1.0, **arguments
    )
    assert rows.tolist() == [2]
