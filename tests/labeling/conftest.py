from __future__ import annotations

import numpy as np
import pytest

from ntk_al import labeling

N, D = 60, 4


@pytest.fixture
def pool():
    """Three well separated groups of examples, and their classes."""
    rng = np.random.default_rng(0)
    y = np.arange(N) % 3
    x = 4 * np.eye(3, D)[y] + rng.normal(scale=0.3, size=(N, D))
    return x.astype(np.float32), y


@pytest.fixture
def folder(tmp_path):
    return str(tmp_path / "campaign")


@pytest.fixture
def create(folder, pool):
    """Creates a campaign on the pool, which is closed when the test ends."""
    made = []

    def run(x_pool=None, **options):
        options = {"audit": 0, **options}
        if "class_names" not in options:
            options.setdefault("num_classes", 3)
        x = pool[0] if x_pool is None else x_pool
        made.append(labeling.Campaign.create(folder, x, **options))
        return made[-1]

    yield run
    for campaign in made:
        campaign.close()


@pytest.fixture
def reopen(folder, pool):
    """Opens the campaign again, as another process would."""
    made = []

    def run(campaign=None, x_pool=None):
        if campaign is not None:
            campaign.close()
        made.append(labeling.Campaign.open(folder, pool[0] if x_pool is None else x_pool))
        return made[-1]

    yield run
    for campaign in made:
        campaign.close()
