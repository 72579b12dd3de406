"""Optional libraries: one that is missing is reported with the line that installs it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator


class MissingExtraError(ImportError):
    """A library of an optional extra of this package is not installed."""


@contextlib.contextmanager
def needed(who_needs: str, library: str, extra: str, *, hint: str = "") -> Iterator[None]:
    """Around the import of an optional library.

    For example::

        with extras.needed("the digits need", "scikit-learn", extra="data"):
            from sklearn.datasets import load_digits

    Args:
      who_needs: the subject and the verb of the message.
      library: the name under which the library is installed.
      extra: the extra of this package that brings it.
      hint: added to the message, in parentheses.

    Raises:
      MissingExtraError: a module was not found. A library that is there and fails in another way
        keeps its own error.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        message = f"{who_needs} {library}: pip install 'ntk-al[{extra}]'"
        raise MissingExtraError(
            f"{message} ({hint})" if hint else message, name=error.name
        ) from error
