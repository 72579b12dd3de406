"""The examples in docstrings are true: those of every module run as doctests."""

from __future__ import annotations

import doctest
import importlib
import pathlib
import pkgutil

import pytest

import ntk_al
from ntk_al._utils import extras


def source(name):
    """The text of a module, which is not imported for it."""
    path = pathlib.Path(ntk_al.__path__[0], *name.split(".")[1:])
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return path.read_text(encoding="utf-8")


MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(ntk_al.__path__, "ntk_al.")
    if ">>> " in source(module.name)
)


def run_examples(name):
    """Runs the examples of a module, and returns how many docstrings have any."""
    tests = doctest.DocTestFinder(exclude_empty=True).find(importlib.import_module(name))
    for test in tests:
        doctest.DebugRunner().run(test)
    return len([test for test in tests if test.examples])


@pytest.mark.quick
@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_are_true(name):
    try:
        assert run_examples(name) > 0
    except extras.MissingExtraError as error:
        pytest.skip(str(error))
    except doctest.UnexpectedException as failure:
        error = failure.exc_info[1]
        if isinstance(error, extras.MissingExtraError):
            pytest.skip(str(error))
        raise error from failure
    except doctest.DocTestFailure as failure:
        line = failure.example.source.strip()
        pytest.fail(f"{line}\nwas to show {failure.example.want}but showed {failure.got}")


def test_the_posterior_and_the_scores_have_examples():
    assert {"ntk_al.lookahead.posterior", "ntk_al.lookahead.scoring"} <= {*MODULES}
