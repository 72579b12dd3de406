"""A server that cannot be reached, or refuses, is said in one line."""

from __future__ import annotations

import sys

import pytest

from ntk_al._utils import extras
from ntk_al.labeling import label_studio
from ntk_al.labeling.label_studio import client
from tests.labeling.label_studio import server

pytestmark = pytest.mark.quick


class ApiError(Exception):
    """What the SDK raises."""

    def __init__(self, status_code, body):
        super().__init__("many lines")
        self.status_code, self.body = status_code, body


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            ApiError(401, {"detail": "Invalid token."}),
            "it answered 401: Invalid token.; is the API",
        ),
        (ApiError(500, "a page"), "it answered 500: a page$"),
        (RuntimeError("no route"), "no route$"),
    ],
)
def test_errors_of_the_sdk_are_one_line(error, message):
    with (
        pytest.raises(ConnectionError, match=rf"^Label Studio at http://x: {message}"),
        client.answering("http://x"),
    ):
        raise error


def test_errors_of_this_package_stay_what_they_are():
    with pytest.raises(ValueError, match="mine"), client.answering("http://x"):
        raise ValueError("mine")


def test_the_missing_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "label_studio_sdk", None)
    with pytest.raises(extras.MissingExtraError, match=r"ntk-al\[label-studio\]"):
        label_studio.connect("http://127.0.0.1:9", "key")


@pytest.mark.skipif(not server.PROGRAM, reason="needs the SDK; make test-label-studio has it")
def test_a_server_refuses_a_wrong_key_and_a_closed_port_answers_nothing(url):
    with pytest.raises(ConnectionError, match="401: Invalid token"):
        label_studio.connect(url, "wrong")
    with pytest.raises(ConnectionError, match="refused"):
        label_studio.connect("http://127.0.0.1:9", "key")
