"""The connection to a Label Studio server, through its official SDK."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ntk_al._utils import extras


def connect(url: str, api_key: str) -> Any:
    """Connects to a server.

    Args:
      url: its address, such as ``http://localhost:8080``.
      api_key: the access token of a user, from "Account & Settings".

    Returns:
      The SDK's client.

    Raises:
      ConnectionError: if the server cannot be reached, or does not accept the key.
      MissingExtraError: if label-studio-sdk is not installed.
    """
    with extras.needed("Label Studio needs", "label-studio-sdk", extra="label-studio"):
        from label_studio_sdk import LabelStudio

    client = LabelStudio(base_url=url, api_key=api_key)
    with answering(url):
        client.users.whoami()
    return client


@contextmanager
def answering(url: str) -> Iterator[None]:
    """Turns what the SDK raises into a ConnectionError in one line."""
    try:
        yield
    except (ValueError, TypeError, OSError):
        raise
    except Exception as error:  # of httpx and of the SDK, which are not imported for this
        status = getattr(error, "status_code", None)
        body = getattr(error, "body", "")
        detail = body.get("detail", body) if isinstance(body, dict) else body
        why = f"it answered {status}: {detail}" if status else str(error)
        hint = "; is the API key that of a user there?" if status in (401, 403) else ""
        raise ConnectionError(f"Label Studio at {url}: {why}{hint}") from error
