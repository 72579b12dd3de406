"""Sweeps made up for tests of what reads them."""

from __future__ import annotations

import json
import os

from experiments.config import Config


def write_run(folder, accuracy, *, name=None, cycles=None, failed=None, digest=None, **settings):
    """Writes the records of a run with these accuracies into a directory of a sweep."""
    given = {"cycles": cycles or len(accuracy), "init_size": 20, "query_size": 10, **settings}
    config = Config(**given)
    parts = [f"{k}={v}" for k, v in settings.items() if k not in ("strategy", "dataset")]
    own = os.path.join(folder, name or "-".join([config.strategy[0], *parts]))
    os.makedirs(own, exist_ok=True)
    with open(os.path.join(own, "metrics.jsonl"), "w", encoding="utf-8") as file:
        for cycle, value in enumerate(accuracy):
            record = {
                "strategy": config.strategy[0],
                "cycle": cycle,
                "num_labeled": 20 + 10 * cycle,
                "test_accuracy": value,
                "query_seconds": 1.0,
                "queried": [],
            }
            header = {"config": vars(config), "data_digest": digest}
            file.write(json.dumps({**record, **({} if cycle else header)}) + "\n")
    if failed:
        with open(os.path.join(own, "failed.txt"), "w", encoding="utf-8") as file:
            file.write(failed)
    return own


def write_small(folder, **settings):
    """Writes random, margin and two kinds of mlmoc, with three seeds of three cycles."""
    for seed, shift in enumerate((0.0, 0.01, 0.03)):
        for strategy, gain in (("random", 0.0), ("margin", 0.02), ("mlmoc", 0.03)):
            accuracy = [0.5 + shift, 0.6 + shift + gain, 0.7 + shift + gain * (1 + seed)]
            write_run(folder, accuracy, strategy=(strategy,), seed=seed, **settings)
        accuracy = [0.5 + shift, 0.65, 0.8]
        given = {"seed": seed, "scheme": "sequential", **settings}
        write_run(folder, accuracy, strategy=("mlmoc",), **given)
    return str(folder)
