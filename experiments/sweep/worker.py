"""A process that does one run after another: imports and compiled programs serve all of them.

``python -m experiments.sweep.worker`` reads requests from its standard input, one JSON object a
line, and answers with lines of JSON on its standard output. It ends when its input does, so that it
never outlives the sweep that started it, however that ended.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
import traceback
import warnings
from typing import Any

LOG = "log.txt"
"""In the directory of a run: what it says."""


def main() -> None:
    """Does what is requested until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the sweep decides what an interrupt means
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    # A log must be whole however the process ends.
    sys.stdout = os.fdopen(1, "w", buffering=1, encoding="utf-8", closefd=False)
    requests: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(requests,), daemon=True).start()
    while True:
        _say(answers, _run(requests.get(), answers))


def _read(requests: queue.SimpleQueue[dict[str, Any]]) -> None:
    for line in sys.stdin:
        requests.put(json.loads(line))
    os._exit(0)


def _say(answers: Any, answer: dict[str, Any]) -> None:
    answers.write(json.dumps(answer) + "\n")
    answers.flush()


def _run(request: dict[str, Any], answers: Any) -> dict[str, Any]:
    from ntk_al._utils import extras
    from ntk_al.training import DivergedError

    from .. import compiled, loop, preparation, progress
    from ..config import Config

    warnings.formatwarning = progress.as_line
    if request["cache_dir"] is not None and request["keep_compiled"]:
        compiled.keep(request["cache_dir"])
    settings: dict[str, Any] = {
        k: tuple(v) if isinstance(v, list) else v for k, v in request["config"].items()
    }
    try:
        config = Config(**settings)
        _log_into(str(config.workdir))
        experiment = preparation.prepare(config, request["cache_dir"], resume=True)
        digest = experiment.dataset.digest()
        if request["data_digest"] not in (None, digest):
            raise ValueError(
                f"the dataset {config.dataset} holds other examples than in runs that are done"
            )
        _say(answers, {"data_digest": digest})
        loop.run(
            experiment,
            picture=False,
            loggers=request["loggers"],
            on_record=lambda record: _say(answers, {"record": record}),
        )
    except (ValueError, TypeError, OSError, DivergedError, extras.MissingExtraError) as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        return {"failed": str(error)}
    except Exception as error:  # a defect must not end the other runs
        traceback.print_exc()
        return {"failed": f"{type(error).__name__}: {error} (traceback in {LOG})"}
    return {"finished": True}


def _log_into(workdir: str) -> None:
    """Sends what is said from now on into the log of a run."""
    os.makedirs(workdir, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    log = os.open(os.path.join(workdir, LOG), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for standard in (1, 2):
        os.dup2(log, standard)
    os.close(log)


if __name__ == "__main__":
    main()
