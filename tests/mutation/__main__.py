"""Changes the code in small ways and counts which changes the tests notice.

    make mutate                       # 20 mutants of each module, an hour or two
    MUTANTS=5 MUTATE=plan make mutate

Cosmic Ray makes the mutants. They are a random sample, drawn by ``MUTATION_SEED``, because all of
them would take days. Each runs the tests of its module, in a copy of this tree, until one fails. A
mutant that no test notices is printed as a difference: either a test is missing, or the change
means nothing.
"""

from __future__ import annotations

import ast
import json
import os
import pathlib
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).parents[2]
TIMEOUT = 400  # seconds of one run of the tests; a mutant that loops counts as noticed

_LOOKAHEAD = "ntk_al/lookahead"
_EMPIRICAL = "ntk_al/kernels/empirical"
_EXACT = "tests/kernels/empirical/exactness tests/kernels/empirical/test_routes.py"
_SCORES = (
    "tests/lookahead/test_scoring.py tests/lookahead/test_probabilities.py "
    "tests/lookahead/test_selection.py tests/lookahead/test_full_posterior.py"
)
_PLANS = (
    "tests/kernels/empirical/test_plan.py tests/kernels/empirical/test_costs.py "
    "tests/benchmarks/test_memory.py"
)
MODULES = {
    "posterior": (_LOOKAHEAD, "tests/lookahead/test_posterior.py tests/lookahead/test_scoring.py"),
    "factorization": (
        _LOOKAHEAD,
        "tests/lookahead/test_posterior.py tests/lookahead/test_scoring.py",
    ),
    "criteria": (_LOOKAHEAD, "tests/lookahead/test_scoring.py tests/lookahead/test_tasks.py"),
    "scoring": (_LOOKAHEAD, _SCORES),
    "from_kernel": (_LOOKAHEAD, _SCORES),
    "from_posterior": (_LOOKAHEAD, _SCORES),
    "capture": (_EMPIRICAL, _EXACT),
    "layers": (_EMPIRICAL, _EXACT),
    "routes": (_EMPIRICAL, _EXACT),
    "plan": (_EMPIRICAL, _PLANS),
    "phases": (_EMPIRICAL, _PLANS),
    "costs": (_EMPIRICAL, _PLANS),
    "strategy": ("ntk_al/acquisition", "tests/acquisition/test_conformance.py"),
}
"""The folder of each module and the tests that should notice a change in it."""

CONFIG = """
[cosmic-ray]
module-path = "{module}"
timeout = {timeout}.0
excluded-modules = []
test-command = "{python} -m pytest -x -p no:cacheprovider {tests}"

[cosmic-ray.distributor]
name = "local"
"""


def copied_tree(folder: str) -> str:
    """Copies the files under version control, so that mutants never touch this tree."""
    files = subprocess.check_output(["git", "ls-files", "-z"], cwd=ROOT, text=True)
    for name in filter(None, files.split("\0")):
        target = os.path.join(folder, name)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        shutil.copy2(ROOT / name, target)
    return folder


def annotations(path: str) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Returns where annotations begin and end. They are not evaluated, so nothing can notice."""
    nodes: list[ast.expr | None] = []
    for node in ast.walk(ast.parse(pathlib.Path(path).read_text())):
        if isinstance(node, ast.FunctionDef):
            nodes.append(node.returns)
        elif isinstance(node, ast.arg | ast.AnnAssign):
            nodes.append(node.annotation)
    return [
        ((n.lineno, n.col_offset), (n.end_lineno or n.lineno, n.end_col_offset or n.col_offset))
        for n in nodes
        if n is not None
    ]


def sample(session: str, path: str, num: int, seed: int) -> int:
    """Leaves a random sample of the mutants in a session; returns how many there were.

    Mutants of annotations do not count.
    """
    outside = annotations(path)
    with sqlite3.connect(session) as database:
        jobs = [job for (job,) in database.execute("select job_id from work_items order by job_id")]
        order = {
            job: key
            for job, *key in database.execute(
                "select job_id, operator_name, occurrence, start_pos_row, start_pos_col "
                "from mutation_specs"
            )
        }
        jobs = [
            job
            for job in jobs
            if not any(start <= tuple(order[job][2:]) < end for start, end in outside)
        ]
        jobs.sort(key=lambda job: str(order[job]))  # ids of jobs are random, mutants are not
        kept = set(random.Random(seed).sample(jobs, min(num, len(jobs))))
        for job in set(order) - kept:
            database.execute("delete from mutation_specs where job_id = ?", [job])
            database.execute("delete from work_items where job_id = ?", [job])
    return len(jobs)


def mutate(name: str, tree: str, num: int, seed: int) -> dict[str, object]:
    """Runs the mutants of one module; prints those that survive."""
    folder, tests = MODULES[name]
    config, session = (os.path.join(tree, f"{name}.{kind}") for kind in ("toml", "sqlite"))
    module = f"{folder}/{name}.py"
    values = {"module": module, "tests": tests, "python": sys.executable, "timeout": TIMEOUT}
    pathlib.Path(config).write_text(CONFIG.format(**values))
    environment = {**os.environ, "PYTHONPATH": tree, "NTK_AL_COMPILED": tree + "-compiled"}

    def cosmic_ray(*arguments: str) -> str:
        command = [sys.executable, "-m", "cosmic_ray.cli", *arguments]
        return subprocess.run(
            command, cwd=tree, env=environment, check=True, stdout=subprocess.PIPE, text=True
        ).stdout

    cosmic_ray("init", config, session)
    total = sample(session, os.path.join(tree, module), num, seed)
    cosmic_ray("--verbosity", "ERROR", "baseline", config)
    cosmic_ray("exec", config, session)
    results = [json.loads(line) for line in cosmic_ray("dump", session).splitlines()]
    outcomes = [result for _, result in results if result]
    survivors = [r for r in outcomes if r["test_outcome"] == "survived"]
    for survivor in survivors:
        print(survivor["diff"], flush=True)
    return {"module": module, "mutants": total, "run": len(outcomes), "survived": len(survivors)}


def main() -> None:
    """Mutates every module that is named in ``MUTATE``; all by default."""
    names = os.environ.get("MUTATE", "").replace(",", " ").split() or list(MODULES)
    num = int(os.environ.get("MUTANTS", "20"))
    seed = int(os.environ.get("MUTATION_SEED", "0"))
    with tempfile.TemporaryDirectory(prefix="ntk_al_mutants_") as folder:
        tree = copied_tree(os.path.join(folder, "tree"))
        for name in names:
            row = mutate(name, tree, num, seed)
            noticed = row["run"] - row["survived"]  # type: ignore[operator]
            print(f"{row['module']}: {noticed} of {row['run']} noticed ({row['mutants']} in all)")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
