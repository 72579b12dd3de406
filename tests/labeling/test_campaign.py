"""Labels, skips and their undoing; what a campaign is after it is opened again."""

from __future__ import annotations

import pathlib

import numpy as np
import pytest

from ntk_al import labeling
from tests.labeling.conftest import N

pytestmark = pytest.mark.quick


def everything(campaign):
    return (
        campaign.labels,
        [array.tolist() for array in (*campaign.labeled(), *campaign.audited())],
        campaign.pending,
        campaign.class_names,
        campaign.num_classes,
        str(campaign.report()),
    )


def log_of(folder):
    return pathlib.Path(folder, "events.jsonl").read_text()


def test_labels_come_back_in_the_order_in_which_they_were_told(create, pool):
    campaign = create()
    campaign.tell([7, 3], [2, 0], by="ann")
    campaign.tell(5, 1)
    x, y = campaign.labeled()
    np.testing.assert_array_equal(x, pool[0][[7, 3, 5]])
    assert y.tolist() == [2, 0, 1]
    assert campaign.labels == {7: 2, 3: 0, 5: 1}


def test_without_labels_there_are_inputs_of_the_right_shape(create, pool):
    x, y = create().labeled()
    assert x.shape == (0, *pool[0].shape[1:])
    assert y.shape == (0,)


def test_a_campaign_that_is_opened_again_is_the_same(create, reopen):
    campaign = create(class_names=["a", "b", "c"], audit=5)
    campaign.tell([1, 2, 3], ["a", "b", 2], by="ann")
    campaign.tell(2, "c")
    campaign.skip([4, 5], by="bob")
    campaign.untell([1, 4])
    campaign.next(4, audit=2)
    before = everything(campaign)
    assert everything(reopen(campaign)) == before


def test_another_label_replaces_the_first_and_the_same_one_changes_nothing(create, reopen, folder):
    campaign = create()
    campaign.tell([1, 2], [0, 1])
    campaign.tell([1, 2], [2, 1])
    assert campaign.labels == {2: 1, 1: 2}
    assert campaign.report().num_replaced == 1
    before = log_of(folder)
    campaign.tell([2, 1], [1, 2])
    assert log_of(folder) == before
    assert reopen(campaign).labels == {2: 1, 1: 2}


def test_what_is_taken_back_can_be_labeled_or_skipped_again(create):
    campaign = create()
    campaign.tell(1, 0)
    campaign.untell(1)
    campaign.skip(1)
    assert campaign.labels == {}
    campaign.tell(1, 2)  # a label ends a skip
    assert campaign.labels == {1: 2}
    assert campaign.report().num_skipped == 0


def test_names_of_classes_and_their_numbers_are_the_same_labels(create, folder):
    campaign = create(class_names=["cat", "dog"])
    campaign.tell([3, 4], ["dog", 0])
    assert campaign.labels == {3: "dog", 4: "cat"}
    assert campaign.labeled()[1].tolist() == [1, 0]
    assert '"label": "dog"' in log_of(folder)


def test_own_ids_are_kept_and_never_confused_with_rows(create, reopen, pool):
    ids = [f"img/{row}.png" for row in range(N - 1)] + [0]
    campaign = create(ids=ids)
    campaign.tell(["img/5.png", 0], [1, 2])
    campaign = reopen(campaign)
    np.testing.assert_array_equal(campaign.labeled()[0], pool[0][[5, N - 1]])
    assert campaign.labels == {"img/5.png": 1, 0: 2}
    with pytest.raises(ValueError, match=r"1 of 1 ids are not in the pool: 5. Ids .* 'img/0.png'"):
        campaign.tell(5, 1)


@pytest.mark.parametrize(
    ("ids", "labels", "error", "message"),
    [
        ([1, 99], [0, 0], ValueError, "1 of 2 ids are not in the pool: 99. Ids of the pool are"),
        ([1, -1], [0, 0], ValueError, "not in the pool: -1"),
        ([1, 1], [0, 1], ValueError, "the id 1 was given twice"),
        ([1, 2], [0], ValueError, "got 2 ids and 1 labels"),
        ([1, 2], [0, 3], ValueError, "3 is no class: they are the numbers 0 to 2"),
        ([1, 2], [0, -1], ValueError, "-1 is no class"),
        ([1, 2], [0, "dog"], ValueError, "'dog' is no class: they are the numbers 0 to 2"),
        ([1, 2], [0, 1.0], TypeError, "labels must be class ids or names of classes, got 1.0"),
        ([1, 2], [0, True], TypeError, "got True"),
        ([1, 2], [0, None], TypeError, "got None"),
        ([1, 2.0], [0, 0], TypeError, "ids must be strings or integers, got 2.0"),
        ([1, None], [0, 0], TypeError, "got None"),
    ],
)
def test_a_wrong_label_is_refused_and_none_of_its_call_is_recorded(
    create, ids, labels, error, message
):
    campaign = create()
    with pytest.raises(error, match=message):
        campaign.tell(ids, labels)
    assert campaign.labels == {}


def test_what_cannot_be_skipped_or_taken_back_is_refused(create):
    campaign = create()
    campaign.tell(1, 0)
    with pytest.raises(ValueError, match="1 examples have a label, the first is 1: untell them"):
        campaign.skip([2, 1])
    with pytest.raises(ValueError, match="neither a label nor a skip, the first is 2"):
        campaign.untell([1, 2])
    with pytest.raises(ValueError, match="not in the pool: 'a'"):
        campaign.skip("a")
    assert campaign.labels == {1: 0}


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"num_classes": None}, ValueError, "pass either num_classes or class_names"),
        ({"num_classes": 1}, ValueError, "at least two classes, got 1"),
        ({"num_classes": 2.0}, TypeError, "num_classes must be a whole number, got 2.0"),
        ({"class_names": ["a", "a"]}, ValueError, "the names of classes must be different"),
        ({"class_names": "ab"}, TypeError, "class_names must be a list of strings, got 'ab'"),
        ({"class_names": [1, 2]}, TypeError, "must be a list of strings"),
        ({"ids": range(5)}, ValueError, f"there are 5 ids for {N} examples"),
        ({"ids": [0] * N}, ValueError, "must be different, but 0 occurs twice"),
        ({"ids": [0.0] * N}, TypeError, "ids must be strings or integers, got 0.0"),
        ({"audit": N}, ValueError, f"audit must be a number of examples below {N}"),
        ({"audit": 1.0}, ValueError, "or a share of them below 1, got 1.0"),
        ({"audit": -0.1}, ValueError, "audit must be"),
        ({"audit": float("nan")}, ValueError, "audit must be"),
        ({"audit": "all"}, TypeError, "audit must be a number or a share"),
        ({"seed": -1}, ValueError, "seed must be a whole number of at least 0, got -1"),
    ],
)
def test_a_campaign_that_makes_no_sense_is_not_created(create, reopen, options, error, message):
    with pytest.raises(error, match=message):
        create(**options)
    with pytest.raises(FileNotFoundError, match="holds no campaign"):
        reopen()


def test_a_campaign_is_not_created_twice_in_one_folder(create, reopen):
    campaign = create()
    campaign.tell(1, 0)
    with pytest.raises(FileExistsError, match=r"holds a campaign already\. Nothing was changed"):
        create()
    assert reopen(campaign).labels == {1: 0}


def test_another_pool_is_refused(create, reopen, pool):
    create().close()
    x = pool[0]
    changed = x.copy()
    changed[-1, -1] += 1e-6
    for other in (changed, x[::-1], x.astype(np.float64), x[:, :-1]):
        with pytest.raises(ValueError, match=r"not those with which the campaign in .* created"):
            reopen(x_pool=other)
    with pytest.raises(ValueError, match=f"59 examples, but the campaign in .* with {N}"):
        reopen(x_pool=x[1:])
    reopen(x_pool=x.copy())  # a refusal leaves no lock behind


def test_a_closed_campaign_records_nothing(create, reopen):
    campaign = create()
    with campaign:
        campaign.tell(1, 0)
    with pytest.raises(ValueError, match="the campaign is closed; open it again"):
        campaign.tell(2, 0)
    assert reopen().labels == {1: 0}


def test_a_campaign_that_nobody_holds_any_more_is_closed(create, reopen, folder, pool):
    labeling.Campaign.create(folder, pool[0], num_classes=3).tell(1, 0)
    assert reopen().labels == {1: 0}


def test_the_audit_is_a_random_part_of_the_pool_that_is_not_for_training(create):
    campaign = create(audit=0.2)
    audit = campaign.next(0, audit=12)
    campaign.tell(audit, [0] * 12)
    campaign.tell(next(i for i in range(N) if i not in audit), 1)
    assert campaign.labeled()[1].tolist() == [1]
    assert campaign.audited()[1].tolist() == [0] * 12
    with pytest.raises(ValueError, match="cannot add 1 audit examples: only 0 of 12 are left"):
        campaign.next(0, audit=1)


@pytest.mark.parametrize(
    ("audit", "num", "size"),
    [(None, 1000, 50), (None, 5000, 100), (None, 300, 40), (None, 50, 10), (0.5, 9, 4), (7, 8, 7)],
)
def test_how_many_examples_the_audit_has(create, audit, num, size):
    campaign = create(np.zeros((num, 1)), audit=audit)
    assert campaign.report().size_audit == size


def test_labels_are_read_without_the_pool(create, folder, tmp_path):
    campaign = create(audit=2)
    campaign.tell([campaign.audit[0], 5], [1, 2], by="ann")
    recorded = labeling.recorded(folder)
    assert {i: answer.label for i, answer in recorded.answers.items()} == campaign.labels
    assert recorded.audit == campaign.audit
    labeling.export(recorded, tmp_path / "a.csv")
    labeling.export(campaign, tmp_path / "b.csv")
    assert (tmp_path / "a.csv").read_text() == (tmp_path / "b.csv").read_text()
    with pytest.raises(ValueError, match="needs the images: open the campaign with its pool"):
        labeling.export(recorded, tmp_path / "c", "coco")


def test_the_state_is_read_while_another_process_writes(create, folder):
    campaign = create(class_names=["a", "b"], audit=6)
    campaign.tell([1, 2], [0, 1])
    assert str(labeling.read(folder)) == str(campaign.report())
    with pytest.raises(FileNotFoundError, match="holds no campaign"):
        labeling.read(f"{folder}-2")


def test_pending_are_all_that_were_proposed_and_not_answered(create):
    campaign = create(audit=5)
    first = campaign.next(3)
    second = campaign.next(3, exclude=first)
    audit = campaign.next(0, audit=2)
    assert campaign.pending == [*first, *second, *audit]
    campaign.tell(first[0], 1)
    campaign.skip(second[0])
    assert campaign.pending == [*first[1:], *second[1:], *audit]
    campaign.untell(first[0])
    assert campaign.pending == [*first[1:], *second[1:], *audit, first[0]]


def test_a_campaign_describes_itself(create):
    campaign = create()
    campaign.tell(1, 0)
    assert repr(campaign).endswith(f"campaign', 1 labels of {N})")
