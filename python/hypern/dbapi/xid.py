"""`Xid`: the id of a two-phase transaction (PEP 249, X/Open)."""

from __future__ import annotations

import base64
import binascii
import re
from datetime import datetime
from typing import NamedTuple

from hypern.errors import ProgrammingError

_FORMATTED = re.compile(r"(\d+)_([^_]*)_([^_]*)")
_MAX_FORMAT = 0x7FFFFFFF
_MAX_PART = 64


class _Parts(NamedTuple):
    format_id: int | None
    gtrid: str
    bqual: str | None


class Xid(_Parts):
    """The id of a two-phase transaction: the three parts of X/Open, as `Connection.xid` makes it.

    An id that another program has made has no format_id and no bqual, and gtrid is all of its text.
    `tpc_recover()` sets when it was prepared, by whom, and in which database.
    """

    prepared: datetime | None = None
    owner: str | None = None
    database: str | None = None

    def __str__(self) -> str:
        if self.format_id is None or self.bqual is None:
            return self.gtrid
        return f"{self.format_id}_{_encode(self.gtrid)}_{_encode(self.bqual)}"


def recovered(gid: str, prepared: datetime, owner: str, database: str) -> Xid:
    """The id of a transaction that the server has prepared."""
    xid = parse_xid(gid)
    xid.prepared, xid.owner, xid.database = prepared, owner, database
    return xid


def make_xid(format_id: int, gtrid: str, bqual: str) -> Xid:
    """An id from its parts. Raises ProgrammingError where one is beyond X/Open's limits."""
    if not 0 <= format_id <= _MAX_FORMAT:
        raise ProgrammingError("format_id must be from 0 to 0x7fffffff")
    for name, part in (("gtrid", gtrid), ("bqual", bqual)):
        if len(part) > _MAX_PART or not all("\x20" <= character < "\x7f" for character in part):
            raise ProgrammingError(
                f"{name} must be printable ASCII, {_MAX_PART} characters at most"
            )
    return Xid(format_id, gtrid, bqual)


def parse_xid(text: str) -> Xid:
    """The id of a transaction from its name on the server, whoever has chosen that."""
    parts = _FORMATTED.fullmatch(text)
    if parts is not None:
        try:
            return make_xid(int(parts[1]), _decode(parts[2]), _decode(parts[3]))
        except (binascii.Error, ValueError, ProgrammingError):
            pass  # it only looks like one of ours
    return Xid(None, text, None)


def as_xid(xid: Xid | str) -> Xid:
    """What `tpc_begin` and its companions take as an id."""
    if isinstance(xid, Xid):
        return xid
    if isinstance(xid, str):
        return parse_xid(xid)
    raise TypeError(f"a transaction id must be an Xid or a str, not {type(xid).__name__}")


def _encode(part: str) -> str:
    return base64.b64encode(part.encode()).decode()


def _decode(part: str) -> str:
    return base64.b64decode(part, validate=True).decode()
