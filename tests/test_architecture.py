from __future__ import annotations

import ast
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]
FLOORS = {
    "ntk_al._version": 0,
    "ntk_al._programs": 0,
    "ntk_al.types": 0,
    "ntk_al._utils": 0,
    "ntk_al.network": 1,
    "ntk_al.models": 1,
    "ntk_al.data": 1,
    "ntk_al.training": 2,
    "ntk_al.kernels": 2,
    "ntk_al.lookahead": 3,
    "ntk_al.posterior": 3,
    "ntk_al.acquisition": 4,
    "ntk_al.adapters": 5,
    "ntk_al.labeling": 5,
    "ntk_al": 5,
    "experiments.statistics": 6,
    "experiments.mlbench": 6,
    "experiments": 6,
    "experiments.benchmarks": 7,
    "experiments.campaign": 7,
    "experiments.label_studio": 7,
    "experiments.studies": 7,
    "experiments.sweep": 7,
    "experiments.figures": 8,
}
SOURCES = [*sorted(ROOT.glob("ntk_al/**/*.py")), *sorted(ROOT.glob("experiments/**/*.py"))]


def dotted(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def room(name):
    """The longest prefix of a dotted name that has a floor."""
    while name not in FLOORS:
        name, _, last = name.rpartition(".")
        assert last
    return name


def imports(path):
    """Rooms of this project that a file imports from."""
    package = dotted(path) if path.name == "__init__.py" else dotted(path).rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = package.split(".")
                base = ".".join([*parts[: len(parts) - node.level + 1], *filter(None, [base])])
            names = [f"{base}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in names:
            if name.split(".")[0] in ("ntk_al", "experiments"):
                yield room(name)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
@pytest.mark.quick
def test_imports_point_only_downward(path):
    own = room(dotted(path))
    for other in imports(path):
        assert own == other or FLOORS[other] <= FLOORS[own], f"{own} imports {other}"


@pytest.mark.quick
def test_every_folder_and_loose_module_has_a_floor():
    rooms = {room(dotted(path)) for path in SOURCES}
    assert rooms == set(FLOORS)
    top = {f"ntk_al.{path.stem}" for path in (ROOT / "ntk_al").glob("*.py")} - {"ntk_al.__init__"}
    assert top <= rooms


@pytest.mark.quick
def test_rooms_of_one_floor_import_each_other_in_one_direction_only():
    edges = {(room(dotted(p)), other) for p in SOURCES for other in imports(p)}
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


def test_importing_the_package_imports_nothing_heavy():
    heavy = {"tensorflow", "neural_tangents", "tensorflow_datasets", "scipy.stats", "matplotlib"}
    code = f"import ntk_al, sys; assert not {heavy} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
