"""A server that lies: a clear error, in bounded time and memory, and never a wrong answer."""

from __future__ import annotations

import asyncio
import itertools
import resource
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from reliability.hostile_server import (
    ANSWER,
    BOUND,
    DONE,
    INTRODUCTION,
    NO_PARAMETERS,
    ONE_COLUMN,
    PARSED,
    READY,
    SEVEN,
    WELCOME,
    HostileServer,
    Speech,
    column,
    message,
    row,
    setting,
)
from reliability.tally import Tally
from support import RunPython, wait_until

from hypern import errors
from hypern.database import Database, adb, db, scope

_SECONDS = 2  # for a connect
_MEGABYTES = 80  # of memory, whatever the server says
_PASSWORD = "not for you"


_NUMBER = b"########"


class Endless:
    """Says something again and again, numbered where it has a place for a number."""

    def __init__(self, part: bytes, first: bytes = b"") -> None:
        self._part = part
        self._first = first

    def __iter__(self) -> Iterator[bytes]:
        yield self._first
        if _NUMBER not in self._part:
            yield from itertools.repeat(self._part * (1 + 50_000 // len(self._part)))
        for n in itertools.count():
            yield self._part.replace(_NUMBER, b"%08d" % n)


_HUGE = 0x7FFFFFFF


def _claims(kind: str, length: int) -> bytes:
    """A message's head, whose length is a lie, and a little of its body."""
    return kind.encode() + struct.pack("!I", length) + b"\0" * 64


def _sasl(text: bytes) -> bytes:
    return message("R", struct.pack("!I", 10) + text)


LOGINS: dict[str, Speech] = {
    "nothing at all but a hang-up": Endless(b"", b"")._first,
    "garbage": b"HTTP/1.1 400 Bad Request\r\n\r\n" + bytes(range(256)),
    "endless garbage": Endless(b"\xff" * 1000),
    "a length of 2 GiB": _claims("R", _HUGE),
    "a length below itself": _claims("R", 3),
    "a length of zero": _claims("R", 0),
    "rows before the login": row(b"1234") + READY,
    "ready before the login": READY,
    "an empty authentication": message("R"),
    "an unknown authentication": message("R", struct.pack("!I", 99)),
    "no method of SASL": _sasl(b"\0"),
    "an unknown method of SASL": _sasl(b"SCRAM-MD5\0\0"),
    "an unterminated method of SASL": _sasl(b"SCRAM-SHA-256"),
    "endless notices": Endless(message("N", b"SNOTICE\0M" + b"x" * 1000 + b"\0\0"), WELCOME),
    "endless settings": Endless(setting("name ########", "x" * 1000), WELCOME),
    "endless greetings": Endless(WELCOME),
    "an error without an end": message("E", b"SFATAL\0Mno"),
    "an error without any field": message("E", b"\0"),
    "a key of the wrong size": WELCOME + message("K", b"\0") + READY,
    "a setting without a value": WELCOME + message("S", b"TimeZone") + READY,
    "bytes that nobody asked for": INTRODUCTION + SEVEN,
}
DESCRIPTIONS: dict[str, Speech] = {
    "garbage": b"\xde\xad\xbe\xef" * 100,
    "a length of 2 GiB": _claims("T", _HUGE),
    "a length below itself": _claims("T", 3),
    "columns that are not there": PARSED
    + NO_PARAMETERS
    + message("T", struct.pack("!H", 1600) + column())
    + READY,
    "a name without an end": PARSED + NO_PARAMETERS + message("T", b"\0\1name") + READY,
    "parameters that are not there": PARSED + message("t", b"\xff\xff\0\0") + ONE_COLUMN + READY,
    "no end, endless notices": Endless(message("N", b"SNOTICE\0M" + b"x" * 1000 + b"\0\0")),
    "no end, endless settings": Endless(setting("name ########", "x" * 1000)),
    "an unknown status": PARSED + NO_PARAMETERS + ONE_COLUMN + message("Z", b"?"),
    "a status of no size": PARSED + NO_PARAMETERS + ONE_COLUMN + message("Z"),
}
ANSWERS: dict[str, Speech] = {
    "garbage": b"\xde\xad\xbe\xef" * 100,
    "a length of 2 GiB": BOUND + _claims("D", _HUGE),
    "a length below itself": BOUND + _claims("D", 1),
    "a value of a negative length": BOUND + message("D", struct.pack("!Hi", 1, -7)) + DONE + READY,
    "a value longer than its row": BOUND
    + message("D", struct.pack("!HI", 1, 1000) + b"1234")
    + DONE
    + READY,
    "a value longer than its type": BOUND + row(b"12345678") + DONE + READY,
    "too many values": BOUND + row(b"1234", b"1234") + DONE + READY,
    "no values": BOUND + row() + DONE + READY,
    "bytes behind the values": BOUND
    + message("D", struct.pack("!HI", 1, 4) + b"1234" + b"more")
    + DONE
    + READY,
    "other columns": BOUND
    + message("T", struct.pack("!H", 2) + column() + column("m"))
    + row(b"1234", b"1234")
    + DONE
    + READY,
    "an error without an end": message("E", b"SERROR\0Mno") + READY,
    "an unknown status": BOUND + SEVEN + DONE + message("Z", b"?"),
    "a copy that nobody wants": BOUND + message("W", b"\0\0\0") + READY,
    "endless notices": Endless(message("N", b"SNOTICE\0M" + b"x" * 1000 + b"\0\0"), BOUND),
    "endless settings": Endless(setting("name ########", "x" * 1000), BOUND),
    "endless completions": Endless(DONE, BOUND),
    "endless copy data": Endless(message("d", b"x" * 1000), BOUND),
}


def _peak() -> float:
    """The most memory that this process has ever had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _ask(server: HostileServer) -> errors.Error:
    """Ask for one value; the error that it ends in."""
    Database.configure(
        server.url, alias="hostile", password=_PASSWORD, connect_timeout_secs=_SECONDS
    )
    before, began = _peak(), time.monotonic()
    try:
        with scope(), pytest.raises(errors.Error) as caught:
            db(alias="hostile").query("SELECT n", timeout=0.3)
        assert time.monotonic() - began < _SECONDS + 5
        status = Database.status("hostile")
        assert (status.in_use, status.waiting) == (0, 0)
    finally:
        Database.close("hostile")
    assert _peak() - before < _MEGABYTES
    assert _PASSWORD not in str(caught.value)
    assert str(caught.value)
    return caught.value


_RESULT = "an error that says so; bounded time and memory"


def test_what_is_tried_would_work_if_it_were_honest() -> None:
    with HostileServer() as server:
        Database.configure(server.url, alias="hostile")
        for _ in range(3):
            with scope():
                assert db(alias="hostile").query("SELECT n") == [{"n": 7}]
        Database.close("hostile")
    assert b"SELECT n\0" in server.said


@pytest.mark.parametrize("what", LOGINS)
def test_a_login_that_goes_wrong(tally: Tally, what: str) -> None:
    with HostileServer(introduction=LOGINS[what]) as server:
        error = _ask(server)
    assert error.safe_to_retry
    if what in ("endless notices", "endless settings", "endless greetings"):
        assert "more than any login takes" in str(error)
    assert _PASSWORD.encode() not in server.said
    tally.add("hostile server: at the login", 1, _RESULT)


@pytest.mark.parametrize("what", DESCRIPTIONS)
def test_a_description_that_is_a_lie(full: bool, tally: Tally, what: str) -> None:
    if not full and what in _TAKES_LONG:
        pytest.skip("make test/reliability tries it")
    with HostileServer(description=DESCRIPTIONS[what]) as server:
        assert isinstance(_ask(server), (errors.ConnectionLost, errors.InterfaceError))
    tally.add("hostile server: in a description", 1, _RESULT)


@pytest.mark.parametrize("what", ANSWERS)
def test_an_answer_that_is_a_lie(full: bool, tally: Tally, what: str) -> None:
    if not full and what == "endless copy data":
        pytest.skip("make test/reliability tries it")
    with HostileServer(answer=ANSWERS[what]) as server:
        _ask(server)
    tally.add("hostile server: in an answer", 1, _RESULT)


# A server that goes on and on is asked to cancel before it is given up.
_TAKES_LONG = {"no end, endless notices", "endless notices", "endless copy data"}


def _endless_rows() -> Speech:
    return Endless(SEVEN, BOUND)


@pytest.mark.parametrize("call", ["execute", "query_one"])
def test_endless_rows_that_nobody_keeps_end_with_the_timeout(
    full: bool, tally: Tally, call: str
) -> None:
    if not full and call != "execute":
        pytest.skip("make test/reliability tries it")
    with HostileServer(answer=_endless_rows()) as server:
        Database.configure(server.url, alias="hostile", connect_timeout_secs=_SECONDS)
        before, began = _peak(), time.monotonic()
        with scope(), pytest.raises(errors.ConnectionLost):
            getattr(db(alias="hostile"), call)("SELECT n", timeout=0.5)
        assert time.monotonic() - began < 0.5 + 6
        assert _peak() - before < _MEGABYTES
        Database.close("hostile")
    tally.add("hostile server: endless rows", 1, "ConnectionLost with `timeout=`; bounded memory")


def test_a_stream_takes_no_more_rows_than_it_asked_for(tally: Tally) -> None:
    with HostileServer(answer=_endless_rows()) as server:
        Database.configure(server.url, alias="hostile", connect_timeout_secs=_SECONDS)
        before = _peak()
        with scope(), pytest.raises(errors.ConnectionLost):
            for _ in db(alias="hostile").stream("SELECT n", chunk_rows=100, timeout=3):
                pass
        assert _peak() - before < _MEGABYTES
        Database.close("hostile")
    tally.add("hostile server: endless rows", 1, "ConnectionLost with `timeout=`; bounded memory")


def test_an_awaited_statement_is_no_more_gullible(full: bool, tally: Tally) -> None:
    async def ask() -> None:
        async with scope():
            await adb(alias="hostile").query("SELECT n", timeout=0.3)

    for answer in (answer for what, answer in ANSWERS.items() if full or what not in _TAKES_LONG):
        before = _peak()
        with HostileServer(answer=answer) as server:
            Database.configure(server.url, alias="hostile", connect_timeout_secs=_SECONDS)
            with pytest.raises(errors.Error):
                asyncio.run(ask())
            Database.close("hostile")
        assert _peak() - before < _MEGABYTES
        tally.add("hostile server: in an awaited answer", 1, _RESULT)


@pytest.mark.parametrize("way", ["blocking", "awaited"])
def test_half_a_message_behind_an_answer_costs_the_connection_and_no_more_than_the_timeout(
    tally: Tally, way: str
) -> None:
    async def ask() -> None:
        async with scope():
            assert await adb(alias="hostile").query("SELECT n", timeout=0.5) == [{"n": 7}]

    half = message("N", b"Sof its own accord\0\0")[:9]
    with HostileServer(answer=ANSWER + half) as server:
        Database.configure(server.url, alias="hostile", connect_timeout_secs=_SECONDS)
        began, busy = time.monotonic(), time.process_time()
        if way == "awaited":
            asyncio.run(ask())
        else:
            with scope():
                assert db(alias="hostile").query("SELECT n", timeout=0.5) == [{"n": 7}]
        assert time.monotonic() - began < 0.5 + 4
        assert time.process_time() - busy < 0.3, "it did not sleep"
        wait_until(lambda: Database.status("hostile").size == 0)
        Database.close("hostile")
    tally.add("hostile server: half a message behind an answer", 1, "the answer, in time")


DEAF = """
import asyncio, os, sys, tempfile
sys.path.insert(0, sys.argv[1])
from reliability.hostile_server import DeafServer
from hypern import errors
from hypern.database import Database, adb, db, scope

way, call = sys.argv[2], sys.argv[3]
given = [([] for _ in range(3_000_000))] if call == "execute_many" else []

async def ask():
    async with scope():
        await getattr(adb(), call)("SELECT n", *given)

def ask_blocking():
    with scope():
        getattr(db(), call)("SELECT n", *given)

with tempfile.TemporaryDirectory() as directory, DeafServer(directory=directory) as server:
    Database.configure(server.url, connect_timeout_secs=2)
    try:
        asyncio.run(ask()) if way == "awaited" else ask_blocking()
    except errors.ConnectionLost as error:
        assert "broken pipe" in str(error), error
    else:
        raise AssertionError
    Database.close()
"""


@pytest.mark.parametrize("way", ["blocking", "awaited"])
@pytest.mark.parametrize("call", ["execute_many", "query_value"])
def test_a_peer_that_no_longer_reads_and_does_not_hang_up_is_a_lost_connection(
    run_python: RunPython, tally: Tally, way: str, call: str
) -> None:
    run_python(DEAF, str(Path(__file__).parent.parent), way, call, seconds=20)
    tally.add("hostile server: it no longer reads", 1, "ConnectionLost, in bounded time and memory")
