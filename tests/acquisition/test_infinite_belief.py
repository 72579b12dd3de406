from __future__ import annotations

import jax
import pytest

from ntk_al import kernels
from ntk_al.acquisition import ranked, schemes
from ntk_al.acquisition.strategies.gp import gp
from ntk_al.acquisition.strategies.infinite_ntk import infinite_ntk
from ntk_al.kernels.infinite import gram as infinite_kernels
from tests.kernels.infinite.problem import KEY, candidates


@pytest.mark.parametrize("utility", [infinite_ntk, gp])
def test_a_sequential_query_makes_one_kernel_and_scores_like_fresh_sets(utility, monkeypatch):
    calls = []
    blocks = kernels.infinite_blocks
    monkeypatch.setattr(
        kernels, "infinite_blocks", lambda *a, **k: calls.append(None) or blocks(*a, **k)
    )
    strategy = ranked(utility)
    selection = schemes.sequential(KEY, strategy, candidates(), 4, lambda i: i % 3)
    assert len(calls) == 1
    observed = []
    for step in range(4):
        given = candidates()
        for row in observed:
            given = given.observe(row, row % 3)
        observed.append(int(strategy(jax.random.fold_in(KEY, step), given, 1).ids[0]))
    assert selection.ids.tolist() == observed


@pytest.mark.parametrize("utility", [infinite_ntk, gp])
def test_strategies_report_which_head_was_used(utility, monkeypatch):
    assert utility(KEY, candidates())[1]["pooled_head"] == 1
    monkeypatch.setattr(infinite_kernels, "POOLED_LIMIT", 0)
    diagnostics = utility(KEY, candidates())[1]
    assert diagnostics["pooled_head"] == 0
    assert diagnostics["ridge"] == pytest.approx(1e-2)
    assert diagnostics["condition_number"] > 1
