"""Files for spreadsheets and other programs: what goes out, what comes back, what is refused."""

from __future__ import annotations

import csv
import json
import pathlib

import numpy as np
import pytest

from ntk_al import labeling

pytestmark = pytest.mark.quick


def rows_of(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def fill(path, labels):
    """Fills in the last column of a queue."""
    first, *rows = rows_of(path)
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(
            [first, *([*r[:-1], label] for r, label in zip(rows, labels, strict=True))]
        )


@pytest.fixture
def images(tmp_path):
    image = pytest.importorskip("PIL.Image")
    folder = tmp_path / "images"
    for i, name in enumerate(["a/1.png", "a/2.png", "b/1, x.png", "b/ü.png"]):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        image.fromarray(np.full((4, 6, 3), 40 * i, np.uint8)).save(folder / name)
    return str(folder)


@pytest.fixture
def of_images(create, images):
    return create(images, class_names=["cat", "big dog"])


# Queues.


def test_a_queue_comes_back_with_labels_and_skips(of_images, images, tmp_path):
    ids = of_images.next(4)
    labeling.write_queue(of_images, ids, tmp_path / "queue.csv")
    first, *rows = rows_of(tmp_path / "queue.csv")
    assert first == ["id", "path", "label"]
    assert rows == [[i, f"{images}/{i}", ""] for i in ids]
    fill(tmp_path / "queue.csv", ["big dog", "", "skip", "0"])
    found = labeling.read_answers(of_images, tmp_path / "queue.csv", by="ann")
    assert found == (2, 2, 0, 1, 1)
    assert of_images.labels == {ids[0]: "big dog", ids[3]: "cat"}
    assert {answer.by for answer in of_images.answers.values()} == {"ann"}
    assert of_images.report().num_skipped == 1
    again = labeling.read_answers(of_images, tmp_path / "queue.csv")
    assert again == found._replace(new=0)
    fill(tmp_path / "queue.csv", ["cat", "", "Skip", "0"])
    assert labeling.read_answers(of_images, tmp_path / "queue.csv") == (2, 0, 1, 1, 1)


def test_predictions_are_beside_what_a_network_proposed(create, pool, tmp_path):
    from tests.labeling.test_report import constant

    campaign = create()
    campaign.tell([0, 1], [0, 1])
    ids = campaign.next(3, constant(2), strategy="random")
    labeling.write_queue(campaign, ids, tmp_path / "queue.csv")
    assert rows_of(tmp_path / "queue.csv") == [
        ["id", "predicted", "label"],
        *([str(i), "2", ""] for i in ids),
    ]


def test_a_queue_is_not_written_over(create, tmp_path):
    (tmp_path / "queue.csv").write_text("labels of a week")
    with pytest.raises(FileExistsError, match=r"somebody may have filled it in\. Nothing was"):
        labeling.write_queue(create(), [1], tmp_path / "queue.csv")
    assert (tmp_path / "queue.csv").read_text() == "labels of a week"


@pytest.mark.parametrize(
    "text",
    [
        "id,label\n1,2\n2,0\n",
        "label;id\r\n2;1\r\n0;2\r\n",
        "\ufeffid\tlabel\tnote\n1\t2\t\n2\t0\tblurred\n",
        'id,label\n" 1 ","2"\n2, 0\n',
        "id,label\n1,2.0\n2,0.0\n",
        "id,label,by\n1,2,ann\n2,0,bob\n",
    ],
)
def test_csv_files_of_spreadsheets_are_read(create, tmp_path, text):
    (tmp_path / "answers.csv").write_text(text, encoding="utf-8", newline="")
    campaign = create()
    assert labeling.read_answers(campaign, tmp_path / "answers.csv") == (2, 2, 0, 0, 0)
    assert campaign.labels == {1: 2, 2: 0}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,label\n1,2\n99,0\n", "line 3 of .*: 1 of 1 ids are not in the pool: '99'"),
        ("id,label\n1,2\n2,cow\n", "line 3 of .*: 'cow' is no class"),
        ("id,label\n1,2\n2,3\n", "line 3 of .*: 3 is no class"),
        ("id,label\n1,2\n1,0\n", "line 3 of .*: the id 1 is that of line 2, too"),
        ("id,label\n1,2\n5,skip\n", "line 3 of .*: 5 has a label, which a skip does not take back"),
        ("id,class\n1,2\n", "has no column label; it has id, class"),
        ("", "has no column id and no column label; it has none"),
    ],
)
def test_a_file_with_a_mistake_is_refused_as_a_whole(create, tmp_path, text, message):
    (tmp_path / "answers.csv").write_text(text)
    campaign = create()
    campaign.tell(5, 1)
    with pytest.raises(ValueError, match=message):
        labeling.read_answers(campaign, tmp_path / "answers.csv")
    assert campaign.labels == {5: 1}
    (tmp_path / "answers.csv").write_bytes(b"id,label\n\xff\xfe,1\n")
    with pytest.raises(ValueError, match="is not a CSV file in UTF-8"):
        labeling.read_answers(campaign, tmp_path / "answers.csv")
    with pytest.raises(FileNotFoundError, match="no such file"):
        labeling.read_answers(campaign, tmp_path / "nothing.csv")


def test_a_class_may_be_named_skip(create, tmp_path):
    campaign = create(class_names=["skip", "keep"])
    (tmp_path / "answers.csv").write_text("id,label\n1,skip\n")
    assert labeling.read_answers(campaign, tmp_path / "answers.csv") == (1, 1, 0, 0, 0)


def test_capitals_matter_only_where_names_differ_in_nothing_else(create):
    campaign = create(class_names=["cat", "Dog", "dog"])
    assert campaign.class_of("CAT") == "cat"
    assert campaign.class_of("Dog") == "Dog"
    with pytest.raises(ValueError, match="'DOG' is no class"):
        campaign.class_of("DOG")


def test_where_a_class_is_named_by_a_number_numbers_are_names(create, tmp_path):
    campaign = create(class_names=["1", "2", "3"])
    (tmp_path / "answers.csv").write_text("id,label\n0,1\n1,3\n")
    labeling.read_answers(campaign, tmp_path / "answers.csv")
    assert campaign.labels == {0: "1", 1: "3"}
    (tmp_path / "answers.csv").write_text("id,label\n2,0\n")
    with pytest.raises(ValueError, match=r"line 2 of .*: '0' is no class"):
        labeling.read_answers(campaign, tmp_path / "answers.csv")


def test_ids_that_a_text_cannot_tell_apart_are_refused(create, tmp_path, pool):
    ids = [1, "1", *(f"row {i}" for i in range(len(pool[0]) - 2))]
    campaign = create(ids=ids)
    assert campaign.id_of("row 3") == "row 3"
    with pytest.raises(ValueError, match="both '1' and 1 are ids"):
        campaign.id_of("1")


# Exports.


def test_a_csv_file_has_every_label(create, tmp_path):
    campaign = create(class_names=["a", "b"], audit=5)
    (audit,) = campaign.next(0, audit=1)
    other = next(i for i in range(60) if i not in campaign.audit)
    campaign.tell(audit, 0, by="ann")
    campaign.tell(other, 1)
    labeling.export(campaign, tmp_path / "labels.csv")
    first, *rows = rows_of(tmp_path / "labels.csv")
    assert first == ["id", "label", "by", "at", "audit"]
    assert [[*row[:3], row[4]] for row in rows] == [
        [str(audit), "a", "ann", "yes"],
        [str(other), "b", "", "no"],
    ]


def test_a_csv_file_that_was_exported_can_be_imported(create, tmp_path):
    campaign = create()
    campaign.tell([3, 1], [2, 0], by="ann")
    before = campaign.answers
    labeling.export(campaign, tmp_path / "labels.csv")
    campaign.untell([3, 1])
    labeling.read_answers(campaign, tmp_path / "labels.csv")
    after = campaign.answers
    assert [(a.label, a.by) for a in after.values()] == [(a.label, a.by) for a in before.values()]


def test_coco_has_a_category_for_each_image(of_images, tmp_path):
    of_images.tell(["b/ü.png", "a/1.png"], ["cat", "big dog"])
    labeling.export(of_images, tmp_path / "labels.json", "coco")
    found = json.loads((tmp_path / "labels.json").read_text(encoding="utf-8"))
    assert found["categories"] == [{"id": 1, "name": "cat"}, {"id": 2, "name": "big dog"}]
    assert found["images"] == [
        {"id": 1, "file_name": "b/ü.png", "width": 6, "height": 4},
        {"id": 2, "file_name": "a/1.png", "width": 6, "height": 4},
    ]
    pairs = [(a["image_id"], a["category_id"]) for a in found["annotations"]]
    assert pairs == [(1, 1), (2, 2)]


def test_a_folder_for_each_class_holds_copies_of_its_images(of_images, images, tmp_path):
    of_images.tell(["b/ü.png", "a/1.png"], ["cat", "big dog"])
    labeling.export(of_images, tmp_path / "classes", "image_folder")
    found = {
        path.relative_to(tmp_path / "classes").as_posix(): path.read_bytes()
        for path in (tmp_path / "classes").rglob("*.png")
    }
    assert found == {
        "cat/b/ü.png": pathlib.Path(images, "b/ü.png").read_bytes(),
        "big dog/a/1.png": pathlib.Path(images, "a/1.png").read_bytes(),
    }


def test_images_of_the_audit_are_not_among_those_to_train_on(create, images, tmp_path):
    campaign = create(images, class_names=["cat", "dog"], audit=2)
    audit = campaign.next(0, audit=2)
    campaign.tell(audit, ["cat", "cat"])
    campaign.tell(campaign.next(1), "dog")
    assert labeling.export(campaign, tmp_path / "labels.json", "coco") == 1
    assert len(json.loads((tmp_path / "labels.json").read_text())["images"]) == 1
    assert labeling.export(campaign, tmp_path / "classes", "image_folder") == 1
    assert [path.name for path in (tmp_path / "classes").iterdir()] == ["dog"]


def test_exports_that_cannot_be_are_refused(create, of_images, tmp_path):
    (tmp_path / "there").write_text("mine")
    for format in labeling.exchange.EXPORTS:
        with pytest.raises(FileExistsError, match=r"is there already\. Nothing was changed"):
            labeling.export(of_images, tmp_path / "there", format)
    with pytest.raises(ValueError, match="unknown format 'xml'; known: coco, csv, image_folder"):
        labeling.export(of_images, tmp_path / "labels", "xml")


def test_formats_of_images_need_images(create, tmp_path):
    campaign = create()
    campaign.tell(1, 0)
    for format in ("coco", "image_folder"):
        with pytest.raises(ValueError, match=f"'{format}' is for folders of images; use 'csv'"):
            labeling.export(campaign, tmp_path / "labels", format)


def test_a_class_that_cannot_be_a_folder_is_refused(create, images, tmp_path):
    campaign = create(images, class_names=["a/b", ".."])
    for label in ("a/b", ".."):
        campaign.tell("a/1.png", label)
        with pytest.raises(ValueError, match="cannot be the name of a folder"):
            labeling.export(campaign, tmp_path / "classes", "image_folder")
        assert not (tmp_path / "classes").exists()
