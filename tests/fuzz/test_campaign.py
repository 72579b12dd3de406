"""Campaigns whose process is killed: every label that was acknowledged is there afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import warnings

import numpy as np

from ntk_al import labeling

POOL = np.arange(200.0).reshape(100, 2)

LABELS = """
import sys, numpy as np
from ntk_al import labeling
folder, pool, seed = sys.argv[1], np.load(sys.argv[2]), int(sys.argv[3])
campaign = labeling.Campaign.open(folder, pool)
rng = np.random.default_rng(seed)
print("ready", flush=True)
while True:
    ids = rng.choice(len(pool), 3, replace=False).tolist()
    labels = rng.integers(0, 3, 3).tolist()
    sys.stdout.write(f"{ids} {labels}\\n")  # about to be told
    sys.stdout.flush()
    campaign.tell(ids, labels)
    sys.stdout.write("told\\n")
    sys.stdout.flush()
"""


def told(lines):
    """The labels after every call that returned, and those of the call that was cut off, if any."""
    labels, last = {}, {}
    for line in lines:
        if line == "told":
            labels.update(last)
            last = {}
        elif line.startswith("["):
            ids, values = line.split("] [")
            last = dict(zip(numbers(ids), numbers(values), strict=True))
    return labels, last


def numbers(text):
    return [int(number) for number in text.strip("[]").split(",")]


def test_a_campaign_killed_at_random_moments_has_every_label_that_was_acknowledged(fuzz, tmp_path):
    pool = str(tmp_path / "pool.npy")
    np.save(pool, POOL)
    folders = iter(range(10**6))

    def case(rng):
        folder = str(tmp_path / f"campaign-{next(folders)}")
        labeling.Campaign.create(folder, POOL, num_classes=3).close()
        expected = {}
        for _ in range(rng.integers(1, 3)):
            command = [sys.executable, "-c", LABELS, folder, pool, str(rng.integers(10**6))]
            process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            assert process.stdout.readline() == "ready\n"
            time.sleep(rng.uniform(0, 0.2))
            process.send_signal(signal.SIGKILL)
            lines = process.communicate()[0].split("\n")
            acknowledged, last = told(lines[:-1])  # the last line may be cut off
            expected.update(acknowledged)
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "the last event of")
                campaign = labeling.Campaign.open(folder, POOL)
            with campaign:
                found = campaign.labels
            for i in {*expected, *found} - set(last):
                assert found.get(i) == expected.get(i), (i, lines[-5:])
            for i in last:
                assert found.get(i) in (expected.get(i), last[i])
            expected = found
            assert sorted(os.listdir(folder)) == ["events.jsonl", "ids.json"]

    fuzz(case, short=3, full=40)
