"""Starts many runs of ``stubbed`` in little time: one process imports everything, then forks.

``python -m tests.experiments.forked`` is that process. It reads requests from its standard input,
one JSON object a line, and answers each with a line.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import resource
import signal
import subprocess
import sys
import time
import warnings

from experiments import records, stopping
from tests.experiments import stubbed
from tests.paths import ROOT

PATIENCE = 120
"""Seconds after which a run that should have got somewhere has failed."""


@dataclasses.dataclass
class Run:
    """A run, alive or ended, with its output."""

    server: subprocess.Popen
    pid: int
    workdir: str
    output: str

    def text(self):
        with open(self.output, encoding="utf-8") as file:
            return file.read()

    def lines(self):
        """The content of ``metrics.jsonl``."""
        try:
            with open(os.path.join(self.workdir, records.METRICS), "rb") as file:
                return file.read()
        except FileNotFoundError:
            return b""

    def send(self, number):
        os.kill(self.pid, number)  # a process that has ended is there until it is awaited

    def wait(self):
        """The exit status, negative for a signal that killed it."""
        return _ask(self.server, {"wait": self.pid})

    def is_alive(self):
        return bool(_ask(self.server, {"is_alive": self.pid}))

    def wait_for_lines(self, number):
        deadline = time.monotonic() + PATIENCE
        while self.lines().count(b"\n") < number:
            assert self.is_alive(), self.text()
            assert time.monotonic() < deadline, self.text()
            time.sleep(0.01)


class Runs:
    """Starts runs; each has an output file of its own."""

    def __init__(self, server, folder):
        self._server, self._folder, self._number = server, str(folder), 0
        self.dataset = stubbed.dataset(self._folder)

    def start(
        self,
        workdir,
        *,
        first=(),
        bare=False,
        pause=0.0,
        file_size=None,
        cache=None,
        train=False,
        **flags,
    ):
        """Starts a run.

        Args:
          workdir: the work directory.
          first: arguments before the flags.
          bare: whether there are no flags but those in ``first``.
          pause: the length of a cycle in seconds.
          file_size: the number of bytes after which the system refuses to write more into a file.
          cache: where caches are, by default one that the runs share.
          train: whether networks are really trained.
          **flags: changes of the flags.
        """
        self._number += 1
        output = os.path.join(self._folder, f"output-{self._number}.txt")
        flags = {"dataset": self.dataset, "workdir": workdir, **flags}
        request = {
            "arguments": [*first, *([] if bare else stubbed.flags(**flags))],
            "output": output,
            "pause": pause,
            "file_size": file_size,
            "cache": str(cache or self._folder),
            "train": train,
        }
        return Run(self._server, _ask(self._server, request), str(workdir), output)

    def run(self, workdir, **options):
        """Runs to the end, and returns the exit status and the output."""
        run = self.start(workdir, **options)
        return run.wait(), run.text()


@contextlib.contextmanager
def runs(folder):
    """Starts the process, with a cache of its own."""
    environment = {
        name: value for name, value in os.environ.items() if "COMPILATION_CACHE" not in name
    }
    environment |= {"JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-m", "tests.experiments.forked"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=ROOT, env=environment, **pipes) as server:
        try:
            yield Runs(server, folder)
        finally:
            server.stdin.close()


def _ask(server, request):
    server.stdin.write(json.dumps(request) + "\n")
    server.stdin.flush()
    return json.loads(server.stdout.readline())


def _serve():
    # What takes seconds to import; not the program itself, which defines its flags once.
    import matplotlib.pyplot  # noqa: F401

    from experiments import command_line, loop  # noqa: F401

    outputs = {}
    for line in sys.stdin:
        request = json.loads(line)
        if "is_alive" in request:
            ended = os.WEXITED | os.WNOHANG | os.WNOWAIT
            answer = int(os.waitid(os.P_PID, request["is_alive"], ended) is None)
        elif "wait" in request:
            answer = os.waitstatus_to_exitcode(os.waitpid(request["wait"], 0)[1])
            outputs.pop(request["wait"]).wait()
        else:
            # By a pipe, because a limit of the size of files must not bar what is said.
            with open(request["output"], "wb") as file:
                output = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=file)
            answer = _fork(request, output.stdin.fileno())
            output.stdin.close()
            outputs[answer] = output
        print(answer, flush=True)


def _fork(request, output):
    # A signal that comes before the program could ask for it waits until then.
    signal.pthread_sigmask(signal.SIG_BLOCK, stopping.SIGNALS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # JAX warns of forks; nothing has run on its devices yet
        pid = os.fork()
    if not pid:
        _become(request, output)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, stopping.SIGNALS)
    return pid


def _become(request, output):
    status = 0
    try:
        for standard in (1, 2):
            os.dup2(output, standard)
        os.environ |= {"PAUSE": str(request["pause"]), "XDG_CACHE_HOME": request["cache"]}
        if request["file_size"] is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (request["file_size"],) * 2)
        for number in stopping.SIGNALS:  # a shell lets its background jobs ignore some of them
            signal.signal(number, signal.SIG_DFL)
        stopping.install("nothing was written")
        signal.pthread_sigmask(signal.SIG_UNBLOCK, stopping.SIGNALS)
        if not request["train"]:
            stubbed.stub()
        stubbed.main(request["arguments"])
    except SystemExit as error:
        status = error.code
        if isinstance(status, str):
            print(status, file=sys.stderr)
            status = 1
    except BaseException:
        import traceback

        traceback.print_exc()
        status = 1
    finally:  # nothing may lead back into the server
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status or 0)


if __name__ == "__main__":
    _serve()
