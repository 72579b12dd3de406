"""Progress bars: on terminals, and only where work takes long."""

from __future__ import annotations

import io

import numpy as np
import pytest
from tqdm import tqdm

from ntk_al import kernels, lookahead
from ntk_al._utils import batches, progress
from tests import helpers

pytestmark = pytest.mark.quick


class Terminal(io.StringIO):
    """Standard error as a terminal has it."""

    def isatty(self):
        return True


class Bars:
    """The bars of a test, on an output of its own."""

    def __init__(self, output, **options):
        self.output, self.options, self.all = output, options, []

    def __call__(self, **options):
        self.all.append(tqdm(**{**options, "file": self.output, **self.options}))
        return self.all[-1]


def bars(monkeypatch, output, **options):
    made = Bars(output, **options)
    monkeypatch.setattr(progress, "tqdm", made)
    return made


def look_ahead():
    given = helpers.network(), helpers.images(6, seed=1), helpers.labels(6, seed=1)
    return lookahead.score(*given, helpers.images(40, seed=2), criterion="mlmoc")


@pytest.mark.parametrize("memory_budget", [None, 1_500_000])
def test_parts_are_counted_to_the_end(memory_budget, monkeypatch):
    monkeypatch.setattr(progress, "DELAY", 0.0)
    made = bars(monkeypatch, Terminal(), leave=True)
    network, x1, x2 = helpers.network(), helpers.images(150, seed=1), helpers.images(70, seed=2)
    kernels.gram(network, x1, memory_budget=memory_budget)
    kernels.gram(network, x1, x2)
    kernels.diagonal(network, x2)
    batches.map_batches(lambda x: x, x1, batch_size=16)
    assert len(made.all) >= 4
    assert [bar.n for bar in made.all] == [bar.total for bar in made.all]


def test_short_work_shows_nothing(monkeypatch):
    made = bars(monkeypatch, Terminal())
    look_ahead()
    assert made.all
    assert made.output.getvalue() == ""


def test_long_work_shows_bars_on_a_terminal_and_changes_no_score(monkeypatch):
    expected = look_ahead()
    monkeypatch.setattr(progress, "DELAY", 0.0)
    made = bars(monkeypatch, Terminal())
    np.testing.assert_array_equal(look_ahead(), expected)
    assert "kernel: " in made.output.getvalue()


def test_nothing_is_written_into_a_pipe(monkeypatch):
    monkeypatch.setattr(progress, "DELAY", 0.0)
    made = bars(monkeypatch, io.StringIO())
    look_ahead()
    assert made.all
    assert made.output.getvalue() == ""
