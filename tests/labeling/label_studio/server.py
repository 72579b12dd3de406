"""A Label Studio server on this machine, in a folder of its own, which ends with the tests."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

PROGRAM = os.environ.get("NTK_AL_LABEL_STUDIO")
"""The program ``label-studio``; without it, the tests use a fake."""

USER, PASSWORD = "ann@example.com", "only-for-this-test"
KEY = "0123456789abcdef0123456789abcdef01234567"
_PATIENCE = 240  # seconds, for the first start, which sets up a database


@contextlib.contextmanager
def running(folder):
    """Starts a server, and yields its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {
        "COLLECT_ANALYTICS": "False",
        "DJANGO_DB": "sqlite",
        "FRONTEND_SENTRY_DSN": "",
        "LABEL_STUDIO_BASE_DATA_DIR": str(folder),
        "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
        "LATEST_VERSION_CHECK": "False",
        "SENTRY_DSN": "",
    }
    command = [PROGRAM, "start", "--no-browser", "--internal-host", "127.0.0.1"]
    command += ["--port", str(port), "--username", USER, "--password", PASSWORD]
    url = f"http://127.0.0.1:{port}"
    with open(os.path.join(folder, "server.log"), "wb") as log:
        process = subprocess.Popen(
            [*command, "--user-token", KEY],
            env={**os.environ, **settings},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            _wait(process, f"{url}/health")
            yield url
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            process.wait()


def _wait(process, address):
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end:
        assert process.poll() is None, "the server has ended: see server.log"
        with contextlib.suppress(OSError), urllib.request.urlopen(address, timeout=5):
            return
        time.sleep(1)
    raise TimeoutError(f"no answer from {address} after {_PATIENCE} seconds: see server.log")
