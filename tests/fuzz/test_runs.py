"""Whole runs of the command: random flags, damaged files that it reads, and random kills."""

from __future__ import annotations

import os
import signal
import time

import pytest

from experiments import records
from experiments.config import RESTARTS
from ntk_al.acquisition import BATCH_MODES, STRATEGIES
from ntk_al.acquisition.schemes import SCHEMES
from ntk_al.kernels import PRECISIONS
from ntk_al.lookahead import ALL_LOGITS, REFERENCES
from ntk_al.lookahead.criteria import LABEL_CRITERIA
from ntk_al.network import PREDICTIVES, READOUTS
from ntk_al.training import AUGMENTATIONS, LOSSES
from tests.experiments import forked, stubbed
from tests.fuzz.damage import damaged, put_back

CYCLES = stubbed.SETTINGS["cycles"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    with forked.runs(tmp_path_factory.mktemp("server")) as runs:
        yield runs


@pytest.fixture
def new_workdir(tmp_path):
    numbers = iter(range(10**6))
    return lambda: str(tmp_path / f"run-{next(numbers)}")


def random_flags(rng):
    """Flags of which most make sense alone, and some together."""
    names = rng.choice(list(STRATEGIES), size=rng.integers(1, 3), replace=False)
    choices = {
        "model": ["mlp", "convnet"],
        "scheme": SCHEMES,
        "restart": RESTARTS,
        "loss": LOSSES,
        "augmentation": ["none", "none", *AUGMENTATIONS],
        "predictive": PREDICTIVES,
        "readout": [*READOUTS, ALL_LOGITS],
        "reference": REFERENCES,
        "precision": PRECISIONS,
        "batch_mode": BATCH_MODES,
        "criterion": LABEL_CRITERIA,
        "move_network": ["true", "false"],
        "dropout": [0.0, 0.3],
        "ridge": [0.0, 1e-6, 1e-2],
        "eval_size": [1, 6],
        "subset_size": [8, 9],
        "query_size": [1, 3],
        "init_size": [1, 5, 9],
        "memory_budget": [1, 10**5, 10**9],
        "width": [1, 4],
        "blocks": [1, 2],
        "batch_size": [1, 16, 1000],
        "learning_rate": [0.1, 1e-3, 1e3],
        "weight_decay": [0.0, 1e-3],
        "seed": [0, 2**32 - 1],
    }
    flags = {"strategy": ",".join(names), "epochs": 2, "retraining_epochs": 1, "cycles": 2}
    for name in rng.choice(list(choices), size=rng.integers(0, 8), replace=False):
        options = list(choices[name])
        flags[str(name)] = options[rng.integers(len(options))]
    if rng.random() < 0.3:
        wrong = ["", "-1", "0", "nan", "inf", "1e400", "99999999999999999999", "☃", "two\nlines"]
        flags[str(rng.choice([*choices, *flags, "dataset"]))] = str(rng.choice(wrong))
    return flags


def assert_refused_in_one_line(status, text):
    assert "Traceback" not in text, text
    assert status == 1, text
    assert text.count("error: ") == 1 or "FATAL Flags parsing error" in text, text


def assert_complete(workdir, flags):
    lines = records.read(workdir)
    names = flags["strategy"].split(",")
    assert [(line["strategy"], line["cycle"]) for line in lines] == [
        (name, cycle) for name in names for cycle in range(int(flags["cycles"]))
    ]
    for name in names:
        queried = [i for line in lines if line["strategy"] == name for i in line["queried"]]
        assert len(set(queried)) == len(queried)
    for line in lines:
        assert 0 <= line["test_accuracy"] <= 1


def test_random_flags_run_or_are_refused(fuzz, runs, new_workdir):
    def case(rng):
        flags, workdir = random_flags(rng), new_workdir()
        status, text = runs.run(workdir, train=True, **flags)
        if status == 0:
            assert_complete(workdir, flags)
        else:
            assert_refused_in_one_line(status, f"{text}\n{flags}")

    fuzz(case, short=2, full=200)


def test_damaged_flagfiles(fuzz, runs, new_workdir, tmp_path):
    content = "".join(f"--{name}={value}\n" for name, value in stubbed.SETTINGS.items()).encode()
    path = tmp_path / "mine.flags"

    def case(rng):
        path.write_bytes(damaged(rng, content))
        status, text = runs.run(new_workdir(), first=[f"--flagfile={path}"])
        if status:
            assert_refused_in_one_line(status, text)

    fuzz(case, short=3, full=100)


def results(workdir):
    """What a run with the same flags in another work directory, at another time, repeats."""
    return [
        {
            key: value
            for key, value in line.items()
            if key not in ("config", "git_revision") and not key.endswith("_seconds")
        }
        for line in records.read(workdir)
    ]


def test_damaged_programs_are_compiled_again(fuzz, runs, new_workdir, tmp_path):
    """Results are those of a run with nothing kept, and the next run has nothing to say."""
    original, cache = str(tmp_path / "original"), str(tmp_path / "cache")
    flags = {"strategy": "mlmoc", "cycles": 1}
    first = new_workdir()
    assert runs.run(first, cache=original, **flags)[0] == 0
    expected = results(first)
    folder = os.path.join(cache, "ntk_al", "compiled")

    def case(rng):
        put_back(cache, original)
        for name in rng.permutation(sorted(os.listdir(folder)))[: rng.integers(1, 9)]:
            with open(os.path.join(folder, str(name)), "r+b") as file:
                content = damaged(rng, file.read())
                file.seek(0)
                file.truncate()
                file.write(content)
        for _ in range(2):
            workdir = new_workdir()
            status, text = runs.run(workdir, cache=cache, **flags)
            assert status == 0, text
            assert "Traceback" not in text
            assert results(workdir) == expected
        assert "a compiled program" not in text

    fuzz(case, short=2, full=60)


def test_random_kills_lose_no_line_and_block_no_run(fuzz, runs, new_workdir):
    def case(rng):
        workdir = new_workdir()
        run = runs.start(workdir, pause=0.05)
        time.sleep(rng.uniform(0, 0.8))
        seen = run.lines().count(b"\n")
        run.send(signal.SIGKILL)
        status = run.wait()
        assert status in (0, -signal.SIGKILL), run.text()
        content = run.lines()
        kept = records.read(workdir) if content else []
        assert [line["cycle"] for line in kept] == list(range(len(kept)))
        assert len(kept) >= seen
        status, text = runs.run(workdir)
        if kept:
            assert_refused_in_one_line(status, text)
            assert f"has {len(kept)} lines" in text
            assert run.lines() == content
        else:
            assert status == 0, text
            assert [line["cycle"] for line in records.read(workdir)] == list(range(CYCLES))

    fuzz(case, short=3, full=100)
