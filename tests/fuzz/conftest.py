from __future__ import annotations

import pytest

from tests.fuzz import report

_PROPERTY = "fuzz"


@pytest.fixture
def fuzz(request, record_property):
    """Runs ``case(rng)`` for each seed; the counts are printed when all tests are done."""

    def run(case, *, short, full):
        done = report.run(request.node.name, case, report.seeds(short, full))
        record_property(_PROPERTY, str(done))  # reaches the summary from the workers of xdist, too
        done.check()

    return run


def pytest_terminal_summary(terminalreporter):
    tests = [test for kind in ("passed", "failed") for test in terminalreporter.getreports(kind)]
    lines = [line for test in tests for key, line in test.user_properties if key == _PROPERTY]
    if lines:
        terminalreporter.section("random cases")
        for line in lines:
            terminalreporter.write_line(line)
