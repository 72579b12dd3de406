"""Pools of every kind give the arrays that they hold, and what is wrong with them is said."""

from __future__ import annotations

import os
import pathlib

import numpy as np
import pytest

from ntk_al import labeling
from ntk_al.labeling.sources import Source, open_source

pytestmark = pytest.mark.quick


def everything(source):
    return source.take(np.arange(len(source)))


@pytest.fixture
def numbers():
    return np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)


@pytest.fixture
def images(tmp_path):
    """A folder of images in two subfolders, and what is in them by id."""
    image = pytest.importorskip("PIL.Image")
    rng = np.random.default_rng(0)
    content = {}
    for name in ("b/2.png", "a/1.png", "a/10.PNG"):
        pixels = rng.integers(0, 256, (6, 5, 3), np.uint8)
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        image.fromarray(pixels).save(path)
        content[name] = pixels
    (tmp_path / "images" / "notes.txt").write_text("no image")
    (tmp_path / "images" / ".hidden.png").write_text("no image")
    return str(tmp_path / "images"), content


# Arrays.


def test_an_array_and_its_file_are_the_same_pool(numbers, tmp_path):
    np.save(tmp_path / "pool.npy", numbers)
    first, second = open_source(numbers), open_source(tmp_path / "pool.npy")
    np.testing.assert_array_equal(everything(first), everything(second))
    assert first.digest() == second.digest()
    assert isinstance(first, Source)


def test_a_file_of_an_array_is_never_read_as_a_whole(tmp_path):
    shape = (2**19, 2**10)  # 2 GiB that are not on disk
    np.lib.format.open_memmap(tmp_path / "pool.npy", "w+", np.float32, shape).flush()
    source = open_source(tmp_path / "pool.npy")
    assert source.digest().endswith("of a sample")
    np.testing.assert_array_equal(source.take(np.array([0, 2**19 - 1])), np.zeros((2, 2**10)))


@pytest.mark.parametrize(
    ("pool", "error", "message"),
    [
        (np.zeros((0, 3)), ValueError, "x_pool is empty"),
        (np.full((3, 2), np.nan), ValueError, "x_pool has .* NaN"),
        (np.array([["a"]]), TypeError, "x_pool must hold numbers"),
        ([[1.0]], TypeError, "x_pool must be a NumPy or JAX array, got list"),
        ({"x": np.zeros(3)}, TypeError, "x_pool must be a NumPy or JAX array, got dict"),
        (np.zeros(()), ValueError, "x_pool must be a batch"),
    ],
)
def test_what_is_no_pool_is_refused(pool, error, message):
    with pytest.raises(error, match=message):
        open_source(pool).digest()


def test_paths_that_are_no_pools_are_refused(tmp_path):
    (tmp_path / "pool.txt").write_text("1")
    (tmp_path / "pool.npy").write_text("1")
    (tmp_path / "pool").write_text("1")
    for name, error, message in (
        ("nothing", FileNotFoundError, "no such file or folder"),
        ("pool.txt", ValueError, r"no pool: it must be a folder of images or .* \.npy, \.csv"),
        ("pool", ValueError, "no pool"),
        ("pool.npy", ValueError, r"pool.npy is not a \.npy file"),
    ):
        with pytest.raises(error, match=message):
            open_source(tmp_path / name)


# Images.


def test_images_have_their_paths_as_ids_and_pixels_from_0_to_1(images):
    folder, content = images
    source = open_source(folder)
    assert list(source.ids) == ["a/1.png", "a/10.PNG", "b/2.png"]
    expected = np.stack([content[i] for i in source.ids]).astype(np.float32) / 255
    np.testing.assert_array_equal(everything(source), expected)


def test_images_are_resized_and_turned_grey(images):
    source = labeling.ImageFolder(images[0], size=(3, 4), channels=1)
    found = everything(source)
    assert found.shape == (3, 3, 4, 1)
    assert 0 <= found.min() < found.max() <= 1


def test_a_changed_or_added_image_is_another_pool(images):
    image = pytest.importorskip("PIL.Image")
    folder, content = images
    before = open_source(folder).digest()
    assert open_source(folder).digest() == before
    image.fromarray(content["b/2.png"][::-1]).save(os.path.join(folder, "b/2.png"))
    changed = open_source(folder).digest()
    os.rename(os.path.join(folder, "b/2.png"), os.path.join(folder, "b/3.png"))
    assert len({before, changed, open_source(folder).digest()}) == 3


def test_what_is_wrong_with_images_is_said(images, tmp_path):
    image = pytest.importorskip("PIL.Image")
    folder, content = images
    for options, message in (
        ({"channels": 4}, "channels must be 1 or 3, got 4"),
        ({"size": (3, 0)}, r"size must be \(height, width\) in pixels, got \(3, 0\)"),
        ({"size": (3,)}, "size must be"),
    ):
        with pytest.raises(ValueError, match=message):
            labeling.ImageFolder(folder, **options)
    with pytest.raises(FileNotFoundError, match=r"no such folder: .*/nowhere"):
        labeling.ImageFolder(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="holds no images"):
        open_source(tmp_path / "empty")
    image.fromarray(content["b/2.png"][1:]).save(os.path.join(folder, "b/2.png"))
    with pytest.raises(
        ValueError, match=r"differ in size .*b/2.png has 5x5\): give them one size, size="
    ):
        everything(open_source(folder))
    pathlib.Path(folder, "a/1.png").write_bytes(b"junk")
    with pytest.raises(ValueError, match=r"a/1.png is not an image that can be read"):
        open_source(folder).digest()


# Tables.


def write_table(path, columns):
    pyarrow = pytest.importorskip("pyarrow")
    kind = {".csv": "csv", ".parquet": "parquet"}[path.suffix]
    module = pytest.importorskip(f"pyarrow.{kind}")
    write = module.write_csv if kind == "csv" else module.write_table
    write(pyarrow.table(columns), path)
    return path


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_table_holds_its_numbers_and_its_ids(suffix, numbers, tmp_path):
    ids = [f"row {i}" for i in range(7)]
    columns = {"a": numbers[:, 0], "name": ids, "b": numbers[:, 1].astype(int), "c": numbers[:, 2]}
    path = write_table(tmp_path / f"pool{suffix}", columns)
    source = labeling.Table(path, id_column="name")
    assert source.ids == ids
    expected = np.stack([columns[name] for name in "abc"], axis=1)
    np.testing.assert_allclose(everything(source), expected, rtol=1e-6)
    source = labeling.Table(path, columns=["c", "a"])
    assert source.ids is None
    np.testing.assert_allclose(everything(source), numbers[:, [2, 0]], rtol=1e-6)


def test_what_is_wrong_with_a_table_is_said(numbers, tmp_path):
    path = write_table(tmp_path / "pool.csv", {"a": numbers[:, 0], "name": ["x"] * 7})
    with pytest.raises(TypeError, match=r"the column 'name' of .* does not hold numbers; name the"):
        open_source(path)
    with pytest.raises(ValueError, match="has no column 'd'; it has 'a', 'name'"):
        labeling.Table(path, columns=["a", "d"])
    with pytest.raises(FileNotFoundError, match="no such file"):
        labeling.Table(tmp_path / "nothing.csv")
    path = write_table(tmp_path / "gaps.csv", {"a": [1.0, None, 2.0]})
    with pytest.raises(ValueError, match=r"the column 'a' of .* lacks 1 numbers"):
        open_source(path)
    path = write_table(tmp_path / "nan.parquet", {"a": [1.0, np.nan]})
    with pytest.raises(ValueError, match="has 1 NaN or infinite entries"):
        open_source(path)
    (tmp_path / "bad.parquet").write_text("junk")
    with pytest.raises(ValueError, match="cannot be read as a table"):
        open_source(tmp_path / "bad.parquet")
    path = write_table(tmp_path / "empty.csv", {"a": np.zeros(0)})
    with pytest.raises(ValueError, match="holds no examples: 0 rows"):
        open_source(path)


# Records.


def test_records_of_several_files_follow_each_other(numbers, tmp_path):
    module = pytest.importorskip("array_record.python.array_record_module")
    paths = [tmp_path / f"pool-{i}.array_record" for i in range(2)]
    for path, rows in zip(paths, (numbers[:4], numbers[4:]), strict=True):
        writer = module.ArrayRecordWriter(str(path), "group_size:1")
        for row in rows:
            writer.write(row.tobytes())
        writer.close()
    source = labeling.ArrayRecord(paths, lambda record: np.frombuffer(record, np.float32))
    np.testing.assert_array_equal(everything(source), numbers)
    assert len(labeling.ArrayRecord(paths[0], lambda record: record)) == 4
    with pytest.raises(FileNotFoundError, match="no such file"):
        labeling.ArrayRecord(tmp_path / "nothing", lambda record: record)


def test_a_campaign_takes_ids_from_its_source(images, tmp_path):
    with labeling.Campaign.create(
        tmp_path / "campaign", images[0], class_names=["cat", "dog"], audit=0
    ) as campaign:
        campaign.tell("b/2.png", "dog")
    with labeling.Campaign.open(tmp_path / "campaign", images[0]) as campaign:
        assert campaign.labels == {"b/2.png": "dog"}
        np.testing.assert_array_equal(campaign.labeled()[0][0] * 255, images[1]["b/2.png"])
        assert set(campaign.next(2)) == {"a/1.png", "a/10.PNG"}


def sources_of_paths(images, numbers, tmp_path):
    """Pools that are made of a path alone."""
    np.save(tmp_path / "pool.npy", numbers)
    table = tmp_path / "pool.csv"
    lines = [f"r{row},{a},{b},0" for row, (a, b) in enumerate(numbers[:, :2])]
    table.write_text("\n".join(["name,a,b,c", *lines]) + "\n")
    return [
        images[0],
        labeling.ImageFolder(images[0], size=(5, 6), channels=1),
        labeling.Standardized(labeling.ImageFolder(images[0], size=4)),
        str(tmp_path / "pool.npy"),
        labeling.Table(table, columns=["b", "a"], id_column="name"),
        labeling.Standardized(labeling.Table(table, id_column="name")),
    ]


@pytest.mark.parametrize("number", range(6))
def test_a_campaign_on_a_path_knows_its_pool(number, images, numbers, tmp_path, monkeypatch):
    pool = sources_of_paths(images, numbers, tmp_path)[number]
    folder = tmp_path / "campaign"
    with labeling.Campaign.create(folder, pool, num_classes=2, audit=0) as campaign:
        campaign.tell(campaign.first_id, 1)
        expected = campaign.labeled()[0]
    monkeypatch.chdir(folder)
    with labeling.Campaign.open(folder) as campaign:
        np.testing.assert_array_equal(campaign.labeled()[0], expected)


def test_a_pool_that_is_no_path_has_to_be_passed(numbers, tmp_path):
    labeling.Campaign.create(tmp_path / "campaign", numbers, num_classes=2, audit=0).close()
    with pytest.raises(FileNotFoundError, match=r"pass its pool to Campaign\.open"):
        labeling.Campaign.open(tmp_path / "campaign")


# Scaled.


def test_channels_and_columns_are_standardized(images, numbers):
    for pool in (images[0], 1000 * numbers + 5):
        source = open_source(pool)
        scaled = labeling.Standardized(source)
        x = everything(scaled)
        axes = tuple(range(x.ndim - 1))
        np.testing.assert_allclose(x.mean(axes), 0, atol=1e-5)
        np.testing.assert_allclose(x.std(axes), 1, rtol=1e-5)
        np.testing.assert_array_equal(scaled.apply(everything(source)), x)
        assert scaled.ids == source.ids
        assert scaled.digest() != source.digest()
    constant = labeling.Standardized(open_source(np.full((3, 2), 7.0)))
    np.testing.assert_array_equal(everything(constant), np.zeros((3, 2)))


def test_a_scaled_folder_of_images_still_has_paths(images, tmp_path):
    source = labeling.Standardized(labeling.ImageFolder(images[0]))
    with labeling.Campaign.create(tmp_path / "c", source, num_classes=2) as campaign:
        assert campaign.path("b/2.png") == os.path.join(images[0], "b/2.png")
