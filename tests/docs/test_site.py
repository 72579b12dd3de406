"""The site has every page, and what it says of messages and of the public interface is true."""

from __future__ import annotations

import ast
import importlib
import re

import pytest

from tests.paths import ROOT

pytestmark = pytest.mark.quick

CONFIG = (ROOT / ".mkdocs.yml").read_text()
MESSAGES = re.findall(r"^### `(.*)`$", (ROOT / "docs" / "troubleshooting.md").read_text(), re.M)
MODULES = re.findall(
    r"^::: ([\w.]+)$", "".join(p.read_text() for p in ROOT.glob("docs/api/*.md")), re.M
)


def texts_of(path):
    """All texts in a file, with … in place of what varies."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.JoinedStr):
            parts = node.values
            yield "".join(str(p.value) if isinstance(p, ast.Constant) else "…" for p in parts)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


@pytest.fixture(scope="module")
def texts():
    paths = [*ROOT.glob("ntk_al/**/*.py"), *ROOT.glob("experiments/**/*.py")]
    return [text for path in paths for text in texts_of(path)]


@pytest.mark.parametrize("message", MESSAGES)
def test_a_message_that_is_explained_is_one_of_the_program(message, texts):
    assert any(message.rstrip(" …") in text for text in texts)


def test_every_page_is_in_the_navigation():
    pages = [path.relative_to(ROOT / "docs").as_posix() for path in ROOT.glob("docs/**/*.md")]
    missing = [page for page in pages if not re.search(rf"^ *- (.*: )?{page}$", CONFIG, re.M)]
    assert not missing


def test_the_reference_names_what_can_be_imported():
    for name in MODULES:
        module, _, last = name.rpartition(".")
        try:
            importlib.import_module(name)
        except ModuleNotFoundError:
            assert hasattr(importlib.import_module(module), last), name


def test_the_reference_has_every_public_module():
    import ntk_al

    public = {f"ntk_al.{name}" for name in ntk_al.__all__ if not name.startswith("_")}
    public -= {"ntk_al.Pool"}  # with acquisition
    assert not {name for name in public if not any(m.startswith(name) for m in MODULES)}


def test_nothing_is_loaded_from_elsewhere():
    assert "http" not in CONFIG
    assert "font: false" in CONFIG
