"""Send what to label to a Label Studio server, and fetch the labels.

ntk-al campaign create animals --pool=images --class_names=cat,dog --image_size=64,64
ntk-al label-studio push animals --url=http://localhost:8080 --project=animals --k=20
ntk-al label-studio pull animals --url=http://localhost:8080 --project=animals

The access token is read from the environment, LABEL_STUDIO_API_KEY.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from .. import stopping

if __name__ == "__main__":  # before the imports that take seconds
    stopping.install("every label that was recorded is on disk")

from ntk_al._utils import extras

try:
    with extras.needed("this command needs", "absl-py", extra="experiments"):
        from absl import app, flags

        from .. import command_line
        from ..campaign import __main__ as campaigns
        from ..campaign import commands, dispatch
        from ..campaign.dispatch import Command, Flags
except extras.MissingExtraError as error:
    sys.exit(f"error: {error}")

from ntk_al.labeling import label_studio

KEY = "LABEL_STUDIO_API_KEY"


def define(values: flags.FlagValues = flags.FLAGS) -> None:
    """Defines all flags."""
    campaigns.define(values)
    if values is flags.FLAGS:
        flags.adopt_module_key_flags(campaigns)  # so that --help shows them, too
    flags.DEFINE_string("url", None, "The address of the server.", flag_values=values)
    flags.DEFINE_string("project", None, "The title of the project.", flag_values=values)
    flags.DEFINE_string(
        "image_prefix",
        None,
        "push: what makes an address of an image when its path is appended, where the server "
        "serves images; default: images travel inside of their tasks.",
        flag_values=values,
    )


def push(folder: str, more: list[str], values: Flags) -> list[str]:
    """Makes tasks of what to label next."""
    del more
    client = _client(values)
    with commands.opened(folder) as campaign:
        proposal = commands.propose(campaign, values)
        project = label_studio.find_or_create(campaign, client, values["project"])
        pushed = label_studio.push(
            campaign, proposal.ids, client, project, image_prefix=values["image_prefix"]
        )
    return [
        *proposal.lines,
        f"{pushed.created} new tasks, {pushed.reordered} moved",
        f"label them in {values['url'].rstrip('/')}/projects/{project}/data: choose the view "
        f'"{label_studio.projects.VIEW}" and "Label Tasks As Displayed"',
    ]


def pull(folder: str, more: list[str], values: Flags) -> list[str]:
    """Records labels, skips and corrections."""
    del more
    client = _client(values)
    with commands.opened(folder) as campaign:
        project = label_studio.find(campaign, client, values["project"])
        found = label_studio.pull(campaign, client, project, by=values["by"])
        total = campaign.report().num_labels
    return [
        f"{found.labeled} labels, {found.skipped} skipped, {found.unanswered} without an answer; "
        f"{found.changed} are new or changed",
        *_what_is_odd(found),
        f"{total} labels for training in all",
    ]


def _what_is_odd(found: label_studio.Pulled) -> list[str]:
    lines = []
    if found.blank:
        lines.append(
            f"submitted without a choice: {found.blank}; open them in the project and choose, for "
            "labelers do not see them again"
        )
    if found.unknown:
        lines.append(f"with a class that the campaign has not: {found.unknown}; see the warning")
    if found.withdrawn:
        lines.append(
            f"labels whose annotation was deleted there: {found.withdrawn}; they stay, and "
            "ntk-al campaign untell takes them back"
        )
    return lines


_PROJECT = "FOLDER --url=URL --project=TITLE"
COMMANDS = {
    "push": Command(
        push,
        f"push {_PROJECT} [--k=20]",
        "train on the labels, and make tasks of what to label, in a project that is made if needed",
    ),
    "pull": Command(pull, f"pull {_PROJECT}", "record labels, skips and corrections"),
}
"""All commands by name."""


def main(arguments: Sequence[str], values: flags.FlagValues = flags.FLAGS) -> None:
    """Does a command; errors end the program with a message."""
    dispatch.serve(arguments, "ntk-al label-studio", COMMANDS, values.flag_values_dict())


def _client(values: Flags) -> object:
    for name in ("url", "project"):
        if not values[name]:
            raise ValueError(f"--{name} is missing")
    if not (key := os.environ.get(KEY, "").strip()):
        raise ValueError(
            f"the environment variable {KEY} is missing: it is the access token of a user, from "
            '"Account & Settings" in Label Studio'
        )
    return label_studio.connect(values["url"], key)


if __name__ == "__main__":
    define()
    app.run(main, flags_parser=command_line.parse)
