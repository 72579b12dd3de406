"""What is proposed: typical examples first, then what a strategy chooses, then without training."""

from __future__ import annotations

import os
import pathlib
import shutil

import jax
import numpy as np
import pytest

from ntk_al import Network, labeling, lookahead, models, training
from ntk_al.acquisition import STRATEGIES
from ntk_al.labeling import query
from tests.labeling.conftest import D, N

OPTIONS = {"batch_mode": "top_k", "ridge": 1e-2}


@pytest.fixture(scope="module")
def network():
    module = models.MLP(num_classes=3, width=16, blocks=1)
    return training.initialize(jax.random.key(0), module, np.zeros((1, D), np.float32))


def other_network(network):
    return network.with_params(jax.tree.map(lambda leaf: leaf * 1.5, network.params))


def tell_truth(campaign, pool, ids):
    campaign.tell(ids, pool[1][ids])


@pytest.fixture
def begun(create, pool):
    """A campaign with six labels, two of each class."""
    campaign = create()
    tell_truth(campaign, pool, [0, 1, 2, 3, 4, 5])
    return campaign


# Without a network.


@pytest.mark.quick
def test_the_first_examples_are_of_every_group_and_the_next_ones_of_groups_without_labels(
    create, pool
):
    campaign = create()
    first = campaign.next(3)
    assert sorted(pool[1][first]) == [0, 1, 2]
    tell_truth(campaign, pool, first[:2])
    (third,) = campaign.next(1)
    assert pool[1][third] == pool[1][first[2]]


@pytest.mark.quick
def test_examples_are_clustered_by_given_features(create, pool):
    campaign = create(np.random.default_rng(1).normal(size=(N, 2)))
    chosen = campaign.next(3, features=pool[0])
    assert sorted(pool[1][chosen]) == [0, 1, 2]
    with pytest.raises(ValueError, match=f"features has 5 rows for {N} examples"):
        campaign.next(3, features=pool[0][:5])


@pytest.mark.quick
def test_a_pool_of_copies_and_constants_has_first_examples(create):
    assert len(set(create(np.ones((N, 4))).next(5))) == 5


def test_of_a_large_pool_a_sample_is_clustered(create, monkeypatch):
    monkeypatch.setattr("ntk_al.labeling.cold_start.MOST_POINTS", 30)
    campaign = create(np.random.default_rng(0).normal(size=(500, 3)))
    assert len(set(campaign.next(20))) == 20
    assert len(set(campaign.next(40))) == 40


# With a network.


def test_the_highest_scores_are_proposed(begun, network, pool):
    x, y = begun.labeled()
    scores = np.array(lookahead.score(network, x, y, pool[0][6:], ridge=1e-2))
    best = 6 + np.argsort(-scores)[:5]
    assert begun.next(5, network, **OPTIONS) == best.tolist()


@pytest.mark.parametrize("name", ["entropy", "badge", "coreset", "random", "bait"])
def test_every_kind_of_strategy_proposes_unlabeled_examples(begun, network, name):
    assert name in STRATEGIES
    chosen = begun.next(7, network, strategy=name)
    assert len(set(chosen)) == 7
    assert not {0, 1, 2, 3, 4, 5} & set(chosen)


def test_the_same_call_proposes_the_same_and_is_recorded_once(begun, network, folder):
    log = pathlib.Path(folder, "events.jsonl")
    first = begun.next(3, network)
    before = log.read_text()
    assert begun.next(3, network) == first == begun.pending
    assert log.read_text() == before
    begun.tell(first[0], 0)
    assert begun.pending == first[1:]


def test_skipped_avoided_and_audit_examples_are_not_proposed(create, network, pool):
    campaign = create(audit=20)
    audit = campaign.next(0, audit=20)
    free = [i for i in range(N) if i not in audit]
    tell_truth(campaign, pool, free[:6])
    proposed = campaign.next(10, network)
    campaign.skip(proposed[:4])
    again = campaign.next(10, network, exclude=proposed[4:6])
    assert not set(again) & {*proposed[:6], *audit, *free[:6]}
    rest = campaign.next(len(free) - 10, network, strategy="random")
    assert set(rest) == set(free) - {*free[:6], *proposed[:4]}
    with pytest.raises(ValueError, match="cannot propose 31 examples: only 30 are left"):
        campaign.next(31, network)


def test_audit_examples_come_last_and_without_a_prediction(create, network, pool):
    campaign = create(audit=10)
    audit = campaign.next(0, audit=10)
    free = [i for i in range(N) if i not in audit]
    tell_truth(campaign, pool, free[:6])
    proposed = campaign.next(3, network, audit=2)
    assert proposed[3:] == audit[:2]
    tell_truth(campaign, pool, proposed)
    assert campaign.report().agreement.num == 3


@pytest.mark.quick
def test_what_cannot_be_proposed_is_refused(begun, create, network):
    x = np.zeros((1, D), np.float32)
    five = training.initialize(jax.random.key(0), models.MLP(num_classes=5, width=4), x)
    refused = [
        ((0, network), {}, ValueError, "nothing to propose: k and audit are 0"),
        ((-1, network), {}, ValueError, "k must be a whole number of at least 0, got -1"),
        ((1.5, network), {}, ValueError, "got 1.5"),
        ((N, network), {}, ValueError, f"cannot propose {N} examples: only {N - 6} are left"),
        ((N,), {}, ValueError, f"cannot propose {N} examples: only {N - 6} are left"),
        ((3, network), {"strategy": "mloc"}, ValueError, "unknown strategy 'mloc'; known"),
        ((3, network), {"audit": 1}, ValueError, "cannot add 1 audit examples: only 0 of 0"),
        ((3, network), {"exclude": ["a"]}, ValueError, "not in the pool: 'a'"),
        ((3, network), {"ridge": -1}, ValueError, "ridge must be"),
        ((3, network), {"task": "regression"}, ValueError, "regression"),
        ((3, network), {"rigde": 1}, TypeError, "rigde"),
        ((3, network), {"most_candidates": 0}, ValueError, "most_candidates must be a positive"),
        ((3, network.params), {}, TypeError, "network must be an ntk_al.Network, got dict"),
        ((3, five), {}, ValueError, "the network has 5 outputs, but the campaign has 3 classes"),
    ]
    for arguments, options, error, message in refused:
        with pytest.raises(error, match=message):
            begun.next(*arguments, **options)
    assert begun.pending == []
    begun.untell(range(6))
    with pytest.raises(ValueError, match="a network was given, but there are no labels yet"):
        begun.next(3, network)


@pytest.mark.quick
def test_too_many_candidates_for_the_memory_are_said(begun, network):
    for call in (begun.next, begun.absorb):
        arguments = (1, network) if call == begun.next else (network,)
        with pytest.raises(ValueError, match="54 candidates are too many for the memory: pass a"):
            call(*arguments, memory_budget=100)


# Labels that arrive after the training.


def test_labels_since_the_training_count_as_if_the_posterior_were_conditioned_on_them(
    begun, network, pool
):
    begun.absorb(network, **OPTIONS)
    tell_truth(begun, pool, [10, 20, 31])
    left = np.setdiff1d(np.arange(6, N), [10, 20, 31])
    x, y = begun.labeled()
    scores = np.array(lookahead.score(network, x, y, pool[0][left], x_eval=pool[0][6:], ridge=1e-2))
    assert begun.next(4, **OPTIONS) == left[np.argsort(-scores)[:4]].tolist()


@pytest.mark.parametrize("move_network", [False, True])
def test_it_is_the_same_in_one_process_in_two_and_without_the_cache(
    begun, reopen, network, pool, folder, move_network
):
    options = {"move_network": move_network, "most_candidates": 30, "ridge": 1e-2}
    begun.absorb(network, **options)
    tell_truth(begun, pool, begun.next(4, **options))
    kept = begun.next(4, **options)

    second = reopen(begun)
    second.absorb(network, **options)
    assert second.next(4, **options) == kept

    shutil.rmtree(os.path.join(folder, "cache"))
    third = reopen(second)
    third.absorb(network, **options)
    assert len(set(third.next(4, **options))) == 4  # other candidates may have been drawn


def test_without_sampling_the_cache_changes_nothing(begun, reopen, network, pool, folder):
    begun.absorb(network, **OPTIONS)
    tell_truth(begun, pool, [10, 20, 31])
    kept = begun.next(5, **OPTIONS)
    for damage in (shutil.rmtree, spoil):
        damage(os.path.join(folder, "cache"))
        begun = reopen(begun)
        begun.absorb(network, **OPTIONS)
        assert begun.next(5, **OPTIONS) == kept
    begun.skip(kept[:2])
    kept = begun.next(5, **OPTIONS)
    begun = reopen(begun)
    begun.absorb(network, **OPTIONS)
    assert begun.next(5, **OPTIONS) == kept


def spoil(cache):
    for path in pathlib.Path(cache).iterdir():
        path.write_bytes(path.read_bytes()[:-300])


def test_the_cache_is_not_used_for_another_network_or_other_labels(
    begun, reopen, network, pool, monkeypatch
):
    begun.absorb(network, **OPTIONS)
    same = Network.from_function(
        lambda params, x: 2 * network.with_params(params).logits(x), network.params
    )
    monkeypatch.setattr("ntk_al.labeling.cache.of_network", lambda _: "the same digest")
    monkeypatch.setattr("ntk_al.labeling.proposer.of_network", lambda _: "the same digest")
    for changed in (same, other_network(network)):
        expected = top(changed, *begun.labeled(), pool)
        fresh = reopen(begun)
        fresh.absorb(network, **OPTIONS)
        begun = reopen(fresh)
        assert begun.next(5, changed, **OPTIONS) == expected
    begun.tell(0, 1)  # a label of the training is replaced: it counts as one that came later
    expected = top(changed, *begun.labeled(), pool, x_eval=pool[0][[0, *range(6, N)]])
    assert begun.next(5, changed, **OPTIONS) == expected


def top(network, x, y, pool, x_eval=None):
    scores = lookahead.score(network, x, y, pool[0][6:], ridge=1e-2, x_eval=x_eval)
    return (6 + np.argsort(-np.array(scores))[:5]).tolist()


def test_a_label_that_was_not_a_candidate_counts_too(begun, network, pool):
    options = {**OPTIONS, "most_candidates": 20}
    begun.absorb(network, **options)
    tell_truth(begun, pool, range(6, 50))  # most of them were not drawn
    assert set(begun.next(10, **options)) == set(range(50, 60))


def test_another_number_of_candidates_is_another_draw(begun, network):
    few = begun.next(20, network, strategy="random", most_candidates=20)
    more = begun.next(N - 6, strategy="random", most_candidates=None)
    assert set(few) < set(more) == set(range(6, N))
    assert set(begun.next(20, strategy="random", most_candidates=20)) == set(few)
    assert len(begun.next(30, strategy="random", most_candidates=20)) == 30


def test_a_network_that_was_trained_again_is_asked_afresh(begun, network, pool):
    begun.next(1, network, **OPTIONS)
    tell_truth(begun, pool, [10, 20, 31])
    trained = other_network(network)
    left = np.setdiff1d(np.arange(6, N), [10, 20, 31])
    x, y = begun.labeled()
    scores = np.array(lookahead.score(trained, x, y, pool[0][left], ridge=1e-2))
    assert begun.next(4, trained, **OPTIONS) == left[np.argsort(-scores)[:4]].tolist()


def test_a_cache_that_cannot_be_written_is_said_and_stops_nothing(begun, network, folder):
    pathlib.Path(folder, "cache").write_text("in the way")
    with pytest.warns(UserWarning, match="after a restart the posterior has to be computed again"):
        assert len(begun.next(3, network)) == 3


def test_the_network_can_be_trained_by_the_campaign(begun, network):
    trained = begun.fit(network, training.TrainingConfig(epochs=3, batch_size=4))
    x, y = begun.labeled()
    assert training.accuracy(trained, x, y) > 0.3
    assert not np.array_equal(trained.predict(x), network.predict(x))


def test_a_strategy_that_needs_what_the_network_lacks_is_refused(begun, network):
    with pytest.raises(ValueError, match=r"strategy 'bald' cannot be used: .* has no dropout"):
        begun.next(2, network, strategy="bald")


@pytest.mark.parametrize("strategy", ["mlmoc", "entropy", "coreset", "badge", "residual"])
def test_candidates_that_would_fill_the_memory_are_read_when_needed(
    strategy, begun, pool, network, monkeypatch, tmp_path
):
    expected = begun.next(4, network, strategy=strategy, **OPTIONS)
    monkeypatch.setattr(query, "_MOST_BYTES", 0)
    with labeling.Campaign.create(tmp_path / "again", pool[0], num_classes=3, audit=0) as again:
        tell_truth(again, pool, [0, 1, 2, 3, 4, 5])
        assert again.next(4, network, strategy=strategy, **OPTIONS) == expected


def test_a_whole_pool_is_scored_from_landmarks(begun, network):
    options = {"approximation": "landmarks", "ridge": 1e-2, "most_candidates": None}
    ids = begun.next(4, network, **options)
    assert len({*ids} - {*begun.labels}) == 4
    begun.tell(ids[0], 0)
    assert ids[0] not in begun.next(4, network, **options)  # the label was absorbed
    exact = {**options, "approximation": "none"}
    assert begun.next(4, network, **options) == begun.next(4, network, **exact)
