"""The examples in docstrings are true."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

from experiments import statistics

MODULES = [module.name for module in pkgutil.iter_modules(statistics.__path__)]


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_are_true(name):
    module = importlib.import_module(f"experiments.statistics.{name}")
    assert doctest.testmod(module, raise_on_error=True).failed == 0


def test_the_public_names_are_there():
    assert all(hasattr(statistics, name) for name in statistics.__all__)
