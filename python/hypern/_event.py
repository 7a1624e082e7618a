"""What a hook of `Database.on_event` is called with."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Event:
    """A statement that has ended.

    alias, request_id: str, of its session. label: str, the scope's, or None. method: str, the
    session's method that ran it: "query", "execute", "stream" and so on; each chunk of a stream is
    an event. sql: str, its text with placeholders. parameters: int, how many it has (never their
    values), None if it failed before that was known. batch_size: int, the rows that execute_many
    sent, else None. wait_secs: float, the time in the pool's queue. seconds: float, from the call
    to the result, the wait included. rows: int, affected or returned. sqlstate: str, the error's
    code as for `on_statement`, None on success and only then. error: BaseException, what it raised,
    or None. host, port: str and int, the server's address as the settings have it (a directory is
    that of a unix socket); None if it got no connection. database: str, its name.
    """

    alias: str
    request_id: str
    label: str | None
    method: str
    sql: str
    parameters: int | None
    batch_size: int | None
    wait_secs: float
    seconds: float
    rows: int
    sqlstate: str | None
    error: BaseException | None
    host: str | None
    port: int | None
    database: str
