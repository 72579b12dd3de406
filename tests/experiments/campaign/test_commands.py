"""A campaign by commands alone: from a folder of images or a table to exported labels."""

from __future__ import annotations

import csv
import shutil

import numpy as np
import pytest
from absl import flags

from experiments.campaign import __main__ as program
from experiments.campaign import commands

SMALL = ["--epochs=30", "--width=8"]


@pytest.fixture
def run(capsys, tmp_path, monkeypatch):
    """Does a command in an empty folder, and returns what it prints."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        values = flags.FlagValues()
        program.define(values)
        capsys.readouterr()
        program.main(values(["campaign", *arguments]), values)
        return capsys.readouterr().out

    return run


@pytest.fixture
def refused(run):
    """Returns the message with which a command ends."""

    def refused(*arguments):
        with pytest.raises(SystemExit) as exit:
            run(*arguments)
        return exit.value.code

    return refused


@pytest.fixture
def images(tmp_path):
    """A folder of dark and of bright images, with a few of the wrong size."""
    image = pytest.importorskip("PIL.Image")
    rng = np.random.default_rng(0)
    (tmp_path / "images").mkdir()
    for i in range(48):
        pixels = rng.integers(0, 20, (6 + i % 2, 6)) + 100 * (i % 2)
        image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "images" / f"{i:02}.png")


def answer(path):
    """Fills in a queue of images: odd ones are bright."""
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        row["label"] = "bright" if int(row["id"][:2]) % 2 else "dark"
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    return [row["id"] for row in rows]


CREATE = ["create", "c", "--pool=images", "--image_size=6,6", "--class_names=dark,bright"]


def test_images_are_labeled_by_commands_alone(run, images, tmp_path):
    shown = run(*CREATE, "--channels=1", "--audit_size=6")
    assert "created c: 48 examples, 6 of them to measure accuracy" in shown
    shown = run("next", "c", "--k=4", "--audit=6", "--out=1.csv")
    assert "4 examples to label, typical ones, and 6 random examples of the audit\n" in shown
    first = answer("1.csv")
    assert "1.csv: 10 labels, 10 of them new and 0 in place" in run(
        "import", "c", "1.csv", "--by=ann"
    )
    shown = run("next", "c", "--k=3", "--out=2.csv", *SMALL)
    assert "trained on 4 labels; accuracy on 6 audit labels: " in shown
    assert "3 examples to label, chosen by mlmoc\nwrote 2.csv: " in shown
    second = answer("2.csv")
    assert not set(first) & set(second)
    shown = run("import", "c", "2.csv")
    assert "7 labels for training in all, and 6 of the audit\n" in shown
    assert "7 labels of 48 examples (dark: " in run("status", "c")
    assert "wrote labels.csv: 13 labels" in run("export", "c", "--out=labels.csv")
    shown = run("export", "c", "--out=classes", "--format=image_folder")
    assert "wrote classes: 7 labels; 6 of the audit are left out\n" in shown
    assert len(list((tmp_path / "classes" / "dark").iterdir())) > 0
    assert len(list((tmp_path / "classes").rglob("*.png"))) == 7  # without the audit
    assert f"taken back: {second[0]}" in run("untell", "c", second[0])
    assert "6 labels of 48 examples" in run("status", "c")


def test_whoever_labels_the_first_half_of_a_queue_labels_half_of_the_audit(run, images):
    run(*CREATE, "--channels=1", "--audit_size=6")
    run("next", "c", "--k=4", "--audit=6", "--out=queue.csv")
    with open("queue.csv", newline="") as file:
        rows = file.read().splitlines()
    half = [rows[0], *(f"{row.removesuffix(',')},dark" for row in rows[1:6])]
    with open("half.csv", "w") as file:
        file.write("\n".join(half))
    assert "2 labels for training in all, and 3 of the audit" in run("import", "c", "half.csv")
    shown = run("next", "c", "--k=0", "--audit=2", "--out=more.csv")
    assert shown.startswith("2 random examples of the audit\n")


def test_a_table_is_labeled_and_compared_with_random_labels(run, tmp_path):
    rng = np.random.default_rng(0)
    y = np.arange(80) % 2
    x = rng.normal(size=(80, 2)) + 1000 * y[:, None]  # only scaled columns can be learned
    rows = [f"{a},{b},row{i}" for i, (a, b) in enumerate(x)]
    (tmp_path / "t.csv").write_text("\n".join(["a,b,name", *rows]) + "\n")
    run("create", "c", "--pool=t.csv", "--id_column=name", "--num_classes=2", "--audit_size=0.4")
    labels = [f"row{i},{y[i]}" for i in range(80)]
    (tmp_path / "all.csv").write_text("\n".join(["id,label", *labels]) + "\n")
    run("import", "c", "all.csv")
    shown = run("status", "c", "--compare", *SMALL)
    assert "accuracy on 32 of 32 audit examples: 100.0 %" in shown
    assert "Is it beating random? not known yet: with 25 labels each" in shown
    assert "narrow the interval" not in shown  # there are no more audit examples


@pytest.mark.quick
def test_without_a_command_the_usage_is_shown(run):
    shown = run()
    assert all(f"ntk-al campaign {name} FOLDER" in shown for name in commands.COMMANDS)


@pytest.mark.quick
def test_what_is_wrong_with_a_command_is_said_in_a_line(run, refused, images, tmp_path):
    (tmp_path / "pool.npy").write_bytes(b"")
    for arguments, message in (
        (
            ["crate", "c"],
            "unknown command 'crate'; known: create, next, import, untell, export, status",
        ),
        (["create"], "which campaign? ntk-al campaign create FOLDER"),
        (["create", "c"], r"which examples? --pool=FILE or --pool=FOLDER"),
        (["create", "c", "--pool=nowhere", "--num_classes=2"], "no such file or folder"),
        (["create", "c", "--pool=pool.npy", "--num_classes=2"], "pool.npy is not a .npy file"),
        (
            ["create", "c", "--pool=images", "--image_size=6,6"],
            "pass either num_classes or class_names",
        ),
        ([*CREATE, "more"], "not a flag: more"),
        ([*CREATE, "--image_size=6"], "--image_size takes height,width, such as 64,64, got 6"),
        ([*CREATE, "--columns=a"], "columns does not fit: "),
        ([*CREATE, "--audit_size=few"], "--audit_size takes a number of examples, or a share"),
        (["next", "c", "--out=q.csv"], "holds no campaign"),
        (["status", "c"], "holds no campaign"),
        (["import", "c"], "which file? ntk-al campaign import FOLDER FILE"),
        (["export", "c"], "where to? --out=FILE"),
    ):
        code = refused(*arguments)
        assert code.startswith("error: ")
        assert message in code
    assert not (tmp_path / "c" / "events.jsonl").exists()
    run(*CREATE)
    assert "c holds a campaign already. Nothing was changed" in refused(*CREATE)
    assert "--compare needs labels: there are none yet" in refused("status", "c", "--compare")
    (tmp_path / "q.csv").write_text("mine")
    assert "q.csv is there already" in refused("next", "c", "--out=q.csv")
    assert (tmp_path / "q.csv").read_text() == "mine"


@pytest.mark.quick
def test_a_pool_that_changed_is_refused(run, refused, images, tmp_path):
    run(*CREATE)
    (tmp_path / "images" / "00.png").unlink()
    message = refused("next", "c", "--k=2", "--out=q.csv")
    assert "has 47 examples, but the campaign in c was created with 48 (gone: 00.png)" in message
    assert "The labels are safe: ntk-al campaign export c --out=labels.csv" in message
    assert "wrote l.csv: 0 labels" in run("export", "c", "--out=l.csv")
    assert "the campaign in c" in refused("export", "c", "--out=o", "--format=coco")
    (tmp_path / "images" / "01.png").rename(tmp_path / "images" / "00.png")
    shutil.copy(tmp_path / "images" / "02.png", tmp_path / "images" / "new.png")
    message = refused("next", "c", "--k=2", "--out=q.csv")
    assert "their content or their ids differ (gone: 01.png; new: new.png)" in message
    (tmp_path / "images").rename(tmp_path / "elsewhere")
    assert "If the pool of a campaign was moved" in refused("next", "c", "--k=2", "--out=q.csv")
    (tmp_path / "c" / "pool.json").write_text("{}")
    assert "pool.json is damaged" in refused("next", "c", "--k=2", "--out=q.csv")
