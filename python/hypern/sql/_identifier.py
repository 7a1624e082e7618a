"""Names of the database: what can be one, and how it is quoted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypern._pep249 import ProgrammingError

if TYPE_CHECKING:
    from collections.abc import Sequence

# The server cuts what is longer (NAMEDATALEN - 1), so that two names could become one.
MAX_BYTES = 63


def check_names(names: Sequence[object], where: str) -> None:
    """Raise unless each of them can be a name. where: for the message, which never has a name."""
    for name in names:
        if not isinstance(name, str):
            raise TypeError(
                f"{where}: an identifier is a str, or a tuple of str, not {_kind(name)}"
            )
        if not name:
            raise ProgrammingError(f"{where}: an identifier cannot be empty")
        if "\0" in name:
            raise ProgrammingError(f"{where}: an identifier cannot hold a NUL character")
        try:
            size = len(name.encode())
        except UnicodeEncodeError:
            raise ProgrammingError(
                f"{where}: an identifier cannot be sent as UTF-8: it holds a lone surrogate"
            ) from None
        if size > MAX_BYTES:
            raise ProgrammingError(
                f"{where}: an identifier has {size} bytes, and the server would cut it "
                f"to {MAX_BYTES}"
            )


def quoted(names: Sequence[str]) -> str:
    """The names as SQL has them."""
    return ".".join('"' + name.replace('"', '""') + '"' for name in names)


def _kind(value: object) -> str:
    return type(value).__name__
