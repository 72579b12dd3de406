"""Optional libraries: if one is missing, the error names the command that installs it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator


class MissingExtraError(ImportError):
    """Raised if a library from an optional extra of this package is not installed."""


@contextlib.contextmanager
def needed(who_needs: str, library: str, extra: str, *, hint: str = "") -> Iterator[None]:
    """A context manager for the import of an optional library.

    For example::

        with extras.needed("the digits need", "scikit-learn", extra="experiments"):
            from sklearn.datasets import load_digits

    Args:
      who_needs: the subject and the verb of the message.
      library: the name under which the library is installed.
      extra: the extra of this package that includes the library.
      hint: added to the message, in parentheses.

    Raises:
      MissingExtraError: if a module is not found. If an installed library fails in another way, its
        own error is raised.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        message = f"{who_needs} {library}: pip install 'ntk-al[{extra}]'"
        raise MissingExtraError(
            f"{message} ({hint})" if hint else message, name=error.name
        ) from error
