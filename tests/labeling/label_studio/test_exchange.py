"""Tasks come in order of priority and labels come back, from a server if there is one."""

from __future__ import annotations

import base64

import numpy as np
import pytest

from ntk_al import labeling
from ntk_al.labeling import label_studio
from ntk_al.labeling.label_studio import projects
from tests.labeling.label_studio import server

pytestmark = pytest.mark.quick


def in_order(client, project):
    """The tasks as labelers see them in the view."""
    (view,) = list(client.views.list(project=project))
    return list(client.tasks.list(project=project, view=view.id, fields="all"))


def ids_in_order(client, project):
    return [task.data["ntk_id"] for task in in_order(client, project)]


def answer(client, project, i, name=None):
    """Labels a task, or skips it, and returns the annotation."""
    task = next(t for t in in_order(client, project) if t.data["ntk_id"] == i)
    return client.annotations.create(id=task.id, result=chosen(name), was_cancelled=name is None)


def chosen(name):
    value = {"choices": [name]}
    part = {"from_name": "label", "to_name": "image", "type": "choices", "value": value}
    return [] if name is None else [part]


def test_tasks_are_seen_in_the_order_of_the_proposal(campaign, client, project):
    ids = campaign.next(11)  # "10" is before "9" as text
    assert label_studio.push(campaign, ids, client, project) == (11, 0)
    assert ids_in_order(client, project) == ids
    assert [t.data["acquisition"] for t in in_order(client, project)] == [*range(11, 0, -1)]


def test_an_image_travels_inside_of_its_task(campaign, client, project):
    (i,) = campaign.next(1)
    label_studio.push(campaign, [i], client, project)
    (task,) = in_order(client, project)
    kind, _, content = task.data["image"].partition(";base64,")
    assert kind == "data:image/png"
    with open(campaign.path(i), "rb") as file:
        assert base64.b64decode(content) == file.read()


def test_a_second_proposal_moves_tasks_and_doubles_none(campaign, client, project):
    first = campaign.next(6)
    label_studio.push(campaign, first, client, project)
    new = [i for i in campaign.next(12) if i not in first][:2]
    second = [new[0], first[4], first[1], new[1]]
    assert label_studio.push(campaign, second, client, project) == (2, 6)
    assert ids_in_order(client, project)[:4] == second
    assert len(in_order(client, project)) == 8
    assert label_studio.push(campaign, second, client, project) == (0, 0)


def test_labels_skips_and_corrections_come_back_by_their_ids(campaign, client, project):
    ids = campaign.next(5)
    label_studio.push(campaign, ids, client, project)
    first = answer(client, project, ids[0], "cat")
    answer(client, project, ids[1], 'a "big" <dog>')
    answer(client, project, ids[2])
    assert label_studio.pull(campaign, client, project)[:4] == (2, 1, 2, 3)
    assert campaign.labels == {ids[0]: "cat", ids[1]: 'a "big" <dog>'}
    assert campaign.skipped == [ids[2]]
    assert all(answer.by for answer in campaign.answers.values())
    assert label_studio.pull(campaign, client, project)[:4] == (2, 1, 2, 0)

    client.annotations.update(id=first.id, result=chosen('a "big" <dog>'))
    answer(client, project, ids[2], "cat")  # a second annotation, after the skip
    assert label_studio.pull(campaign, client, project, by="bob")[:4] == (3, 0, 2, 2)
    assert campaign.labels == {ids[1]: 'a "big" <dog>', ids[0]: 'a "big" <dog>', ids[2]: "cat"}
    assert campaign.answers[ids[2]].by == "bob"
    assert campaign.skipped == []
    assert set(campaign.next(9)) == set(ids[3:]) | ({f"{i:02}.png" for i in range(12)} - set(ids))


def test_a_label_that_became_a_skip_is_taken_back(campaign, client, project):
    (i,) = campaign.next(1)
    label_studio.push(campaign, [i], client, project)
    annotation = answer(client, project, i, "cat")
    label_studio.pull(campaign, client, project)
    client.annotations.update(id=annotation.id, result=[], was_cancelled=True)
    assert label_studio.pull(campaign, client, project)[:4] == (0, 1, 0, 1)
    assert campaign.labels == {}
    assert campaign.skipped == [i]


def test_what_the_campaign_decided_later_stays_until_an_annotation_changes(
    campaign, client, project
):
    ids = campaign.next(3)
    label_studio.push(campaign, ids, client, project)
    first, *_ = [answer(client, project, i, "cat") for i in ids]
    assert label_studio.pull(campaign, client, project).changed == 3
    campaign.tell(ids[0], 'a "big" <dog>', by="boss")
    campaign.untell(ids[1:])
    campaign.skip(ids[2])
    assert label_studio.pull(campaign, client, project)[:4] == (3, 0, 0, 0)
    assert campaign.labels == {ids[0]: 'a "big" <dog>'}
    assert campaign.skipped == [ids[2]]
    client.annotations.update(id=first.id, result=chosen("cat"))
    assert label_studio.pull(campaign, client, project).changed == 1
    assert campaign.labels == {ids[0]: "cat"}


def test_if_it_is_not_known_what_was_pulled_all_counts_as_new_and_this_is_said(
    campaign, client, project
):
    (i,) = campaign.next(1)
    label_studio.push(campaign, [i], client, project)
    answer(client, project, i, "cat")
    label_studio.pull(campaign, client, project)
    campaign.untell(i)
    with open(f"{campaign.folder}/label_studio.json", "w") as file:
        file.write("{")
    with pytest.warns(UserWarning, match=r"label_studio.json is damaged .* counts as new"):
        assert label_studio.pull(campaign, client, project).changed == 1


def test_labels_without_their_annotation_and_answers_without_a_choice_are_counted(
    campaign, client, project
):
    ids = campaign.next(3)
    label_studio.push(campaign, ids, client, project)
    gone = answer(client, project, ids[0], "cat")
    label_studio.pull(campaign, client, project)
    client.annotations.delete(id=gone.id)
    task = next(t for t in in_order(client, project) if t.data["ntk_id"] == ids[1])
    client.annotations.create(id=task.id, result=[], was_cancelled=False)
    pulled = label_studio.pull(campaign, client, project)
    assert (pulled.withdrawn, pulled.blank, pulled.unanswered) == (1, 1, 2)
    assert campaign.labels == {ids[0]: "cat"}
    assert 'required="true"' in projects.form(campaign)


def test_a_project_is_not_made_where_one_is_expected(campaign, client, title, project):
    with pytest.raises(ValueError, match=rf"no project has the title 'typo'; there are: .*{title}"):
        label_studio.find(campaign, client, "typo")
    assert label_studio.find(campaign, client, title) == project
    client.projects.update(id=project, title=title[::-1])
    with pytest.raises(ValueError, match=rf"are in '{title[::-1]}': pass that title"):
        label_studio.find_or_create(campaign, client, title)


def test_images_that_browsers_do_not_show_travel_as_png(create, client, title, tmp_path):
    image = pytest.importorskip("PIL.Image")
    (tmp_path / "scans").mkdir()
    for i in range(4):
        image.new("L", (8, 8), 30 * i).save(tmp_path / "scans" / f"{i}.tif")
    campaign = create(str(tmp_path / "scans"), class_names=["cat", "dog"])
    project = label_studio.find_or_create(campaign, client, title)
    label_studio.push(campaign, ["2.tif"], client, project)
    assert in_order(client, project)[0].data["image"].startswith("data:image/png;base64,")


def test_tasks_of_others_are_left_alone(campaign, client, project):
    foreign = {"image": "data:,", "ntk_id": "00.png", "acquisition": 99, "ntk_campaign": "another"}
    client.projects.import_tasks(project, request=[{"data": foreign}])
    ids = campaign.next(3)
    mixed = pytest.warns(UserWarning, match="holds 1 tasks of another campaign, whose priorities")
    with mixed:
        assert label_studio.push(campaign, ids, client, project) == (3, 0)
    answer(client, project, "00.png", "cat")
    with mixed:
        pulled = label_studio.pull(campaign, client, project)
    assert pulled.labeled == campaign.report().num_labels == 0


def test_a_project_is_found_again_and_that_of_another_campaign_is_not(
    campaign, client, title, pool, tmp_path
):
    project = label_studio.find_or_create(campaign, client, title)
    assert label_studio.find_or_create(campaign, client, title) == project
    with (
        labeling.Campaign.create(tmp_path / "other", pool[0], num_classes=3) as other,
        pytest.raises(ValueError, match=r"has no choice '0', '1', '2': it is that of another"),
    ):
        label_studio.find_or_create(other, client, title)
    with pytest.raises(ValueError, match="needs 3 to 50 characters, got 'ab'"):
        label_studio.find_or_create(campaign, client, "ab")


def test_examples_without_images_are_shown_as_texts(create, client, title):
    campaign = create()
    project = label_studio.find_or_create(campaign, client, title)
    label_studio.push(campaign, [3, 5], client, project, texts={3: "three", 5: "five"})
    assert [t.data["text"] for t in in_order(client, project)] == ["three", "five"]
    task = in_order(client, project)[1]
    value = {"choices": ["2"]}
    part = {"from_name": "label", "to_name": "text", "type": "choices", "value": value}
    client.annotations.create(id=task.id, result=[part])
    label_studio.pull(campaign, client, project)
    assert campaign.labels == {5: 2}
    with pytest.raises(ValueError, match="texts has nothing for 7"):
        label_studio.push(campaign, [7], client, project, texts={})


def test_large_images_need_an_address(campaign, client, project, monkeypatch):
    monkeypatch.setattr(label_studio.exchange, "MOST_BYTES", 10)
    with pytest.raises(ValueError, match=r"do not travel inside of tasks: pass image_prefix"):
        label_studio.push(campaign, campaign.next(1), client, project)
    (i,) = campaign.next(1)
    label_studio.push(campaign, [i], client, project, image_prefix="http://localhost/images/")
    assert in_order(client, project)[0].data["image"] == f"http://localhost/images/{i}"


@pytest.mark.skipif(bool(server.PROGRAM), reason="a server refuses such an annotation itself")
def test_an_unknown_class_holds_back_no_other_answer(campaign, client, project):
    ids = campaign.next(3)
    label_studio.push(campaign, ids, client, project)
    for i, name in zip(ids, ["cow", "cat", "cow"], strict=True):
        answer(client, project, i, name)
    told = r"2 annotations have a class .*'cow' is no class: .* \(task \d+, \d+\)\. Correct them"
    with pytest.warns(UserWarning, match=told):
        found = label_studio.pull(campaign, client, project)
    assert (found.labeled, found.changed, found.unknown) == (1, 1, 2)
    assert campaign.labels == {ids[1]: "cat"}
    answer(client, project, ids[0], "cat")
    with pytest.warns(UserWarning, match="1 annotations have a class"):
        label_studio.pull(campaign, client, project)
    assert campaign.labels == {ids[1]: "cat", ids[0]: "cat"}


def test_the_form_names_every_class(campaign):
    assert projects.form(campaign).count("<Choice value=") == 2


@pytest.mark.parametrize("names", [["Zero", "nine", "cat"], ["0", "9", "cat"]])
def test_digits_have_the_keys_that_they_name(names, tmp_path):
    pool = np.random.default_rng(0).normal(size=(9, 2))
    with labeling.Campaign.create(tmp_path / "c", pool, class_names=names, audit=0) as campaign:
        form = projects.form(campaign)
    assert f'value="{names[0]}" hotkey="0"' in form
    assert f'value="{names[1]}" hotkey="9"' in form
    assert '<Choice value="cat"/>' in form
