from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile

import pytest

# Most of a test's time is compilation. Without LLVM's optimizations and with XLA's simple emitters
# of loops it is a quarter, and programs are the same but for the last digits.
# JAX_DISABLE_MOST_OPTIMIZATIONS=0 brings both back.
FAST_COMPILATION = "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"


def _xla_knows(flags):
    """Whether this XLA starts with `flags`: it aborts at one that it does not know."""
    started = subprocess.run(
        [sys.executable, "-c", "import jax; jax.devices()"],
        env={**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"},
        capture_output=True,
    )
    return started.returncode == 0


os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
if "PYTEST_XDIST_WORKER" not in os.environ and os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] != "0":
    _FLAGS = f"{os.environ.get('XLA_FLAGS', '')} {FAST_COMPILATION}".strip()
    if _xla_knows(_FLAGS):
        os.environ["XLA_FLAGS"] = _FLAGS

if "PYTEST_XDIST_WORKER" not in os.environ:
    # One cache of compiled programs for this session: the workers of xdist and the processes
    # that tests start inherit it. It is new every time, so that nothing stale is read. JAX
    # looks at these variables when it is imported. Many sessions may share one, too.
    _SHARED = os.environ.get("NTK_AL_COMPILED")
    _COMPILED = _SHARED or tempfile.mkdtemp(prefix="ntk_al_compiled_")
    os.environ["JAX_COMPILATION_CACHE_DIR"] = _COMPILED
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"

import jax

from ntk_al._utils import compat

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
