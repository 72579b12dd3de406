from __future__ import annotations

import uuid

import numpy as np
import pytest

from ntk_al.labeling import label_studio
from tests.labeling.label_studio import fake, server


@pytest.fixture(scope="session")
def url(tmp_path_factory):
    """The address of a server, or ``None`` for the fake."""
    if not server.PROGRAM:
        yield None
        return
    with server.running(tmp_path_factory.mktemp("label-studio")) as address:
        yield address


@pytest.fixture
def client(url):
    return label_studio.connect(url, server.KEY) if url else fake.Client()


@pytest.fixture
def title():
    return f"campaign {uuid.uuid4()}"


@pytest.fixture
def images(tmp_path):
    """A folder of twelve images, from dark to bright."""
    image = pytest.importorskip("PIL.Image")
    (tmp_path / "images").mkdir()
    for i in range(12):
        pixels = np.full((40, 60, 3), 20 * i, np.uint8)
        image.fromarray(pixels).save(tmp_path / "images" / f"{i:02}.png")
    return str(tmp_path / "images")


@pytest.fixture
def campaign(create, images):
    return create(images, class_names=["cat", 'a "big" <dog>'])


@pytest.fixture
def project(campaign, client, title):
    return label_studio.find_or_create(campaign, client, title)
