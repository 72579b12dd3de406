"""Every figure is drawn from a sweep, and its CSV holds what it shows."""

from __future__ import annotations

import csv
import os
import subprocess
import sys

import matplotlib
import numpy as np
import pytest
from scipy import stats

from experiments.figures import labels, registry, style
from experiments.figures.__main__ import draw
from ntk_al.acquisition import STRATEGIES
from tests.experiments.figures.sweeps import write_run, write_small
from tests.paths import ROOT

matplotlib.use("Agg")
RESULTS = ROOT / "experiments" / "benchmarks" / "results"
OF_RUNS = [name for name, figure in registry.FIGURES.items() if name not in ("fidelity", "theory")]


def write_sweep(folder, dataset="digits"):
    write_small(folder, dataset=dataset)
    for seed in range(3):
        accuracy = [0.5, 0.6, 0.6 + 0.01 * seed]
        write_run(folder, accuracy, strategy=("naive",), seed=seed, dataset=dataset)
    return str(folder)


@pytest.fixture
def sweep(tmp_path):
    return write_sweep(tmp_path / "sweep")


def rows(path):
    with open(path, encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("name", OF_RUNS)
def test_every_figure_of_runs_is_written_as_png_svg_and_csv(name, tmp_path):
    dataset = registry.FIGURES[name].dataset or "digits"
    path = f"{dataset}.npz" if dataset in ("letter", "satellite") else dataset
    sweep = write_sweep(tmp_path / "sweep", path)
    given = [sweep, str(RESULTS / "look_ahead.json")] if name == "1a" else [sweep]
    paths = draw(name, given, str(tmp_path / "to"))
    assert [os.path.basename(path) for path in paths] == [
        f"figure-{name}.{end}" for end in ("png", "svg", "csv")
    ]
    assert sorted(os.listdir(tmp_path / "to")) == sorted(map(os.path.basename, paths))
    with open(paths[0], "rb") as file:
        assert file.read(4) == b"\x89PNG"
    assert rows(paths[2])


def test_the_figure_of_the_cost_leaves_out_strategies_that_are_not_timed(tmp_path):
    sweep = write_sweep(tmp_path / "sweep", "digits")
    paths = draw("1a", [sweep, str(RESULTS / "look_ahead.json")], str(tmp_path))
    methods = {row["method"] for row in rows(paths[2]) if "accuracy" in row["quantity"]}
    assert "random" in methods
    assert "margin" not in methods


def test_the_figure_of_schemes_leaves_out_strategies_of_one_scheme(sweep, tmp_path):
    methods = {row["method"] for row in rows(draw("3a", [sweep], str(tmp_path))[2])}
    assert methods == {"random", "mlmoc", "mlmoc, sequential"}


def test_the_figure_of_schemes_needs_both(tmp_path):
    write_run(tmp_path, [0.5, 0.6], strategy=("random",), seed=0)
    with pytest.raises(ValueError, match=r"no run has --scheme=sequential: draw `curves`"):
        draw("3a", [str(tmp_path)], None)


def test_the_figure_of_fidelity_has_a_row_for_each_method_of_the_benchmark(tmp_path):
    path = str(RESULTS / "approximations.json")
    paths = draw("fidelity", [path], str(tmp_path))
    assert len(rows(paths[2])) == len(registry.sources([path], "", "").results[path]["rows"])


def test_the_figure_of_the_theory_has_every_width_of_the_studies(tmp_path):
    folder = ROOT / "experiments" / "results" / "theory"
    paths = draw("theory", [str(folder)], str(tmp_path))
    widths = {row["width"] for row in rows(paths[2])}
    assert {"64", "2048"} <= widths
    assert len({row["quantity"] for row in rows(paths[2])}) == 4


def test_means_and_bands_are_those_of_student(sweep, tmp_path):
    drawn = rows(draw("curves", [sweep], str(tmp_path))[2])
    (row,) = [
        row
        for row in drawn
        if (row["method"], row["num_labeled"]) == ("margin", "40") and "minus" in row["quantity"]
    ]
    differences = np.array([2.0, 4.0, 6.0])  # points: 0.02 (1 + seed)
    half = stats.t.ppf(0.975, 2) * differences.std(ddof=1) / np.sqrt(3)
    assert float(row["mean"]) == pytest.approx(4)
    assert float(row["low"]) == pytest.approx(4 - half, abs=1e-3)
    assert float(row["high"]) == pytest.approx(4 + half, abs=1e-3)
    assert row["seeds"] == "3"


def test_the_same_runs_make_the_same_files(sweep, tmp_path):
    first = draw("2-digits", [sweep], str(tmp_path / "a"))
    again = draw("2-digits", [sweep], str(tmp_path / "b"))
    for one, other in zip(first, again, strict=True):
        with open(one, "rb") as a, open(other, "rb") as b:
            assert a.read() == b.read()


def test_a_figure_that_cannot_be_written_leaves_the_old_one(sweep, tmp_path, monkeypatch):
    to = tmp_path / "to"
    draw("curves", [sweep], str(to))
    before = (to / "figure-curves.png").read_bytes()

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(matplotlib.figure.Figure, "savefig", full)
    with pytest.raises(OSError, match=r"figure-curves.png cannot be written: No space left"):
        draw("curves", [sweep], str(to))
    assert (to / "figure-curves.png").read_bytes() == before
    assert not list(to.glob("*.part"))


@pytest.mark.parametrize(
    ("name", "paths", "message"),
    [
        ("curves", [], "drawn from a sweep: --workdir"),
        ("1a", ["SWEEP"], "needs look_ahead.json, which `make bench-look-ahead` makes"),
        ("fidelity", ["LOOK_AHEAD"], "needs approximations.json"),
        ("2a", ["SWEEP"], "it shows svhn, but margin-seed=0 is on digits: draw `curves` instead"),
        ("curves", ["/nowhere"], "/nowhere: there is no such directory"),
        ("table1", ["SWEEP"], "unknown strategy 'mlmco'; known: "),
    ],
)
def test_what_cannot_be_drawn_is_told(name, paths, message, sweep):
    places = {"SWEEP": sweep, "LOOK_AHEAD": str(RESULTS / "look_ahead.json")}
    given = [places.get(path, path) for path in paths]
    against = "mlmco" if name == "table1" else "mlmoc"
    with pytest.raises((ValueError, OSError)) as error:
        draw(name, given, None, against)
    assert message in str(error.value)


def test_sweeps_without_a_shared_seed_say_which_are_finished(tmp_path):
    write_run(tmp_path, [0.5], strategy=("random",), seed=0)
    write_run(tmp_path, [0.5], strategy=("mlmoc",), seed=1)
    with pytest.raises(ValueError, match=r"random on digits: seeds \[0\] are finished"):
        draw("curves", [str(tmp_path)], None)


def test_the_command_lists_the_figures():
    command = [sys.executable, "-m", "experiments.figures", "9z"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert "unknown figure '9z'; there are:" in done.stderr
    assert all(f"\n  {name} " in done.stderr for name in registry.FIGURES)


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_strategy_has_one_color_in_all_variants_and_dashes_that_differ(name):
    looks = [style.of(name, variant) for variant in range(4)]
    assert len({look.color for look in looks}) == 1
    assert len({look.dashes for look in looks}) == 4


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ([0.0, 10.0], [0.0, 10.0]),
        ([5.0, 5.0], [4.5, 5.5]),
        ([1.0, 0.0, 1.0, 1.0], [0.25, -0.75, 1.25, 2.25]),  # the mean stays where it was
        ([], []),
    ],
)
def test_labels_move_apart_as_little_as_they_can(wanted, found):
    np.testing.assert_allclose(labels.spread(wanted, 1.0), found)
