"""Tasks that go to Label Studio, and annotations that come back."""

from __future__ import annotations

import base64
import io
import mimetypes
import os
import re
import warnings
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ntk_al._utils import extras
from ntk_al.labeling.campaign import Campaign
from ntk_al.labeling.events import Id, Label
from ntk_al.labeling.label_studio import projects
from ntk_al.labeling.label_studio.projects import ACQUISITION
from ntk_al.labeling.label_studio.seen import Seen

ID, CAMPAIGN = "ntk_id", "ntk_campaign"
"""The fields of a task that say which example of which campaign it is."""

_SHOWN = (".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp")  # by browsers

MOST_BYTES = 1_000_000
"""Larger images do not travel inside of tasks."""


class Pushed(NamedTuple):
    """What went to the server.

    Attributes:
      created: how many tasks are new.
      reordered: how many tasks that were there have another priority now.
    """

    created: int
    reordered: int


class Pulled(NamedTuple):
    """What came from the server.

    Attributes:
      labeled: how many tasks have a label.
      skipped: how many were skipped.
      unanswered: how many have no answer yet.
      changed: how many labels or skips were new to the campaign.
      blank: how many were submitted without a choice, which labelers do not see again by
        themselves. The form of a project that ``find_or_create`` made does not allow it.
      withdrawn: how many labels have lost their annotation there; ``untell`` takes them back.
      unknown: how many tasks have a class that the campaign has not; they are not recorded, and a
        later pull finds them when they are corrected.
    """

    labeled: int
    skipped: int
    unanswered: int
    changed: int
    blank: int = 0
    withdrawn: int = 0
    unknown: int = 0


def push(
    campaign: Campaign,
    ids: Iterable[Id],
    client: Any,
    project: int,
    *,
    image_prefix: str | None = None,
    texts: Mapping[Id, str] | None = None,
) -> Pushed:
    """Makes tasks of examples, or moves those that are there already to their new places.

    The field ``acquisition`` of a task is its priority: the number of examples for the first one, 1
    for the last one, and 0 for tasks of this campaign that are not among them any more. Label in
    the view "What to label next" with "Label Tasks As Displayed".

    Args:
      campaign: the campaign.
      ids: what to label, best first: ``campaign.next(...)``.
      client: from ``connect``.
      project: the id of the project, from ``find_or_create``.
      image_prefix: what makes an address of an image when its id is appended, such as
        ``"/data/local-files/?d=images/"`` where the server serves local files; ``None`` puts the
        images into the tasks.
      texts: what is shown of each example, if the pool holds no images.

    Raises:
      OSError: if an image cannot be read.
      ValueError: if an id is unknown, an image is too large to travel inside of a task, or a text
        is missing.

    Warns:
      UserWarning: if the project has tasks of another campaign.
    """
    listed = list(ids)
    priorities = {i: len(listed) - place for place, i in enumerate(listed)}
    there = _tasks(campaign, client, project)
    reordered = 0
    for i, task in there.items():
        priority = priorities.get(i, 0)
        if task.data.get(ACQUISITION) != priority:
            client.tasks.update(id=str(task.id), data={**task.data, ACQUISITION: priority})
            reordered += 1
    new = [
        {"data": {**_shown(campaign, i, image_prefix, texts), ACQUISITION: priorities[i]}}
        for i in listed
        if i not in there
    ]
    if new:
        client.projects.import_tasks(project, request=new)
    return Pushed(len(new), reordered)


def pull(campaign: Campaign, client: Any, project: int, *, by: str | None = None) -> Pulled:
    """Records the labels and skips of a project; corrections replace earlier labels.

    Of several annotations of a task, the latest one counts. An annotation is recorded once, and
    again when it changes: what was told or taken back in the campaign since then stays.

    Args:
      campaign: the campaign.
      client: from ``connect``.
      project: the id of the project.
      by: who labeled them; by default, the names that the server has.

    Warns:
      UserWarning: if an annotation has a class that the campaign has not.
    """
    labels: dict[Id, tuple[Label, str | None]] = {}
    skips: dict[Id, str | None] = {}
    unanswered = blank = withdrawn = 0
    odd: dict[str, list[Any]] = {}
    seen, fresh = Seen(campaign), {}
    known, skipped = campaign.labels, set(campaign.skipped)
    for i, task in _tasks(campaign, client, project).items():
        latest = _latest(task.annotations or ())
        if latest is None:
            unanswered += 1
            withdrawn += i in seen and i in known
            continue
        who = by or _name(latest)
        chosen = list(projects.choices(latest.get("result") or []))
        if latest.get("was_cancelled"):
            skips[i] = who
        elif chosen:
            try:
                labels[i] = campaign.class_of(chosen[0]), who
            except ValueError as error:
                odd.setdefault(str(error), []).append(task.id)
                continue
        else:
            blank += 1
            continue
        if seen.is_new(i, latest):
            fresh[i] = latest
    new = {i: given for i, given in labels.items() if i in fresh and known.get(i) != given[0]}
    gone = [i for i in skips if i in fresh and i not in skipped]
    campaign.untell([i for i in gone if i in known])  # the label was taken back there
    for who in dict.fromkeys(who for _, who in new.values()):
        told = {i: label for i, (label, w) in new.items() if w == who}
        campaign.tell([*told], [*told.values()], by=who)
    for who in dict.fromkeys(skips[i] for i in gone):
        campaign.skip([i for i in gone if skips[i] == who], by=who)
    if fresh:
        seen.add(fresh)
    unknown = sum(map(len, odd.values()))
    if odd:
        reasons = "; ".join(f"{reason} (task {', '.join(map(str, odd[reason]))})" for reason in odd)
        warnings.warn(
            f"{unknown} annotations have a class that the campaign has not, and were not recorded: "
            f"{reasons}. Correct them there, and pull again",
            stacklevel=2,
        )
    changed = len(new) + len(gone)
    return Pulled(len(labels), len(skips), unanswered, changed, blank, withdrawn, unknown)


def _tasks(campaign: Campaign, client: Any, project: int) -> dict[Id, Any]:
    """Returns the tasks of a campaign by the ids of their examples."""
    own, others = {}, 0
    for task in client.tasks.list(project=project, fields="all"):
        if task.data.get(CAMPAIGN) == campaign.fingerprint:
            own[task.data[ID]] = task
        else:
            others += CAMPAIGN in task.data
    if others:
        warnings.warn(
            f"the project holds {others} tasks of another campaign, whose priorities mix with "
            "those of this one: give each campaign a project of its own",
            stacklevel=3,
        )
    return own


def _shown(
    campaign: Campaign, i: Id, image_prefix: str | None, texts: Mapping[Id, str] | None
) -> dict[str, Any]:
    """Returns the fields of a task, apart from its priority."""
    fields: dict[str, Any] = {ID: i, CAMPAIGN: campaign.fingerprint}
    path = campaign.path(i)
    if path is not None:
        return {
            **fields,
            "image": _data_url(path) if image_prefix is None else f"{image_prefix}{i}",
        }
    if texts is None:
        return {**fields, "text": f"example {i}"}
    if i not in texts:
        raise ValueError(f"texts has nothing for {i!r}")
    return {**fields, "text": str(texts[i])}


def _data_url(path: str) -> str:
    if not path.lower().endswith(_SHOWN):
        return _as_png(path)
    size = os.path.getsize(path)
    if size > MOST_BYTES:
        raise ValueError(
            f"{path} has {size} bytes, and images above {MOST_BYTES} do not travel inside of "
            "tasks: pass image_prefix, with the address from which the server reads images"
        )
    kind = mimetypes.guess_type(path)[0] or "image/png"
    with open(path, "rb") as file:
        return _url(kind, file.read())


def _as_png(path: str) -> str:
    """An image in a format that browsers show."""
    with extras.needed("images that browsers do not show need", "pillow", extra="labeling"):
        from PIL import Image

    content = io.BytesIO()
    with Image.open(path) as image:
        image.convert("RGB").save(content, "PNG")
    return _url("image/png", content.getvalue())


def _url(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _latest(annotations: Iterable[Any]) -> dict[str, Any] | None:
    """Returns the annotation that was made or changed last."""
    listed = [a if isinstance(a, dict) else a.dict() for a in annotations]
    return max(
        listed, key=lambda a: (str(a.get("updated_at") or ""), a.get("id") or 0), default=None
    )


def _name(annotation: Mapping[str, Any]) -> str | None:
    who = annotation.get("created_username") or annotation.get("completed_by")
    # The server writes "ann@example.com, 1", with the number of the user.
    return None if who is None else re.sub(r", \d+$", "", str(who).strip())
