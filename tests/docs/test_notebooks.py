"""The notebooks run from top to bottom, and say what they are made of."""

from __future__ import annotations

import json
import re

import matplotlib.pyplot as plt
import numpy as np
import pytest

from ntk_al import data
from tests.paths import ROOT

FOLDER = ROOT / "docs" / "notebooks"
SCRIPTS = sorted(FOLDER.glob("*.py"))
BY_NAME = pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)

SMALL = {
    "4_cifar_on_colab": "num_labeled, num_more, num_candidates = 64, 8, 24\n"
    "width, epochs, seeds = 16, 1, (0,)\n",
}
"""Parameters with which a notebook that needs a GPU runs here."""


def fake_cifar(name):
    """Images of CIFAR's shape, which a network learns at once."""
    rng = np.random.default_rng(0)
    y = np.arange(120, dtype=np.int32) % 10
    patterns = rng.normal(size=(10, 32, 32, 3))
    x = (patterns[y] + 0.1 * rng.normal(size=(120, 32, 32, 3))).astype(np.float32)
    return data.Dataset(name, x[:100], y[:100], x[100:], y[100:], num_classes=10)


@BY_NAME
def test_a_notebook_runs_from_top_to_bottom(script, request, monkeypatch, tmp_path):
    if script.stem not in SMALL:  # there, compilation takes most of the time
        request.getfixturevalue("optimized")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(plt, "show", lambda: plt.close("all"))
    code = script.read_text()
    if script.stem in SMALL:
        monkeypatch.setattr(data, "load", fake_cifar)
        cell = re.compile(r'(# %% tags=\["parameters"\]\n).*?\n(?=\n)', re.DOTALL)
        code, num = cell.subn(rf"\1{SMALL[script.stem]}", code)
        assert num == 1
    exec(compile(code, str(script), "exec"), {"__name__": "__main__"})


@pytest.mark.quick
@BY_NAME
def test_a_notebook_is_made_of_its_script(script):
    jupytext = pytest.importorskip("jupytext")
    made = jupytext.reads(script.read_text(), fmt="py:percent")
    found = json.loads(script.with_suffix(".ipynb").read_text())
    expected = [(cell.cell_type, cell.source) for cell in made.cells]
    cells = [(cell["cell_type"], "".join(cell["source"])) for cell in found["cells"]]
    assert cells == expected, "run make notebooks"
    assert not any(cell.get("outputs") for cell in found["cells"])


@pytest.mark.quick
def test_each_script_has_a_notebook_and_ends_with_what_must_be_true():
    assert [path.stem for path in sorted(FOLDER.glob("*.ipynb"))] == [p.stem for p in SCRIPTS]
    for script in SCRIPTS:
        assert script.read_text().rstrip().rpartition("# %%\n")[2].count("assert ") >= 1
