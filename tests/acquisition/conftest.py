from __future__ import annotations

import pytest

from ntk_al.acquisition.features import geometry


@pytest.fixture(params=[2**22, 7], ids=["one tile", "many tiles"])
def tile_entries(request, monkeypatch):
    """Everything is tested in one tile, and in tiles of a row or two."""
    monkeypatch.setattr(geometry, "_TILE_ENTRIES", request.param)
