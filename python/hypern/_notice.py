"""What a function of `Database.on_notice` is called with."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Notice:
    """A message that the server has sent with a statement: NOTICE, WARNING, INFO, LOG or DEBUG.

    alias, request_id: str, of the statement's session. sql: str, the statement, as an error has it;
    None for the end of a session. The others are as on `hypern.errors.Error`, None if the server
    sent none; severity and message are always there.
    """

    alias: str
    request_id: str
    sql: str | None
    severity: str
    message: str
    sqlstate: str | None = None
    detail: str | None = None
    hint: str | None = None
    constraint: str | None = None
    schema: str | None = None
    table: str | None = None
    column: str | None = None
    datatype: str | None = None
    position: int | None = None

    def __str__(self) -> str:
        return f"{self.severity}: {self.message}"
