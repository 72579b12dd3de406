from __future__ import annotations

import pathlib
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile

import numpy as np
import pytest

from experiments import console
from ntk_al import data, kernels, models
from ntk_al._utils import extras
from ntk_al.acquisition.features import clustering
from ntk_al.kernels.infinite import neural_tangents_compat

ROOT = pathlib.Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
ROOMS = (
    "campaign",
    "figures",
    "label_studio",
    "mlbench",
    "statistics",
    "studies",
    "sweep",
)  # of the experiments


def hide(monkeypatch, module):
    """Makes the import of a module fail as if it were not installed."""
    for name in [name for name in sys.modules if name.split(".")[0] == module]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)


# Extras.


@pytest.mark.parametrize(
    ("module", "call", "message"),
    [
        ("sklearn", lambda: data.load("digits"), "the digits need scikit-learn: {}[experiments]'"),
        ("sklearn", lambda: clustering.k_means(np.eye(3), 2), "scikit-learn: {}[experiments]'"),
        ("tensorflow_datasets", lambda: data.load("mnist"), "tensorflow-datasets: {}[data]'"),
        ("tensorflow", lambda: data.prepare("mnist"), "needs TensorFlow: {}[prepare]'"),
    ],
)
def test_a_missing_library_comes_with_the_line_that_installs_it(monkeypatch, module, call, message):
    hide(monkeypatch, module)
    with pytest.raises(extras.MissingExtraError) as error:
        call()
    assert message.format("pip install 'ntk-al") in str(error.value)
    assert "\n" not in str(error.value)


def test_neural_tangents_can_be_installed_without_tensorflow(monkeypatch):
    monkeypatch.setitem(sys.modules, "neural_tangents", None)
    neural_tangents_compat.load.cache_clear()
    with pytest.raises(extras.MissingExtraError, match="neural-tangents: pip install") as error:
        kernels.infinite_gram(models.MLP(3, width=5), np.ones((2, 5), np.float32))
    light = "pip install --no-deps neural-tangents==0.6.5 frozendict"
    assert light in str(error.value)
    assert light in (ROOT / "pyproject.toml").read_text()
    assert light.removeprefix("pip install ") in (ROOT / "Makefile").read_text()
    assert PROJECT["project"]["optional-dependencies"]["infinite"] == [light.split()[3]]


def test_a_library_that_is_there_and_broken_keeps_its_own_error():
    with (
        pytest.raises(ImportError, match="cannot import") as error,
        extras.needed("this needs", "json", extra="none"),
    ):
        from json import missing  # noqa: F401
    assert not isinstance(error.value, extras.MissingExtraError)


@pytest.mark.parametrize("module", ["matplotlib", "sklearn"])
def test_the_command_line_says_what_is_missing_without_a_traceback(module, tmp_path):
    code = (
        f"import sys; sys.modules[{module!r}] = None; from experiments import console; "
        f"console.main(['run', '--flagfile=digits.flags', '--workdir={tmp_path / 'run'}'])"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert re.search(r"^error: .* pip install 'ntk-al\[\w+\]'$", done.stderr, re.MULTILINE)
    assert "Traceback" not in done.stderr


def test_the_oldest_versions_are_the_floors():
    optional = PROJECT["project"]["optional-dependencies"]
    required = [
        *PROJECT["project"]["dependencies"],
        *optional["data"],
        *optional["experiments"],
        *optional["labeling"],
        *optional["skactiveml"],
        *optional["tensorboard"],
        *optional["mlbench"],
        *[line for line in optional["test"] if line.startswith(("chex", "equinox"))],
    ]
    floors = dict(
        re.match(r"([\w-]+)>=([\d.]+)", line).groups() for line in required if ">=" in line
    )
    pinned = re.findall(r"^([\w-]+)==([\d.]+)$", (ROOT / ".ci" / "oldest.txt").read_text(), re.M)

    def numbers(version):
        return [*map(int, version.split(".")), 0, 0][:3]

    assert {n: numbers(v) for n, v in pinned} == {n: numbers(v) for n, v in floors.items()}


# The command.


@pytest.mark.parametrize("arguments", [[], ["--help"], ["help"]])
def test_the_command_explains_itself(arguments, capsys):
    console.main(arguments)
    shown = capsys.readouterr().out
    assert "usage: ntk-al COMMAND [FLAGS]" in shown
    assert "digits.flags" in shown
    assert all(name in shown for name in console.COMMANDS)


def test_an_unknown_command_is_refused_with_the_usage(capsys):
    with pytest.raises(SystemExit) as exit:
        console.main(["rum"])
    assert exit.value.code == 2
    shown = capsys.readouterr().err
    assert "error: unknown command 'rum'" in shown
    assert "usage: ntk-al" in shown


# The wheel.


def test_every_package_is_listed():
    folders = {path.parent for path in ROOT.glob("ntk_al/**/__init__.py")}
    names = {str(folder.relative_to(ROOT)).replace("/", ".") for folder in folders}
    rooms = ["", ".flags", ".flags.sweeps", *(f".{room}" for room in ROOMS)]
    listed = PROJECT["tool"]["setuptools"]["packages"]
    assert sorted(listed) == sorted(names | {f"ntk_al_experiments{room}" for room in rooms})


def test_a_wheel_holds_the_package_and_the_experiments_and_nothing_else(tmp_path):
    pytest.importorskip("setuptools", "77", reason="older releases cannot build this project")
    sources = tmp_path / "sources"
    ignored = shutil.ignore_patterns("__pycache__")
    for folder in ("ntk_al", "experiments", "tests"):
        shutil.copytree(ROOT / folder, sources / folder, ignore=ignored)
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, sources)
    build = "from setuptools import build_meta; build_meta.build_wheel('dist')"
    subprocess.run([sys.executable, "-c", build], cwd=sources, capture_output=True, check=True)
    (wheel,) = (sources / "dist").iterdir()
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}

    def files(folder, pattern):
        return {
            path.relative_to(ROOT / folder).as_posix() for path in (ROOT / folder).glob(pattern)
        }

    package = files("ntk_al", "**/*.py") | {"py.typed"}
    experiments = files("experiments", "*.py") | files("experiments", "flags/**/*.flags")
    for room in ROOMS:
        experiments |= files("experiments", f"{room}/*.py")
    assert names == {
        *(f"ntk_al/{name}" for name in package),
        *(f"ntk_al_experiments/{name}" for name in experiments),
    }


# Records of an installed copy.


def test_an_installed_copy_does_not_borrow_the_revision_of_the_repository_around_it(tmp_path):
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org"]
    commit = [*git, "commit", "--quiet", "--allow-empty", "--message=of the user"]
    subprocess.run(commit, cwd=tmp_path, check=True)
    installed = tmp_path / "installed"
    installed.mkdir()
    for name in ("__init__.py", "revision.py"):
        shutil.copy(ROOT / "experiments" / name, installed)
    code = "from installed import revision; print(revision.git_revision())"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "None\n"
