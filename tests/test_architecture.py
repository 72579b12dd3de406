from __future__ import annotations

import ast
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]
FLOORS = {
    "_version": 0,
    "types": 0,
    "checks": 0,
    "precision": 0,
    "batching": 0,
    "sharding": 0,
    "network": 1,
    "probing": 1,
    "models": 1,
    "data": 1,
    "pool": 1,
    "objectives": 2,
    "training": 2,
    "kernels": 2,
    "posterior": 3,
    "joint_posterior": 3,
    "criteria": 4,
    "lookahead": 4,
    "acquisition": 5,
    "query": 6,
    "__init__": 7,
    "experiments": 8,
}
SOURCES = [*sorted(ROOT.glob("ntk_al/**/*.py")), *sorted(ROOT.glob("experiments/**/*.py"))]


def module_name(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return "experiments" if parts[0] == "experiments" else parts[1]


def imports(path):
    """Modules of this project that a file imports, by the name of their floor."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in names:
            parts = name.split(".")
            if parts[0] == "experiments":
                yield "experiments"
            elif parts[0] == "ntk_al":
                yield parts[1] if len(parts) > 1 and parts[1] in FLOORS else "__init__"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_only_downward(path):
    own = module_name(path)
    for other in imports(path):
        inside_a_package = own == other
        assert inside_a_package or FLOORS[other] <= FLOORS[own], f"{own} imports {other}"


def test_every_module_has_a_floor():
    assert {module_name(path) for path in SOURCES} == set(FLOORS)


def test_modules_of_one_floor_import_each_other_in_one_direction_only():
    edges = {(module_name(p), other) for p in SOURCES for other in imports(p)}
    assert not {(a, b) for a, b in edges if a != b and (b, a) in edges}


def test_flags_stay_out_of_the_package():
    for path in ROOT.glob("ntk_al/**/*.py"):
        assert "absl" not in path.read_text(), path


def test_only_one_file_imports_neural_tangents():
    named = [
        p.name
        for p in ROOT.glob("ntk_al/**/*.py")
        if "neural_tangents" in p.read_text().replace("neural_tangents_compat", "")
    ]
    assert named == ["neural_tangents_compat.py"]


@pytest.mark.parametrize("heavy", ["tensorflow", "neural_tangents", "tensorflow_datasets"])
def test_importing_the_package_does_not_import(heavy):
    code = f"import ntk_al, sys; assert {heavy!r} not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
