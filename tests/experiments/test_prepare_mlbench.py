"""Real data from an R package, which is made up here; one test reads the package itself."""

from __future__ import annotations

import io
import os
import shutil
import sys
import tarfile
import types

import numpy as np
import pytest
from absl import flags

from experiments import prepare_mlbench
from experiments.mlbench import package, tables
from experiments.mlbench.tables import TABLES
from ntk_al import data
from ntk_al._utils import extras

FILES = ("letter.npz", "satellite.npz")
NAMES = {table.name: name for name, table in TABLES.items()}


class Frame(dict):
    """Columns by name, with what is used of a pandas data frame."""

    @property
    def columns(self):
        return list(self)

    def __len__(self):
        return len(next(iter(self.values())))


def frame(name, **changes):
    """A data frame with the columns, the classes and the size of the real one, and random rows."""
    table, rng = TABLES[name], np.random.default_rng(0)
    size = table.num_train + table.num_test
    columns = {
        feature: rng.integers(0, table.highest + 1, size).astype(float)
        for feature in table.features
    }
    return Frame({**columns, table.label: rng.choice(table.classes, size), **changes})


def dataset(name, **changes):
    return tables.to_dataset(name, TABLES[name], frame(name, **changes))


def read_rda(file, default_encoding):
    """Stands in for rdata: the content of a file is only the name of its data frame."""
    name = file.read().decode(default_encoding)
    return {name: frame(NAMES[name])}


@pytest.fixture(autouse=True)
def _rdata(monkeypatch):
    monkeypatch.setitem(sys.modules, "rdata", types.SimpleNamespace(read_rda=read_rda))


@pytest.fixture
def folder(tmp_path):
    """A folder with files of the package, as installed."""
    within = tmp_path / "package" / "usr" / "lib" / "mlbench" / "data"
    within.mkdir(parents=True)
    for name in NAMES:
        (within / f"{name}.rda").write_text(name)
    (within / "Zoo.rda").write_text("Zoo")
    return str(tmp_path / "package")


@pytest.fixture
def deb(folder, tmp_path):
    """A Debian package with the files of the folder."""
    path = tmp_path / "r-cran-mlbench_0.deb"
    path.write_bytes(packed(debian_binary=b"2.0\n", control=tar_xz(), data=tar_xz(folder)))
    return str(path)


def tar_xz(folder=None):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:xz") as tar:
        if folder:
            tar.add(folder, ".")
    return file.getvalue()


def packed(debian_binary, control, data):
    """The ar archive that a Debian package is."""
    members = {"debian-binary": debian_binary, "control.tar.xz": control, "data.tar.xz": data}
    archive = b"!<arch>\n"
    for name, content in members.items():
        header = f"{name:16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n"
        archive += header.encode() + content + b"\n" * (len(content) % 2)
    return archive


# From a data frame to a dataset.


@pytest.mark.quick
def test_columns_become_pixels_from_left_to_right_and_top_to_bottom_with_bands_beside_each_other():
    size = 6435
    numbered = {f"x.{k}": np.full(size, float(k)) for k in range(1, 37)}
    images = dataset("satellite", **numbered).x_train
    row, column, band = np.indices((3, 3, 4))
    np.testing.assert_array_equal(images[0], 1 + 12 * row + 4 * column + band)
    assert (images == images[0]).all()


@pytest.mark.parametrize(
    ("name", "sizes"), [("letter", (16000, 4000)), ("satellite", (4435, 2000))]
)
def test_the_first_rows_are_for_training_and_the_last_for_the_test(name, sizes):
    table, made = TABLES[name], dataset(name)
    assert (len(made.x_train), len(made.x_test)) == sizes
    rows, given = np.concatenate([made.x_train, made.x_test]), frame(name)
    for i, feature in enumerate(table.features):
        np.testing.assert_array_equal(rows.reshape(len(rows), -1)[:, i], given[feature])
    ids = np.concatenate([made.y_train, made.y_test])
    assert [table.classes[i] for i in ids] == given[table.label].tolist()
    assert made.num_classes == len(table.classes)
    assert made.x_train.dtype == made.x_test.dtype == np.float32
    assert made.y_train.dtype == made.y_test.dtype == np.int32


SIZE = 20000
WRONG = {
    "another column": ({"size": np.zeros(SIZE)}, "have the columns"),
    "one class less": ({"lettr": np.array([*"ABC"] * 6667)[:SIZE]}, r"the classes \['A', .*'C'\]$"),
    "a missing class": ({"lettr": np.array([None, *"A" * (SIZE - 1)])}, "but has .*None"),
    "too large": ({"width": np.full(SIZE, 16.0)}, "whole numbers from 0 to 15"),
    "negative": ({"width": np.full(SIZE, -1.0)}, "whole numbers from 0 to 15"),
    "a fraction": ({"width": np.full(SIZE, 0.5)}, "whole numbers from 0 to 15"),
    "a missing value": ({"width": np.full(SIZE, np.nan)}, "whole numbers from 0 to 15"),
}


@pytest.mark.parametrize("case", WRONG)
@pytest.mark.quick
def test_other_data_under_the_same_name_are_refused(case):
    changes, message = WRONG[case]
    with pytest.raises(ValueError, match=rf"LetterRecognition should .*{message}"):
        dataset("letter", **changes)


def test_a_data_frame_that_lacks_a_row_or_a_column_is_refused():
    cut = Frame({name: column[1:] for name, column in frame("letter").items()})
    with pytest.raises(ValueError, match="the number of rows 20000, but has 19999"):
        tables.to_dataset("letter", TABLES["letter"], cut)
    given = frame("satellite")
    del given["x.36"]
    with pytest.raises(ValueError, match="Satellite should have the columns"):
        tables.to_dataset("satellite", TABLES["satellite"], given)


# From a package to files.


@pytest.mark.quick
def test_the_files_are_what_data_load_reads(folder, tmp_path):
    to = tmp_path / "new" / "data"
    prepare_mlbench.prepare(str(to), folder)
    assert sorted(os.listdir(to)) == [*FILES]
    for file, shape in zip(FILES, [(16,), (3, 3, 4)], strict=True):
        found, made = data.load(str(to / file)), dataset(file.removesuffix(".npz")).normalized()
        assert found.x_train.shape[1:] == shape
        for array in ("x_train", "y_train", "x_test", "y_test"):
            np.testing.assert_array_equal(getattr(found, array), getattr(made, array))


@pytest.mark.parametrize(
    "with_dpkg",
    [
        pytest.param(
            True, marks=pytest.mark.skipif(not shutil.which("dpkg-deb"), reason="no dpkg-deb here")
        ),
        False,
    ],
)
def test_a_debian_package_and_the_folder_in_it_hold_the_same(with_dpkg, folder, deb, monkeypatch):
    if not with_dpkg:
        monkeypatch.setenv("PATH", "")
    found, expected = package.read_frames(deb), package.read_frames(folder)
    assert found.keys() == expected.keys() == TABLES.keys()
    for name in TABLES:
        assert found[name].columns == expected[name].columns


def test_a_file_with_the_same_arrays_is_left_alone(folder, tmp_path, capsys):
    to = tmp_path / "data"
    prepare_mlbench.prepare(str(to), folder)
    before = [os.stat(to / file) for file in FILES]
    capsys.readouterr()
    prepare_mlbench.prepare(str(to), folder)
    after = [os.stat(to / file) for file in FILES]
    assert [(s.st_ino, s.st_mtime_ns) for s in before] == [(s.st_ino, s.st_mtime_ns) for s in after]
    assert capsys.readouterr().out.count("is there already") == 2


@pytest.mark.parametrize("other", ["text", "float64", "one label"])
def test_a_file_with_something_else_is_replaced_only_if_told(other, folder, tmp_path):
    to, made = tmp_path / "data", prepare_mlbench._arrays(dataset("satellite"))
    to.mkdir()
    if other == "text":
        (to / "satellite.npz").write_text("mine")
    elif other == "float64":
        np.savez(to / "satellite.npz", **{**made, "x_test": made["x_test"].astype(float)})
    else:
        np.savez(to / "satellite.npz", **{**made, "y_test": np.roll(made["y_test"], 1)})
    before = (to / "satellite.npz").read_bytes()
    with pytest.raises(FileExistsError, match=r"satellite.npz .* something else.* --overwrite"):
        prepare_mlbench.prepare(str(to), folder)
    assert os.listdir(to) == ["satellite.npz"]
    assert (to / "satellite.npz").read_bytes() == before
    prepare_mlbench.prepare(str(to), folder, overwrite=True)
    assert prepare_mlbench.holds(str(to / "satellite.npz"), dataset("satellite"))


def test_a_file_is_written_as_a_whole_or_not_at_all(folder, tmp_path, monkeypatch):
    (tmp_path / "letter.npz").write_text("mine")

    def fill_disk(file, **arrays):
        file.write(b"PK")
        raise OSError("no space left")

    monkeypatch.setattr(np, "savez", fill_disk)
    with pytest.raises(OSError, match="no space left"):
        prepare_mlbench.prepare(str(tmp_path), folder, overwrite=True)
    assert (tmp_path / "letter.npz").read_text() == "mine"
    assert {path.name for path in tmp_path.iterdir()} == {"letter.npz", "package"}


# What is missing or damaged.


def test_the_missing_extra_is_named_before_a_download(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "rdata", None)
    monkeypatch.setattr(package, "download", pytest.fail)
    with pytest.raises(extras.MissingExtraError) as error:
        prepare_mlbench.prepare(str(tmp_path))
    assert str(error.value) == "the data of mlbench need rdata: pip install 'ntk-al[mlbench]'"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda content: b"junk", "is damaged, or not a .deb"),
        (lambda content: content[:200], "is damaged, or not a .deb"),
        (lambda content: content[:-200], "is damaged, or not a .deb"),
        (lambda content: content[:8], "is damaged, or not a .deb"),
    ],
)
@pytest.mark.parametrize("path", [os.environ.get("PATH", ""), ""], ids=["dpkg", "python"])
def test_a_damaged_package_is_refused(damage, message, path, deb, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", path)
    damaged = tmp_path / "damaged.deb"
    with open(deb, "rb") as file:
        damaged.write_bytes(damage(file.read()))
    with pytest.raises(ValueError, match=message):
        package.read_frames(str(damaged))


def test_a_package_without_the_data_is_refused(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no .*nowhere. Download r-cran-mlbench"):
        package.read_frames(str(tmp_path / "nowhere"))
    (path,) = (tmp_path / "package").rglob("Satellite.rda")
    path.write_text("junk")
    with pytest.raises(ValueError, match=r"Satellite.rda in .*package cannot be read: KeyError"):
        package.read_frames(folder)
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"package holds no Satellite.rda. Download"):
        package.read_frames(folder)


def program(folder, name, script):
    """Makes a folder with a program, for PATH."""
    folder.mkdir()
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)
    return str(folder)


def test_without_a_package_apt_downloads_it(deb, tmp_path, monkeypatch, capsys):
    with_apt = program(
        tmp_path / "bin", "apt-get", f'[ "$*" = "download r-cran-mlbench" ] && /bin/cp {deb} .'
    )
    monkeypatch.setenv("PATH", with_apt)
    prepare_mlbench.prepare(str(tmp_path / "data"))
    assert sorted(os.listdir(tmp_path / "data")) == [*FILES]
    assert "temporary folder: apt-get download r-cran-mlbench" in capsys.readouterr().out


def test_where_apt_is_missing_or_fails_the_message_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(FileNotFoundError, match=r"no apt-get here.* mirror of .*--package=PATH"):
        prepare_mlbench.prepare(str(tmp_path))
    script = "echo 'E: Unable to locate package' >&2; exit 100"
    monkeypatch.setenv("PATH", program(tmp_path / "bin", "apt-get", script))
    with pytest.raises(FileNotFoundError, match=r"said: E: Unable to locate.* --package=PATH"):
        prepare_mlbench.prepare(str(tmp_path))


# The command.


def run(*arguments):
    values = flags.FlagValues()
    prepare_mlbench.define(values)
    prepare_mlbench.main(values(["prepare_mlbench", *arguments]), values)


def test_the_command_takes_a_folder_and_a_package(deb, tmp_path):
    run(f"--to={tmp_path / 'data'}", f"--package={deb}")
    assert sorted(os.listdir(tmp_path / "data")) == [*FILES]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--package=/nowhere"], "error: there is no /nowhere"),
        (["data"], "error: not a flag: data"),
    ],
)
def test_what_is_wrong_with_a_command_is_said_in_a_line(arguments, message):
    with pytest.raises(SystemExit) as exit:
        run(*arguments)
    assert message in exit.value.code
    assert "\n" not in exit.value.code


# With the library, and with the package.


def test_a_data_frame_that_was_written_as_r_writes_it_is_read(folder, tmp_path, monkeypatch):
    monkeypatch.delitem(sys.modules, "rdata")
    rdata = pytest.importorskip("rdata")
    pandas = pytest.importorskip("pandas")
    rows = {name: pandas.DataFrame(frame(name))[:50] for name in TABLES}
    for name, table in TABLES.items():
        rows[name][table.label] = pandas.Categorical(rows[name][table.label], table.classes)
        (path,) = (tmp_path / "package").rglob(f"{table.name}.rda")
        rdata.write_rda(path, {table.name: rows[name]})
    for name, found in package.read_frames(folder).items():
        assert list(found.columns) == list(rows[name].columns)
        for column in found.columns:
            assert list(found[column]) == list(rows[name][column])


@pytest.fixture(scope="module")
def real():
    path = os.environ.get("NTK_AL_MLBENCH")
    if not path:
        pytest.skip("NTK_AL_MLBENCH does not name the .deb of r-cran-mlbench")
    with pytest.MonkeyPatch.context() as patch:
        patch.delitem(sys.modules, "rdata", raising=False)
        frames = package.read_frames(path)
    return {name: tables.to_dataset(name, TABLES[name], given) for name, given in frames.items()}


@pytest.mark.parametrize("name", TABLES)
def test_classes_are_as_frequent_in_the_test_set_as_in_the_training_set(name, real):
    train, test = (np.bincount(y) / len(y) for y in (real[name].y_train, real[name].y_test))
    np.testing.assert_allclose(train, test, atol=0.02)


@pytest.mark.parametrize(("name", "least"), [("letter", 0.93), ("satellite", 0.87)])
def test_the_nearest_training_example_has_the_same_class_as_often_as_is_known(name, least, real):
    """Statlog reports 6.8% and 9.4% errors for nearest neighbors."""
    given = real[name]
    train = given.x_train.reshape(len(given.x_train), -1)
    test = given.x_test.reshape(len(given.x_test), -1)[:500]
    squares = (train**2).sum(1) - 2 * test @ train.T
    assert (given.y_train[squares.argmin(1)] == given.y_test[:500]).mean() > least


def test_half_of_satellites_patches_are_the_patch_before_moved_by_one_pixel_to_the_right(real):
    x = real["satellite"].x_train
    moved = (x[:-1, :, 1:] == x[1:, :, :-1]).all((1, 2, 3))
    assert moved.mean() > 0.5
    below = (x[:-1, 1:] == x[1:, :-1]).all((1, 2, 3))
    assert below.mean() < 0.01
