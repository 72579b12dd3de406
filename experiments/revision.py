"""The revision of this code, for records."""

from __future__ import annotations

import os
import subprocess


def git_revision() -> str | None:
    """Returns the commit of this code, with "-dirty" if it has been changed since.

    The result is ``None`` if this file is not under version control. This includes installed
    copies, even if the environment lies inside some other repository.
    """
    try:
        _git("ls-files", "--error-unmatch", os.path.basename(__file__))
        return _git("describe", "--always", "--dirty", "--abbrev=40", "--match=")
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(*arguments: str) -> str:
    answer = subprocess.run(
        ["git", *arguments],
        cwd=os.path.dirname(os.path.abspath(__file__)),
        capture_output=True,
        text=True,
        check=True,
    )
    return answer.stdout.strip()
