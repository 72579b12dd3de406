"""The frame itself: a failure is neither lost nor the end, and every case can be run again."""

from __future__ import annotations

import math

import pytest

from tests.fuzz import report


def test_a_failure_is_counted_with_its_seed_and_the_others_go_on():
    def case(rng):
        value = rng.random()
        assert value < 0.5, "too large"
        return value

    done = report.run("numbers", case, range(20))
    assert done.cases == 20
    assert 0 < len(done.failures) < 20
    assert 0 < done.worst < 0.5
    with pytest.raises(
        AssertionError, match=r"numbers: 20 cases, \d+ failures, worst error 0\."
    ) as failed:
        done.check()
    seed = done.failures[0][0]
    assert f"FUZZ_SEED={seed} FUZZ_CASES=1" in str(failed.value)
    assert report.run("again", case, [seed]).failures == done.failures[:1]


def test_nan_is_the_worst_error():
    errors = iter([1.0, math.nan, 2.0])
    done = report.run("errors", lambda _: next(errors), range(3))
    assert math.isnan(done.worst)
    assert done.worst_seed == 1


def test_the_environment_chooses_the_cases(monkeypatch):
    monkeypatch.delenv("FUZZ_CASES", raising=False)
    monkeypatch.delenv("FUZZ_SEED", raising=False)
    assert report.seeds(short=3, full=500) == range(3)
    monkeypatch.setenv("FUZZ_CASES", "full")
    assert report.seeds(short=3, full=500) == range(500)
    monkeypatch.setenv("FUZZ_CASES", "2")
    monkeypatch.setenv("FUZZ_SEED", "417")
    assert report.seeds(short=3, full=500) == range(417, 419)
