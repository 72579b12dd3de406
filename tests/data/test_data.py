from __future__ import annotations

import errno
import importlib.util
import io
import os
import sys
import types
import zipfile

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from ntk_al import data
from ntk_al.data import DATASETS
from ntk_al.data.dataset import Dataset
from ntk_al.data.tensorflow_datasets import TfdsSource


def arrays(**changes):
    rng = np.random.default_rng(0)
    given = {
        "x_train": rng.integers(0, 255, (20, 6, 6, 3)).astype(np.uint8),
        "y_train": np.arange(20) % 4,
        "x_test": rng.integers(0, 255, (8, 6, 6, 3)).astype(np.uint8),
        "y_test": np.arange(8) % 4,
    }
    return {**given, **changes}


def saved(tmp_path, **changes):
    path = str(tmp_path / "mine.npz")
    np.savez(path, **arrays(**changes))
    return path


def assert_normalized(dataset):
    axes = tuple(range(dataset.x_train.ndim - 1))
    assert dataset.x_train.dtype == dataset.x_test.dtype == np.float32
    np.testing.assert_allclose(dataset.x_train.mean(axes), 0, atol=1e-4)
    np.testing.assert_allclose(dataset.x_train.std(axes), 1, atol=1e-4)


@pytest.mark.quick
def test_digits_are_real_images_normalized_by_their_own_statistics():
    digits = data.load("digits")
    assert digits.x_train.shape == (1347, 8, 8, 1)
    assert digits.x_test.shape == (450, 8, 8, 1)
    assert digits.num_classes == 10
    assert sorted(set(digits.y_test.tolist())) == list(range(10))
    assert_normalized(digits)


def test_training_and_test_digits_share_no_image():
    digits = data.load("digits")
    train = {image.tobytes() for image in digits.x_train}
    assert not train & {image.tobytes() for image in digits.x_test}


@pytest.mark.parametrize(
    ("name", "num_classes", "flip"),
    [("svhn", 10, False), ("cifar10", 10, True), ("cifar100", 100, True)],
)
@pytest.mark.quick
def test_tensorflow_datasets_are_read_without_tensorflow(name, num_classes, flip, tmp_path):
    with tfds.testing.mock_data(num_examples=30):
        dataset = data.load(name, data_dir=str(tmp_path))
    assert dataset.x_train.shape == (30, 32, 32, 3)
    assert dataset.num_classes == num_classes
    assert dataset.augmentation == ("shift_flip" if flip else "shift")
    assert_normalized(dataset)


def test_each_dataset_has_its_own_statistics(tmp_path):
    """The released code normalizes CIFAR100 with the statistics of CIFAR10."""
    for name in ("cifar10", "cifar100"):
        with tfds.testing.mock_data(num_examples=30):
            assert_normalized(data.load(name, data_dir=str(tmp_path / name)))


def test_decoded_images_are_kept_and_read_again(tmp_path):
    cache = str(tmp_path / "cache")
    with tfds.testing.mock_data(num_examples=5):
        first = data.load("svhn", str(tmp_path), cache)
    assert len(os.listdir(cache)) == 1
    with tfds.testing.mock_data(num_examples=7):  # not read: the kept copy has five
        again = data.load("svhn", str(tmp_path), cache)
    np.testing.assert_array_equal(first.x_train, again.x_train)


def test_a_broken_copy_is_replaced(tmp_path):
    cache = tmp_path / "cache"
    with tfds.testing.mock_data(num_examples=5):
        first = data.load("svhn", str(tmp_path), str(cache))
        (copy,) = cache.iterdir()
        copy.write_bytes(copy.read_bytes()[:1000])
        again = data.load("svhn", str(tmp_path), str(cache))
    np.testing.assert_array_equal(first.x_train, again.x_train)


def test_a_full_disk_costs_the_copy_and_not_the_data(tmp_path, monkeypatch, caplog):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with tfds.testing.mock_data(num_examples=5):
        assert len(data.load("svhn", str(tmp_path), str(tmp_path / "cache")).x_train) == 5
    assert "No space left" in caplog.text
    assert not os.listdir(tmp_path / "cache")


def test_real_mnist(mnist_dir, tmp_path):
    mnist = data.load("mnist", mnist_dir, str(tmp_path))
    assert mnist.x_train.shape == (60000, 28, 28, 1)
    # The published numbers of zeros, ones, ... in the test set.
    published = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert np.bincount(mnist.y_test).tolist() == published
    assert_normalized(mnist)


def test_missing_data_comes_with_the_command_that_prepares_it(tmp_path):
    with pytest.raises(FileNotFoundError) as error:
        data.load("cifar100", str(tmp_path))
    assert f"data.prepare('cifar100', '{tmp_path}')" in str(error.value)


@pytest.fixture
def written_by_tensorflow(monkeypatch):
    """Whether TensorFlow is there to write datasets; a stand-in that can only hide devices, if not.

    tensorflow-datasets needs more of it only to encode images.
    """
    there = importlib.util.find_spec("tensorflow") is not None
    if not there:
        tensorflow = types.ModuleType("tensorflow")
        tensorflow.config = types.SimpleNamespace(set_visible_devices=lambda devices, kind: None)
        monkeypatch.setitem(sys.modules, "tensorflow", tensorflow)
    return there


def encoded(image):
    file = io.BytesIO()
    Image.fromarray(image[..., 0]).save(file, "png")
    file.seek(0)
    return file


def test_a_prepared_dataset_is_found_where_it_was_prepared(tmp_path, written_by_tensorflow):
    """A dataset that generates itself, written by TensorFlow and read without it."""

    class SelfMade(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            features = {
                "image": tfds.features.Image(shape=(4, 4, 1)),
                "label": tfds.features.ClassLabel(num_classes=3),
            }
            return self.dataset_info_from_configs(features=tfds.features.FeaturesDict(features))

        def _split_generators(self, dl_manager):
            return {"train": self._generate_examples(12), "test": self._generate_examples(6)}

        def _generate_examples(self, num):
            for i in range(num):
                image = np.full((4, 4, 1), i, np.uint8)
                yield (
                    i,
                    {
                        "image": image if written_by_tensorflow else encoded(image),
                        "label": i % 3,
                    },
                )

    source = TfdsSource("own", SelfMade.name, flip=False)
    with pytest.raises(FileNotFoundError, match="not prepared as array_record"):
        source(data_dir=str(tmp_path))
    source.prepare(str(tmp_path))
    dataset = source(data_dir=str(tmp_path))
    assert sorted(dataset.x_train[:, 0, 0, 0].tolist()) == list(range(12))
    assert (dataset.x_train[:, 0, 0, 0] % 3 == dataset.y_train).all()
    assert len(dataset.x_test) == 6


def test_tensorflow_does_not_see_the_accelerator_when_it_prepares(monkeypatch, tmp_path):
    hidden = []
    tensorflow = types.ModuleType("tensorflow")
    tensorflow.config = types.SimpleNamespace(set_visible_devices=lambda *a: hidden.append(a))
    monkeypatch.setitem(sys.modules, "tensorflow", tensorflow)
    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", lambda builder: None)
    data.prepare("mnist", str(tmp_path))
    assert hidden == [([], "GPU"), ([], "TPU")]


def test_data_that_is_not_downloaded_cannot_be_prepared():
    with pytest.raises(ValueError, match="known: cifar10, cifar100, mnist, svhn"):
        data.prepare("digits")


@pytest.mark.quick
def test_a_users_own_file_is_read(tmp_path):
    dataset = data.load(saved(tmp_path))
    assert dataset.num_classes == 4
    assert dataset.y_train.tolist() == arrays()["y_train"].tolist()
    assert_normalized(dataset)


def test_gray_images_get_a_channel_and_vectors_stay_vectors(tmp_path):
    gray = arrays(x_train=arrays()["x_train"][..., 0], x_test=arrays()["x_test"][..., 0])
    assert data.load(saved(tmp_path, **gray)).x_train.shape == (20, 6, 6, 1)
    flat = {name: arrays()[name].reshape(len(arrays()[name]), -1) for name in ("x_train", "x_test")}
    assert data.load(saved(tmp_path, **flat)).x_train.shape == (20, 108)


def test_a_constant_feature_stays_finite(tmp_path):
    x = np.zeros((20, 3))
    assert np.isfinite(data.load(saved(tmp_path, x_train=x, x_test=x[:8])).x_train).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"y_train": np.arange(19) % 4}, "20 x_train but 19 y_train"),
        ({"y_train": np.arange(20) / 4}, "y_train of .* must be integer class ids"),
        ({"y_test": np.arange(8) - 1}, "values from -1"),
        ({"x_test": np.zeros((8, 5, 6, 3))}, r"but x_test of shape \(5, 6, 3\)"),
        ({"x_train": np.full((20, 6, 6, 3), np.nan)}, "NaN or infinite"),
        ({"x_test": np.zeros((0, 6, 6, 3)), "y_test": np.zeros(0, int)}, "x_test of .* is empty"),
    ],
)
@pytest.mark.quick
def test_files_without_a_dataset_are_refused(changes, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        data.load(saved(tmp_path, **changes))


def test_files_that_lack_arrays_or_are_not_there_are_refused(tmp_path):
    path = str(tmp_path / "half.npz")
    np.savez(path, x_train=np.zeros((2, 3)), y_train=np.zeros(2, int))
    with pytest.raises(ValueError, match="lacks x_test, y_test; write it with"):
        data.load(path)
    (tmp_path / "junk.npz").write_text("junk")
    with pytest.raises(ValueError, match=r"junk.npz is not a .npz file of plain numeric arrays"):
        data.load(str(tmp_path / "junk.npz"))
    with pytest.raises(ValueError, match="plain numeric arrays: Object arrays"):
        data.load(saved(tmp_path, x_train=np.array([1, "a"], object)))
    with pytest.raises(FileNotFoundError, match="no such file"):
        data.load(str(tmp_path / "none.npz"))


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ValueError, match="known: " + ", ".join(sorted(DATASETS))):
        data.load("imagenet")


def test_every_source_makes_a_dataset():
    assert isinstance(DATASETS["digits"](data_dir=None, cache_dir=None), Dataset)
    assert all(callable(source) for source in DATASETS.values())


def test_labels_with_gaps_are_refused_and_truth_values_are_images(tmp_path):
    path = tmp_path / "mine.npz"
    x, y = np.eye(8, dtype=bool).reshape(8, 8, 1, 1), np.arange(8) % 2
    np.savez(path, x_train=x, y_train=y, x_test=x, y_test=y)
    assert data.load(str(path)).x_train.shape == (8, 8, 1, 1)
    np.savez(path, x_train=x, y_train=y * 10**9, x_test=x, y_test=y)
    with pytest.raises(ValueError, match="labels up to 1000000000, but no example of class 2"):
        data.load(str(path))
    gaps = np.array([0, 3, 7, 50])[np.arange(8) % 4]
    np.savez(path, x_train=x, y_train=gaps, x_test=x, y_test=gaps)
    with pytest.raises(ValueError, match=r"labels up to 50, but no example of class 1.*np.unique"):
        data.load(str(path))
    np.savez(path, x_train=x, y_train=y.astype(str), x_test=x, y_test=y)
    with pytest.raises(ValueError, match="must be integer class ids"):
        data.load(str(path))


@pytest.mark.parametrize("dtype", [complex, "datetime64[D]", "S3"])
def test_inputs_that_are_not_real_numbers_are_refused(tmp_path, dtype):
    with pytest.raises(ValueError, match=r"x_test in .* must hold real numbers, got dtype"):
        data.load(saved(tmp_path, x_test=np.zeros((8, 6, 6, 3), dtype)))


def test_members_that_are_not_arrays_and_npy_files_are_refused(tmp_path):
    path = saved(tmp_path)
    given = {name: array for name, array in arrays().items() if name != "x_test"}
    np.savez(path, **given)
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("x_test", b"hello")
    with pytest.raises(ValueError, match=r"x_test in .* must hold real numbers"):
        data.load(path)
    with open(path, "wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(ValueError, match="it holds a single array without a name"):
        data.load(path)
