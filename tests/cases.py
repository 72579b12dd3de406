"""Cases of tests, of which some run only with ``make thorough``."""

from __future__ import annotations

import itertools

import pytest


def crossed(*factors):
    """Every combination; the suite runs those that differ from the first in one factor at most."""
    cases = []
    for indices in itertools.product(*(range(len(factor)) for factor in factors)):
        values = [factor[index] for factor, index in zip(factors, indices, strict=True)]
        is_far = sum(index > 0 for index in indices) > 1
        cases.append(pytest.param(*values, marks=[pytest.mark.thorough] if is_far else []))
    return cases


def thorough(*values):
    """A case that runs only with ``make thorough``, because others are nearly as telling."""
    return pytest.param(*values, marks=pytest.mark.thorough)


def every_other(names):
    """All of many cases that are much alike, of which the suite runs every other one."""
    return [thorough(name) if number % 2 else name for number, name in enumerate(names)]


def without(slow, names):
    """All cases, of which the suite leaves out one that takes as long as the others together."""
    return [thorough(name) if name == slow else name for name in names]
