"""The labels of a campaign in the formats of other programs.

To add a format, write a function that takes a campaign and a path that does not exist, and add a
row to ``EXPORTS``.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
from collections.abc import Callable

from ntk_al._utils import checks, extras, files
from ntk_al.labeling.campaign import Campaign
from ntk_al.labeling.events import Id, Label
from ntk_al.labeling.reading import Recorded


def as_csv(campaign: Campaign | Recorded, path: str) -> int:
    """One row for each label: id, label, who gave it and when, and whether it is of the audit."""
    audit = {*campaign.audit}
    with files.replacing(path) as part, open(part, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "label", "by", "at", "audit"])
        for i, answer in campaign.answers.items():
            is_audit = "yes" if i in audit else "no"
            writer.writerow([i, answer.label, answer.by or "", answer.at, is_audit])
    return len(campaign.answers)


def as_coco(campaign: Campaign, path: str) -> int:
    """A JSON file as COCO has it, with one category for each image; without the audit."""
    with extras.needed("sizes of images need", "pillow", extra="labeling"):
        from PIL import Image

    images, annotations = [], []
    for number, (i, label) in enumerate(_images(campaign, "coco").items(), start=1):
        with Image.open(str(campaign.path(i))) as image:
            width, height = image.size
        images.append({"id": number, "file_name": i, "width": width, "height": height})
        category = campaign.class_id(label) + 1
        annotations.append({"id": number, "image_id": number, "category_id": category})
    names = campaign.class_names or [str(number) for number in range(campaign.num_classes)]
    categories = [{"id": number, "name": name} for number, name in enumerate(names, start=1)]
    content = {"images": images, "annotations": annotations, "categories": categories}
    files.write(path, json.dumps(content, indent=1) + "\n")
    return len(images)


def as_image_folder(campaign: Campaign, path: str) -> int:
    """A folder for each class with copies of its images; without the audit.

    torchvision and Keras read such folders.
    """
    labels = _images(campaign, "image_folder")
    for name in {str(label) for label in labels.values()}:
        if name in (".", "..") or os.path.basename(name) != name:
            raise ValueError(f"the class {name!r} cannot be the name of a folder")
    for i, label in labels.items():
        target = os.path.join(path, str(label), *str(i).split("/"))
        os.makedirs(os.path.dirname(target), exist_ok=True)
        shutil.copyfile(str(campaign.path(i)), target)
    return len(labels)


EXPORTS: dict[str, Callable[[Campaign, str], int]] = {
    "csv": as_csv,
    "coco": as_coco,
    "image_folder": as_image_folder,
}
"""All formats by name."""


def export(campaign: Campaign | Recorded, path: str | os.PathLike[str], format: str = "csv") -> int:
    """Writes the labels of a campaign.

    The audit's are marked in ``csv`` and left out of the other formats, because whoever trains on
    them cannot measure accuracy with them any more.

    Args:
      campaign: the campaign; or only its labels, from ``labeling.recorded``, for ``csv``.
      path: the file, or the folder for ``image_folder``; it must not exist.
      format: a key of ``EXPORTS``.

    Returns:
      How many labels were written.

    Raises:
      FileExistsError: if there is something at the path.
      OSError: if it cannot be written.
      ValueError: if the format is unknown, or is one of images and the pool has none.
    """
    path = os.fspath(path)
    checks.one_of("format", format, EXPORTS)
    if os.path.lexists(path):
        raise FileExistsError(f"{path} is there already. Nothing was changed: choose another name")
    if not isinstance(campaign, Recorded):
        return EXPORTS[format](campaign, path)
    if format == "csv":
        return as_csv(campaign, path)
    raise ValueError(f"the format {format!r} needs the images: open the campaign with its pool")


def _images(campaign: Campaign, format: str) -> dict[Id, Label]:
    audit = {*campaign.audit}
    labels = {i: label for i, label in campaign.labels.items() if i not in audit}
    if any(campaign.path(i) is None for i in labels):
        raise ValueError(f"the format {format!r} is for folders of images; use 'csv'")
    return labels
