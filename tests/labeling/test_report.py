"""Rates with intervals; chosen labels beside random ones, where the answer is known."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
from statsmodels.stats.proportion import proportion_confint

from ntk_al import Network, labeling
from ntk_al.labeling import comparison
from tests.labeling.conftest import N

pytestmark = pytest.mark.quick


def constant(number, num_classes=3):
    """A network that always predicts the same class."""
    logits = np.eye(num_classes, dtype=np.float32)[number]
    return Network.from_function(lambda params, x: params + 0 * x[:, :1], logits)


@pytest.mark.parametrize(("right", "num"), [(0, 5), (3, 5), (5, 5), (40, 100)])
def test_a_rate_has_wilsons_interval(right, num):
    rate = labeling.Rate.of([True] * right + [False] * (num - right))
    low, high = proportion_confint(right, num, method="wilson")
    np.testing.assert_allclose([rate.value, rate.low, rate.high], [right / num, low, high])


def test_agreement_counts_first_labels_of_what_the_network_proposed(create, pool):
    campaign = create()
    campaign.tell([0, 1, 2, 3], [0, 1, 2, 0])
    proposed = campaign.next(6, constant(1), strategy="random")
    campaign.tell(proposed[:4], [1, 1, 1, 2])
    campaign.tell(proposed[0], 0)  # corrected: the network had agreed with the first label
    campaign.tell(next(i for i in range(N) if i not in {0, 1, 2, 3, *proposed}), 1)
    report = campaign.report()
    assert (report.agreement.value, report.agreement.num) == (0.75, 4)
    assert (report.num_replaced, report.num_labels) == (1, 9)
    assert "of 4 labels of proposed examples, the network had predicted 75.0 %" in str(report)


def test_accuracy_is_that_on_the_audit(create, pool):
    campaign = create(audit=15)
    assert "accuracy is not known: none of the 15 audit examples has" in str(campaign.report())
    audit = campaign.next(0, audit=15)
    campaign.tell(audit, pool[1][audit])
    assert "15 of 15 audit examples have a label, for the accuracy of a network" in str(
        campaign.report()
    )
    accuracy = campaign.report(constant(2)).accuracy
    assert accuracy.value == np.mean(pool[1][audit] == 2)
    assert accuracy.num == 15


def test_it_is_said_if_the_network_is_older_than_the_labels(create, pool):
    campaign = create(audit=15)
    audit = campaign.next(0, audit=15)
    campaign.tell(audit, [2] * 15)
    others = [i for i in range(N) if i not in audit][:10]
    campaign.tell(others[:4], pool[1][others[:4]])
    campaign.next(1, constant(2), strategy="random")
    assert ", of a network of" not in str(campaign.report())
    campaign.tell(others[4:], pool[1][others[4:]])
    assert "100.0], of a network of 4 of the 10 labels\n" in str(campaign.report())


def test_without_an_audit_the_report_says_so(create):
    assert "the campaign was created without audit examples" in str(create().report())


# Chosen labels beside random ones.

Y = np.arange(60) % 3
CHOSEN, RANDOM = (np.column_stack([np.eye(3)[Y], np.full(60, kind)]) for kind in (1.0, 0.0))
"""Examples whose first columns are their class, and whose last one says where they come from."""

SIGNS = {"right": np.ones(3), "wrong": -np.ones(3), "two of three": np.array([1.0, 1.0, -1.0])}
"""How a network weighs the first columns. It is right about two of three classes in one case."""


def trained(of_few, of_many, of_random):
    """A training that reaches what it is told, by the origin of the labels and their number."""

    def train(x, y):
        np.testing.assert_array_equal(x[:, :3].argmax(1), y)
        reached = of_random if x[0, 3] == 0 else of_few if len(y) < 15 else of_many
        signs = np.asarray(SIGNS[reached], np.float32)
        return Network.from_function(lambda params, x: x[:, :3] * params, signs)

    return train


def compared(*reached, num_chosen=60):
    train = trained(*reached)
    return comparison.compare(train, CHOSEN[:num_chosen], Y[:num_chosen], RANDOM, Y, seed=0)


def test_better_chosen_labels_beat_random_and_the_labels_saved_are_counted():
    found = compared("wrong", "right", "two of three")
    assert found.num_labels == 48  # four of five parts of the audit
    assert found.chosen.value == 1
    assert found.random.value == np.mean(Y != 2)
    assert found.difference == pytest.approx(np.mean(Y == 2))
    assert 0 < found.low < found.difference < found.high
    assert found.num_saved == 24  # 12, a quarter, do not reach it and 24 do
    assert str(found).startswith("Is it beating random? yes: with 48 labels each, 100.0 % chosen")
    assert str(found).endswith("and 24 labels saved")


def test_worse_chosen_labels_do_not_beat_random():
    found = compared("wrong", "two of three", "right")
    assert found.high < 0
    assert found.num_saved is None
    assert "no: " in str(found)


def test_equal_ones_are_not_known_to():
    found = compared("right", "right", "right", num_chosen=7)
    assert (found.num_labels, found.low, found.high, found.num_saved) == (5, 0, 0, None)
    assert "not known yet" in str(found)


def test_the_interval_is_that_of_nadeau_and_bengio():
    """t(4; 0.975) √((1/5 + 1/4) s²) around the mean of the five parts' differences, by hand."""
    low, high = comparison._interval(np.array([0.1, 0.2, 0.3, 0.4, 0.5]))
    reach = 2.7764451 * np.sqrt((1 / 5 + 1 / 4) * 0.025)
    np.testing.assert_allclose([low, high], [0.3 - reach, 0.3 + reach], rtol=1e-6)


def test_random_labels_in_place_of_chosen_ones_are_seldom_taken_for_better(monkeypatch):
    def by_neighbor(train, x, y, x_audit, y_audit, rows):
        squares = ((x_audit[rows, None] - x) ** 2).sum(-1)
        return y[squares.argmin(1)] == y_audit[rows]

    monkeypatch.setattr(comparison, "_correct", by_neighbor)
    rng, verdicts = np.random.default_rng(0), []
    centers = rng.normal(size=(10, 5))
    for seed in range(100):
        y = rng.integers(0, 10, 80)
        x = centers[y] + rng.normal(size=(80, 5))
        found = comparison.compare(print, x[40:], y[40:], x[:40], y[:40], seed=seed)
        verdicts.append(not found.low <= 0 <= found.high)
    assert np.mean(verdicts) <= 0.08


def test_too_few_labels_are_said_in_the_report(create, pool):
    campaign = create(audit=15)
    audit = campaign.next(0, audit=15)
    campaign.tell(audit, pool[1][audit])
    report = campaign.report(constant(1), trained(*SIGNS))
    assert report.accuracy.num == 15
    assert report.comparison is None
    assert "not known: random labels are compared on 20 audit labels or more, not 15" in str(report)
    with pytest.raises(comparison.TooFewError, match="needs 5 chosen labels or more, not 0"):
        compared(*SIGNS, num_chosen=0)


def test_what_is_no_training_or_no_network_of_the_campaign_is_refused(create, pool):
    campaign = create(audit=20)
    audit = campaign.next(0, audit=20)
    campaign.tell(audit, pool[1][audit])
    others = [i for i in range(N) if i not in audit][:10]
    campaign.tell(others, pool[1][others])
    with pytest.raises(TypeError, match="train must be a function of inputs and class ids, got 3"):
        campaign.report(train=3)
    with pytest.raises(TypeError, match=r"must return an ntk_al.Network, got tuple; training.fit"):
        campaign.report(train=lambda x, y: (constant(1), 0.1))
    with pytest.raises(ValueError, match="has 5 outputs, but the campaign has 3 classes"):
        campaign.report(constant(1, num_classes=5))


def test_a_campaign_compares_its_labels_with_those_of_its_audit(create, pool):
    campaign = create(audit=25)
    audit = campaign.next(0, audit=25)
    campaign.tell(audit[:20], pool[1][audit[:20]])
    others = [i for i in range(N) if i not in audit][:10]
    campaign.tell(others, pool[1][others])

    def nearest_center(x, y):
        known = np.unique(y)
        centers = np.stack([x[y == number].mean(0) for number in known])

        def apply(params, x):
            closeness = -((x[:, None] - centers) ** 2).sum(-1)
            return params + jnp.full((len(x), 3), -1e3).at[:, known].set(closeness)

        return Network.from_function(apply, np.zeros(3, np.float32))

    report = campaign.report(train=nearest_center)
    found = report.comparison
    assert str(report).endswith("on 20 audit labels; more audit labels narrow the interval")
    assert found.num_labels == 8
    assert found.chosen.value == found.random.value == 1
