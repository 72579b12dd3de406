from __future__ import annotations

import numpy as np
import pytest

from ntk_al.acquisition.strategies.uherding import margin_uncertainty, smallest_distance
from tests.acquisition.points import line

pytestmark = [pytest.mark.quick, pytest.mark.usefixtures("tile_entries")]


def test_margin_uncertainty_by_hand_and_where_nothing_is_left_of_it():
    p = np.array([[0.5, 0.4, 0.1], [0.2, 0.2, 0.6]])
    np.testing.assert_allclose(margin_uncertainty(p), [0.9, 0.6])
    np.testing.assert_allclose(margin_uncertainty(np.array([[1.0, 1e-22]])), 2e-22, rtol=1e-12)


def test_the_smallest_distance_is_between_different_points():
    assert smallest_distance(line(0, 0, 3, 5)) == pytest.approx(2)
    assert smallest_distance(line(1, 1)) == np.inf
