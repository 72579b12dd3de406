"""Which annotations were pulled last, so that an old one never undoes what came after it."""

from __future__ import annotations

import json
import os
import warnings
from typing import Any

from ntk_al._utils import files
from ntk_al.labeling.campaign import Campaign
from ntk_al.labeling.events import Id

FILE = "label_studio.json"
"""In the folder of a campaign. Without it, every annotation counts as new."""


class Seen:
    """The annotation of each example that was pulled last.

    Args:
      campaign: the campaign.
    """

    def __init__(self, campaign: Campaign) -> None:
        self._path = os.path.join(campaign.folder, FILE)
        self._stamps: dict[Id, str] = {}
        try:
            with open(self._path, encoding="utf-8") as file:
                self._stamps = {i: str(stamp) for i, stamp in json.load(file)}
        except FileNotFoundError:
            pass  # nothing was pulled yet
        except (ValueError, TypeError) as error:
            warnings.warn(
                f"{self._path} is damaged ({error}), so every annotation counts as new, also those "
                "that were pulled before",
                stacklevel=3,
            )

    def __contains__(self, i: Id) -> bool:
        return i in self._stamps

    def is_new(self, i: Id, annotation: dict[str, Any]) -> bool:
        """Returns whether an annotation, or what it says now, has not been pulled yet."""
        return self._stamps.get(i) != _stamp(annotation)

    def add(self, annotations: dict[Id, dict[str, Any]]) -> None:
        """Remembers annotations, on disk.

        Raises:
          OSError: if they cannot be written.
        """
        self._stamps |= {i: _stamp(annotation) for i, annotation in annotations.items()}
        files.write(self._path, json.dumps([*self._stamps.items()]) + "\n")


def _stamp(annotation: dict[str, Any]) -> str:
    return f"{annotation.get('id')} {annotation.get('updated_at')}"
