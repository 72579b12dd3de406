from __future__ import annotations

import pathlib
import re

import numpy as np

from experiments import command_line
from ntk_al import lookahead, network
from ntk_al.acquisition import STRATEGIES
from tests.paths import ROOT

README = (ROOT / "README.md").read_text()


def test_the_python_of_the_readme_runs_from_top_to_bottom():
    names: dict = {}
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    for block in blocks:
        exec(block, names)
    assert len(blocks) == 2
    assert names["label_next"].shape == (20,)
    assert len(set(names["label_next"].tolist())) == 20
    assert np.isneginf(names["scores"][17])
    assert np.isfinite(np.delete(names["scores"], 17)).all()


def test_the_readme_names_every_flagfile_strategy_and_option():
    for path in pathlib.Path(command_line.FLAGFILE_DIR).iterdir():
        assert f"`{path.name}`" in README
    for name in [*STRATEGIES, *lookahead.CRITERIA, *lookahead.REFERENCES, *network.READOUTS]:
        assert f"`{name}`" in README
