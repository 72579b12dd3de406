"""Every file that is read, damaged at random: the right answer, or an error of one line."""

from __future__ import annotations

import io
import json
import os

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from experiments import records
from ntk_al import data
from ntk_al.data.tensorflow_datasets import TfdsSource
from tests.fuzz.damage import damaged, put_back

ARRAYS = ("x_train", "y_train", "x_test", "y_test")


def assert_same(found, expected):
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
    assert found.num_classes == expected.num_classes


def assert_one_line(error, *parts):
    assert "\n" not in str(error)
    for part in parts:
        assert part in str(error)


def test_damaged_npz_files(fuzz, tmp_path):
    path = tmp_path / "mine.npz"
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 255, (20, 6, 6, 3)).astype(np.uint8), np.arange(20) % 4
    np.savez(path, x_train=images, y_train=labels, x_test=images[:8], y_test=labels[:8])
    content, expected = path.read_bytes(), data.load(str(path))

    def case(rng):
        path.write_bytes(damaged(rng, content))
        try:
            found = data.load(str(path))
        except ValueError as error:
            assert_one_line(error, "mine.npz")
        else:  # only bytes that mean nothing were damaged: every member has a checksum
            assert_same(found, expected)

    fuzz(case, short=60, full=1000)


class RandomImages(tfds.core.GeneratorBasedBuilder):
    """A dataset that generates itself."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        features = {
            "image": tfds.features.Image(shape=(8, 8, 1)),
            "label": tfds.features.ClassLabel(num_classes=3),
        }
        return self.dataset_info_from_configs(features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(30), "test": self._generate_examples(9)}

    def _generate_examples(self, num):
        for i in range(num):
            pixels = np.random.default_rng(i).integers(0, 255, (8, 8)).astype(np.uint8)
            file = io.BytesIO()
            Image.fromarray(pixels).save(file, "png")
            file.seek(0)
            yield i, {"image": file, "label": i % 3}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("prepared"))
    builder = tfds.builder(RandomImages.name, data_dir=folder, file_format="array_record")
    builder.download_and_prepare()
    return folder


SOURCE = TfdsSource("own", RandomImages.name, flip=False)


def test_damaged_copies_of_decoded_images_are_made_again(fuzz, prepared, tmp_path):
    expected = SOURCE(data_dir=prepared, cache_dir=str(tmp_path))
    (copy,) = tmp_path.iterdir()
    content = copy.read_bytes()

    def case(rng):
        copy.write_bytes(damaged(rng, content))
        assert_same(SOURCE(data_dir=prepared, cache_dir=str(tmp_path)), expected)
        assert_same(SOURCE(data_dir=prepared, cache_dir=str(tmp_path)), expected)

    fuzz(case, short=20, full=500)


def test_damaged_prepared_datasets(fuzz, prepared, tmp_path):
    expected = SOURCE(data_dir=prepared)
    folder = str(tmp_path / "damaged")
    names = [
        os.path.relpath(os.path.join(at, name), prepared)
        for at, _, names in os.walk(prepared)
        for name in names
    ]

    def case(rng):
        put_back(folder, prepared)
        name = names[rng.integers(len(names))]
        with open(os.path.join(folder, name), "r+b") as file:
            content = damaged(rng, file.read())
            file.seek(0)
            file.truncate()
            file.write(content)
        try:
            found = SOURCE(data_dir=folder)
        except ValueError as error:
            assert_one_line(error, f"own in {folder}", "cannot be read")
        except FileNotFoundError as error:
            assert_one_line(str(error).splitlines()[0], "not prepared")
        else:
            assert_same(found, expected)

    fuzz(case, short=20, full=500)


def test_damaged_metrics_files(fuzz, tmp_path):
    """A digit that became another one cannot be noticed; everything else must be."""
    lines = [{"cycle": cycle, "queried": [cycle, 7], "strategy": "random"} for cycle in range(4)]
    content = "".join(json.dumps(line) + "\n" for line in lines).encode()
    path = tmp_path / records.METRICS

    def case(rng):
        changed = damaged(rng, content)
        path.write_bytes(changed)
        try:
            found = records.read(str(tmp_path))
        except ValueError as error:
            assert_one_line(error, f"of {path} is ")
        else:
            whole = [line for line in lines if line in found]
            if content.startswith(changed):
                assert found == whole == lines[: len(whole)]
            assert all(isinstance(line, dict) for line in found)
        assert path.read_bytes() == changed

    fuzz(case, short=60, full=1000)
