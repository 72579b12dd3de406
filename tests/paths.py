"""Places of this repository, whichever folder a test lies in."""

from __future__ import annotations

import pathlib

ROOT = pathlib.Path(__file__).parents[1]
FIXTURES = pathlib.Path(__file__).parent / "fixtures"
