"""What SECURITY.md promises about files that are read."""

from __future__ import annotations

import ast

import pytest

from tests.paths import ROOT

MODULES = {"pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "yaml"}
CALLS = {"eval", "exec", "compile", "__import__"}
METHODS = {"system", "popen", "import_module", "run_path"}
SOURCES = sorted(path for name in ("ntk_al", "experiments") for path in (ROOT / name).rglob("*.py"))


def unsafe(source):
    """The calls and imports of a program that could run what it reads."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [name.name for name in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        else:
            names = []
        yield from (name for name in names if name.split(".")[0] in MODULES)
        if isinstance(node, ast.Call):
            called = node.func
            if isinstance(called, ast.Name) and called.id in CALLS:
                yield called.id
            given = node.args[0] if node.args else None
            is_input = not isinstance(given, ast.Constant)
            if isinstance(called, ast.Attribute) and called.attr in METHODS and is_input:
                yield called.attr
            for keyword in node.keywords:
                if keyword.arg == "allow_pickle" and ast.unparse(keyword.value) != "False":
                    yield "allow_pickle"
                if keyword.arg == "shell":
                    yield "shell"


@pytest.mark.quick
def test_nothing_that_is_read_can_run():
    assert SOURCES
    found = {str(path): list(unsafe(path.read_text())) for path in SOURCES}
    assert {path: names for path, names in found.items() if names} == {}


@pytest.mark.quick
@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from yaml import load",
        "import importlib; importlib.import_module(name)",
        "eval('1')",
        "import os; os.system(command)",
        "np.load(path, allow_pickle=True)",
        "subprocess.run(command, shell=True)",
    ],
)
def test_the_search_finds_what_it_looks_for(source):
    assert list(unsafe(source))
