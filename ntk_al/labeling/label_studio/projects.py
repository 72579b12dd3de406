"""Projects in Label Studio: the form that labelers fill in, and the view that orders tasks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from xml.sax.saxutils import quoteattr

from ntk_al.labeling.campaign import Campaign

ACQUISITION = "acquisition"
"""The field of a task by which tasks are ordered, highest first."""

VIEW = "What to label next"
_MARK = "Labels for the campaign"  # in the description of a project, before its fingerprint
_FORM = "label"

_DIGITS = {
    name: str(digit)
    for digit, name in enumerate(
        ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
    )
}

_HIDDEN = (
    *("inner_id", "annotations_results", "annotations_ids", "predictions_score", "file_upload"),
    *("predictions_model_versions", "predictions_results", "total_predictions", "storage_filename"),
    *("avg_lead_time", "draft_exists", "created_at", "updated_at", "updated_by"),
    "data.ntk_campaign",
)
"""Columns of the view that a labeler does not need."""


def find(campaign: Campaign, client: Any, title: str) -> int:
    """Returns the id of the project with a title.

    Args:
      campaign: the campaign.
      client: from ``connect``.
      title: the title.

    Raises:
      ValueError: if no project has the title, or two have it, or its form lacks a class.
    """
    found = _with_title(campaign, client, title)
    if found is None:
        there = ", ".join(repr(project.title) for project in client.projects.list())
        raise ValueError(f"no project has the title {title!r}; there are: {there or 'none'}")
    return found


def find_or_create(campaign: Campaign, client: Any, title: str) -> int:
    """Returns the id of the project with a title, which is created if there is none.

    A new project has a form with the classes of the campaign, and a view that orders tasks by their
    priority.

    Args:
      campaign: the campaign.
      client: from ``connect``.
      title: the title, of 3 to 50 characters.

    Raises:
      ValueError: if the title is too short or too long, two projects have it, the form of the
        project lacks a class, or the project of this campaign has another title by now.
    """
    if not 3 <= len(title) <= 50:
        raise ValueError(f"the title of a project needs 3 to 50 characters, got {title!r}")
    found = _with_title(campaign, client, title)
    if found is not None:
        return found
    mark = f"{_MARK} {campaign.fingerprint}"
    renamed = [p.title for p in client.projects.list() if mark in (p.description or "")]
    if renamed:
        raise ValueError(
            f"no project has the title {title!r}, but the tasks of this campaign are in "
            f"{', '.join(map(repr, renamed))}: pass that title"
        )
    project = client.projects.create(title=title, description=mark, label_config=form(campaign))
    column = f"tasks:data.{ACQUISITION}"
    # Without its type, the column would be ordered as text.
    view = {
        "title": VIEW,
        "ordering": [f"-{column}"],
        "columnsDisplayType": {column: "Number"},
        "hiddenColumns": {"explore": [f"tasks:{name}" for name in _HIDDEN], "labeling": []},
    }
    client.views.create(project=project.id, data=view)
    return int(project.id)


def form(campaign: Campaign) -> str:
    """Returns the form of a project: an image or a text, and a choice of one class."""
    is_image = campaign.path(campaign.first_id) is not None
    kind, field = ("Image", "image") if is_image else ("Text", "text")
    choices = "".join(_choice(name) for name in class_names(campaign))
    return (
        f'<View><{kind} name="{field}" value="${field}"/>'
        f'<Choices name="{_FORM}" toName="{field}" choice="single" required="true" '
        f'showInline="true">{choices}'
        "</Choices></View>"
    )


def _choice(name: str) -> str:
    # The server's own hotkeys count from 1, so that 4 would stand for the class 3.
    key = _DIGITS.get(name.casefold(), name)
    hotkey = f" hotkey={quoteattr(key)}" if key.isdecimal() and len(key) == 1 else ""
    return f"<Choice value={quoteattr(name)}{hotkey}/>"


def class_names(campaign: Campaign) -> list[str]:
    """Returns the classes as they are shown."""
    return campaign.class_names or [str(number) for number in range(campaign.num_classes)]


def choices(result: list[dict[str, Any]]) -> Iterator[str]:
    """Yields the classes that were chosen in an annotation."""
    for part in result:
        yield from part.get("value", {}).get("choices", ())


def _with_title(campaign: Campaign, client: Any, title: str) -> int | None:
    found = [project for project in client.projects.list(title=title) if project.title == title]
    if len(found) > 1:
        raise ValueError(f"{len(found)} projects have the title {title!r}: rename all but one")
    if not found:
        return None
    _check_form(campaign, client.projects.get(id=found[0].id), title)
    return int(found[0].id)


def _check_form(campaign: Campaign, project: Any, title: str) -> None:
    lacking = [
        name
        for name in class_names(campaign)
        if f"value={quoteattr(name)}" not in project.label_config
    ]
    if lacking:
        raise ValueError(
            f"the form of the project {title!r} has no choice {', '.join(map(repr, lacking))}: it "
            "is that of another campaign"
        )
