from __future__ import annotations

import os

import jax
import pytest

MNIST_DIRS = (
    os.environ.get("NTK_AL_TFDS", ""),
    os.path.join(os.path.dirname(__file__), "..", "..", "shared", "tfds"),
    os.path.expanduser("~/tensorflow_datasets"),
)


@pytest.fixture
def x64():
    """Float64 in the whole test, parameters and inputs included."""
    with jax.enable_x64(True):
        yield


@pytest.fixture
def compilations():
    """The durations of all compilations since the test began."""
    durations = []

    def listen(event, duration, **_):
        if event == "/jax/core/compile/backend_compile_duration":
            durations.append(duration)

    jax.monitoring.register_event_duration_secs_listener(listen)
    yield durations
    jax.monitoring.clear_event_listeners()


@pytest.fixture(scope="session")
def mnist_dir():
    """Where real MNIST lies prepared; tests that need it are skipped where it is not."""
    for path in MNIST_DIRS:
        if path and os.path.isdir(os.path.join(path, "mnist")):
            return os.path.abspath(path)
    pytest.skip(
        "real MNIST is not prepared on this machine; point NTK_AL_TFDS at a directory that "
        "tensorflow-datasets prepared it in"
    )
