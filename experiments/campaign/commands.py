"""The commands, one function each, called with the folder of the campaign and the flags.

To add a command, write its function and add a row to ``COMMANDS``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from ntk_al import labeling
from ntk_al.labeling import comparison
from ntk_al.labeling.pool_settings import PoolSettings

from .dispatch import Command, Flags
from .learner import Learner


def create(folder: str, rest: list[str], flags: Flags) -> list[str]:
    """Creates a campaign."""
    if not flags["pool"]:
        raise ValueError("which examples? --pool=FILE or --pool=FOLDER")
    size = flags["image_size"]
    if size and (len(size) != 2 or not all(number.isdecimal() for number in size)):
        raise ValueError(f"--image_size takes height,width, such as 64,64, got {','.join(size)}")
    settings = PoolSettings(
        pool=os.path.abspath(flags["pool"]),
        image_size=(int(size[0]), int(size[1])) if size else None,
        channels=flags["channels"],
        columns=tuple(flags["columns"]) if flags["columns"] else None,
        id_column=flags["id_column"],
    )
    with labeling.Campaign.create(
        folder,
        settings.open(),
        num_classes=flags["num_classes"],
        class_names=flags["class_names"] or None,
        audit=_number_or_share(flags["audit_size"]),
        seed=flags["seed"],
    ) as campaign:
        report = campaign.report()
    too_few = f"{comparison.LEAST} are needed to compare with random labels: --audit_size sets them"
    return [
        f"created {folder}: {report.num_examples} examples, {report.size_audit} of them to measure "
        "accuracy",
        *([too_few] if report.size_audit < comparison.LEAST else []),
        f"now: ntk-al campaign next {folder} --k=20 --out=queue.csv",
    ]


class Proposal(NamedTuple):
    """What to label next, and what to say of it.

    Attributes:
      ids: the examples, best first.
      lines: what is shown.
    """

    ids: list[str | int]
    lines: list[str]


def propose(campaign: labeling.Campaign, flags: Flags) -> Proposal:
    """Trains on the labels, if there are any of two classes, and proposes examples."""
    lines = []
    network = None
    x, y = campaign.labeled()
    if len(set(y.tolist())) > 1 and flags["k"]:
        network = _learner(campaign, flags).train(x, y)
        accuracy = campaign.report(network).accuracy
        of_audit = f"; accuracy on {accuracy.num} audit labels: {accuracy}" if accuracy else ""
        lines.append(f"trained on {len(y)} labels{of_audit}")
    ids = campaign.next(
        flags["k"],
        network,
        strategy=flags["strategy"],
        audit=flags["audit"],
        batch_mode=flags["batch_mode"],
    )
    chosen, audit = ids[: flags["k"]], ids[flags["k"] :]
    how = f"chosen by {flags['strategy']}" if network else "typical ones"
    what = [f"{len(chosen)} examples to label, {how}"] if chosen else []
    what += [f"{len(audit)} random examples of the audit"] if audit else []
    return Proposal(_spread(chosen, audit), [*lines, ", and ".join(what)])


def _spread(chosen: list[str | int], audit: list[str | int]) -> list[str | int]:
    """Mixes the audit in at equal distances, so that it gets its share if only some are labeled."""
    places = [(i + 1) / (len(chosen) + 1) for i in range(len(chosen))]
    of_audit = [(i + 1) / (len(audit) + 1) for i in range(len(audit))]
    order = sorted(zip([*places, *of_audit], [*chosen, *audit], strict=True), key=lambda p: p[0])
    return [i for _, i in order]


def next_(folder: str, rest: list[str], flags: Flags) -> list[str]:
    """Writes what to label next."""
    out = _output(flags)
    with opened(folder) as campaign:
        ids, lines = propose(campaign, flags)
        labeling.write_queue(campaign, ids, out)
    return [
        *lines,
        f"wrote {out}: fill in its column label, and: ntk-al campaign import {folder} {out}",
    ]


def import_(folder: str, rest: list[str], flags: Flags) -> list[str]:
    """Records labels."""
    if not rest:
        raise ValueError("which file? ntk-al campaign import FOLDER FILE")
    lines = []
    with opened(folder) as campaign:
        for path in rest:
            found = labeling.read_answers(campaign, path, by=flags["by"])
            lines.append(
                f"{path}: {found.labeled} labels, {found.new} of them new and {found.replaced} in "
                f"place of others; {found.skipped} skipped, {found.unanswered} without an answer"
            )
        report = campaign.report()
        audit = f", and {report.num_audit} of the audit" if report.num_audit else ""
        lines.append(f"{report.num_labels} labels for training in all{audit}")
    return lines


def untell(folder: str, rest: list[str], flags: Flags) -> list[str]:
    """Takes labels or skips back."""
    if not rest:
        raise ValueError("which examples? ntk-al campaign untell FOLDER ID...")
    with opened(folder) as campaign:
        campaign.untell([campaign.id_of(text) for text in rest])
    return [f"taken back: {', '.join(rest)}"]


def export(folder: str, rest: list[str], flags: Flags) -> list[str]:
    """Writes all labels."""
    out = _output(flags)
    if flags["format"] == "csv":  # which works without the pool, and while others have it open
        return [f"wrote {out}: {labeling.export(labeling.recorded(folder), out)} labels"]
    with opened(folder) as campaign:
        num = labeling.export(campaign, out, flags["format"])
        left_out = len(campaign.labels) - num
        of_audit = f"; {left_out} of the audit are left out" if left_out else ""
        return [f"wrote {out}: {num} labels{of_audit}"]


def status(folder: str, rest: list[str], flags: Flags) -> list[str]:
    """Says how far it is; with --compare, whether the labels are better than random ones."""
    if not flags["compare"]:
        return [str(labeling.read(folder))]
    with opened(folder) as campaign:
        x, y = campaign.labeled()
        if not len(y):
            raise ValueError("--compare needs labels: there are none yet")
        train = _learner(campaign, flags).train
        return [str(campaign.report(train(x, y), train))]


COMMANDS = {
    "create": Command(
        create,
        "create FOLDER --pool=IMAGES --class_names=cat,dog",
        "begin a campaign on a folder of images, or on a .csv, .parquet or .npy file",
    ),
    "next": Command(
        next_,
        "next FOLDER --k=20 --out=queue.csv",
        "train on the labels, and write a CSV file of what to label, best first",
    ),
    "import": Command(
        import_,
        "import FOLDER queue.csv [--by=NAME]",
        "record the labels of a CSV file",
        takes_more=True,
    ),
    "untell": Command(untell, "untell FOLDER ID...", "take labels or skips back", takes_more=True),
    "export": Command(export, "export FOLDER --out=labels.csv [--format=coco]", "write all labels"),
    "status": Command(
        status, "status FOLDER [--compare]", "how many labels there are, and what they are worth"
    ),
}
"""All commands by name."""


@contextmanager
def opened(folder: str) -> Iterator[labeling.Campaign]:
    """Opens a campaign that ``create`` made."""
    with labeling.Campaign.open(folder) as campaign:
        yield campaign


def _learner(campaign: labeling.Campaign, flags: Flags) -> Learner:
    names = ("model", "width", "epochs", "learning_rate", "augmentation")
    return Learner(campaign.num_classes, **{name: flags[name] for name in names})


def _output(flags: Flags) -> str:
    out = flags["out"]
    if not out:
        raise ValueError("where to? --out=FILE")
    if os.path.lexists(out):
        raise FileExistsError(f"{out} is there already. Nothing was changed: choose another --out")
    return str(out)


def _number_or_share(text: str | None) -> float | int | None:
    if text is None:
        return None
    try:
        return int(text) if text.isdecimal() else float(text)
    except ValueError as error:
        raise ValueError(
            f"--audit_size takes a number of examples, or a share such as 0.05, got {text!r}"
        ) from error
