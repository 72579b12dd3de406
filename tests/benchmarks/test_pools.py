from __future__ import annotations

import numpy as np
import pytest

from experiments.benchmarks import pools
from experiments.benchmarks.harness import entry


@pytest.mark.thorough
def test_pools_of_several_sizes_are_timed_and_their_growth_is_told():
    rows = entry.run(pools.BENCHMARK, ["--quick"])
    assert [row["candidates"] for row in rows] == [60, 120]
    assert [row["landmarks"] for row in rows] == [8, 8]
    growth = np.log2(rows[1]["seconds"] / rows[0]["seconds"])
    assert rows[1]["exponent"] == pytest.approx(growth)


def test_the_pool_is_a_file_of_images_around_centers(tmp_path):
    path = str(tmp_path / "pool.npy")
    pools.write_pool(path, 9, 6, seed=0)
    x = np.load(path, mmap_mode="r")
    assert (x.shape, x.dtype) == ((9, 6, 6, 1), np.float32)
    assert np.ptp(x) > 1
