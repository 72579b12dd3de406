from __future__ import annotations

import gc
import os
import shutil
import tempfile

import pytest

from tests import compilation

compilation.hurry()  # before JAX is imported
gc.set_threshold(200_000, 50, 100)  # tracing makes many objects: a tenth of the time was spent here

if "PYTEST_XDIST_WORKER" not in os.environ:
    # One cache of compiled programs for this session: the workers of xdist and the processes
    # that tests start inherit it. It is new every time, so that nothing stale is read. JAX
    # looks at these variables when it is imported. Many sessions may share one, too.
    _SHARED = os.environ.get("NTK_AL_COMPILED")
    _COMPILED = _SHARED or tempfile.mkdtemp(prefix="ntk_al_compiled_")
    os.environ["JAX_COMPILATION_CACHE_DIR"] = _COMPILED
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"

import jax  # noqa: E402

from ntk_al._utils import compat  # noqa: E402

compilation.share_context()

MNIST_DIRS = (
    os.environ.get("NTK_AL_TFDS", ""),
    os.path.expanduser("~/tensorflow_datasets"),
)


def pytest_unconfigure(config):
    if "PYTEST_XDIST_WORKER" not in os.environ and not _SHARED:
        shutil.rmtree(_COMPILED, ignore_errors=True)


@pytest.fixture
def optimized():
    """Compilation as users have it, for a test whose time is computation."""
    jax.config.update("jax_disable_most_optimizations", False)
    yield
    jax.config.update(
        "jax_disable_most_optimizations", os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] != "0"
    )


@pytest.fixture
def x64():
    """Float64 in the whole test, parameters and inputs included."""
    with compat.enable_x64(True):
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
