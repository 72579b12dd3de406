"""The documentation is true where a program can tell: its code runs, its names and links exist."""

from __future__ import annotations

import re

import numpy as np
import pytest

from experiments import command_line
from experiments.figures import registry
from ntk_al import lookahead, network
from ntk_al.acquisition import STRATEGIES
from ntk_al.kernels import PRECISIONS
from tests.paths import ROOT

PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(ROOT.glob("docs/*.md"))]
README = (ROOT / "README.md").read_text()
DOCS = "\n".join(path.read_text() for path in PAGES if path.parent.name == "docs")
RUN = ["adapters.md", "getting-started.md", "labeling.md"]
"""The pages of docs whose Python is run."""

OPTIONS = [
    *lookahead.CRITERIA,
    *lookahead.REFERENCES,
    *lookahead.TASKS,
    *network.PREDICTIVES,
    *network.READOUTS,
    lookahead.ALL_LOGITS,
    *PRECISIONS,
]


def python_of(text):
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


@pytest.mark.usefixtures("optimized")
def test_the_python_of_the_readme_runs_from_top_to_bottom():
    names: dict = {}
    blocks = python_of(README)
    for block in blocks:
        exec(block, names)
    assert len(blocks) == 2
    assert names["label_next"].shape == (20,)
    assert len(set(names["label_next"].tolist())) == 20
    assert np.isneginf(names["scores"][17])
    assert np.isfinite(np.delete(names["scores"], 17)).all()


@pytest.mark.usefixtures("optimized")
@pytest.mark.parametrize("page", RUN)
def test_the_python_of_a_page_runs_from_top_to_bottom(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    exec("".join(python_of((ROOT / "docs" / page).read_text())), {})
    assert capsys.readouterr().out


@pytest.mark.quick
def test_the_readme_is_short_and_all_python_is_run():
    assert len(README.splitlines()) <= 150
    pages = [path.name for path in PAGES if "```python" in path.read_text()]
    assert pages == ["README.md", *RUN]


def test_the_readme_names_every_flagfile():
    for path in command_line.FLAGFILE_DIR.glob("*.flags"):
        assert f"`{path.name}`" in README


@pytest.mark.quick
def test_the_docs_name_every_figure_and_every_flagfile_of_a_sweep():
    page = (ROOT / "docs" / "experiments.md").read_text()
    names = [path.name for path in command_line.SWEEP_DIR.iterdir()]
    for name in [*registry.FIGURES, *names]:
        assert f"`{name}`" in page or f"{name}" in README


@pytest.mark.quick
def test_the_docs_name_every_strategy():
    page = (ROOT / "docs" / "strategies.md").read_text()
    for name in STRATEGIES:
        assert f"`{name}`" in page


@pytest.mark.parametrize("option", OPTIONS)
def test_the_readme_and_the_docs_name_every_option(option):
    assert f"`{option}`" in README
    assert f"`{option}`" in (ROOT / "docs" / "mathematics.md").read_text()


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
@pytest.mark.quick
def test_every_link_leads_to_a_file_and_a_heading(page):
    for link in re.findall(r"\]\(([^)]+)\)", page.read_text()):
        if link.startswith("https://"):
            continue
        file, _, heading = link.partition("#")
        target = page.parent / file if file else page
        assert target.exists(), link
        if heading:
            assert heading in headings(target), link


def headings(page):
    """The anchors of a page's headings, as GitHub makes them."""
    lines = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", line.lower()).replace(" ", "-") for line in lines}
