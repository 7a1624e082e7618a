"""What only Python can do while a connection is made: call password= and the on_connect functions.

One daemon thread of the process does it, for blocking and awaited callers and for the connections
that are made in the background. It starts with the first pool that needs it and waits on a
descriptor of the core's; a forked child has a thread of its own, once it needs one.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
import os
import re
import select
import threading
from typing import TYPE_CHECKING, Any, NamedTuple

from hypern import _native
from hypern.errors import CoreUnavailable, DataError, InterfaceError, keep_for_caller

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from hypern.config.settings import Password
    from hypern.session.blocking import DbSession

    ConnectHook = Callable[[DbSession], object]

# The SQL that sets again what the functions have set, and returns no row; no row if that is
# nothing. The server writes it, since it knows how to quote. Each set_config() is evaluated, being
# in an array. The server lists no setting whose prefix is not an extension's: those are looked up
# by their names.
_BASELINE = """
SELECT pg_catalog.format('SELECT 1 WHERE ARRAY[%s] IS NULL', pg_catalog.string_agg(
    pg_catalog.format('pg_catalog.set_config(%L, %L, false)', name, setting), ', ' ORDER BY place))
FROM (
    SELECT 1, name, setting FROM pg_catalog.pg_settings
    WHERE source OPERATOR(pg_catalog.=) 'session'
    UNION ALL
    SELECT 1, name, pg_catalog.current_setting(name, true)
    FROM pg_catalog.unnest($1::pg_catalog.text[]) AS given(name)
    WHERE pg_catalog.current_setting(name, true) OPERATOR(pg_catalog.<>) ''
    AND NOT name OPERATOR(pg_catalog.=) ANY (
        SELECT pg_catalog.lower(s.name) FROM pg_catalog.pg_settings AS s)
    UNION ALL
    SELECT 2, 'role', pg_catalog.current_setting('role')
    WHERE pg_catalog.current_setting('role') OPERATOR(pg_catalog.<>) 'none'
) AS changed(place, name, setting)
HAVING pg_catalog.count(*) OPERATOR(pg_catalog.>) 0
"""

_DOTTED = re.compile(r"[^\W\d][\w$]*(?:\.[^\W\d][\w$]*)+")  # a setting with a prefix, or a table


_CANCEL_SECS = 1.0  # how long an async callable may take to end once it is cancelled


class _LateError(Exception):
    """An async callable has taken longer than a dial waits."""


class _Served(NamedTuple):
    """A pool whose dials the thread serves."""

    pool: _native.Pool
    password: Password | None
    hooks_of: str  # the alias whose on_connect functions are called


_served: dict[str, _Served] = {}  # by the pool's own alias
_hooks: dict[str, tuple[ConnectHook, ...]] = {}  # by alias; each tuple is replaced as a whole
_lock = threading.Lock()
_thread: threading.Thread | None = None
_descriptor: int | None = None
_loop: asyncio.AbstractEventLoop | None = None  # the thread's own, for async callables


def add_hook(alias: str, hook: ConnectHook) -> None:
    """Add a function for the new connections of an alias, unless it is there already."""
    if not callable(hook):
        raise TypeError(f"an on_connect function must be callable, not {type(hook).__name__}")
    if inspect.iscoroutinefunction(hook):
        raise TypeError("an on_connect function cannot be a coroutine function: it is not awaited")
    before = _hooks.get(alias, ())
    if hook in before:
        return
    _hooks[alias] = (*before, hook)
    for served in list(_served.values()):
        if served.hooks_of == alias:
            attend(served.pool, served.password, alias)
            served.pool.drain()  # the present connections have not been through it


def attend(pool: _native.Pool, password: Password | None, hooks_of: str) -> None:
    """Serve the dials of a pool that the core has just been given, if they need it."""
    _served[pool.alias] = _Served(pool, password, hooks_of)
    hooked = bool(_hooks.get(hooks_of))
    if not _native.core_loaded():
        return
    if password is not None or hooked:
        _start()
    _native.pool_call("HOOKED", f"{pool.alias}\0{int(hooked)}")


def forget(alias: str) -> None:
    """The pool has been closed. The functions of `add_hook` stay."""
    _served.pop(alias, None)


def _start() -> None:
    global _thread, _descriptor
    with _lock:
        if _thread is not None:
            return
        if _descriptor is None:
            _descriptor, _ = _native.pool_call("JOBS_FD", "")
        thread = threading.Thread(
            target=_serve, args=(_descriptor,), name="hypern-attendant", daemon=True
        )
        thread.start()  # it may be refused; the next pool tries again
        _thread = thread


def _serve(descriptor: int) -> None:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    process = os.getpid()
    with contextlib.suppress(CoreUnavailable):  # it has failed, and every caller is told so
        while True:
            poll.poll()
            while (job := json.loads(_native.pool_call("JOBS", "")[1])) is not None:
                _do(job, process)
                if os.getpid() != process:
                    return  # a function has forked: the child's part of it ends with the function


def _do(job: dict[str, Any], process: int) -> None:
    ticket = job["ticket"]
    try:
        served = _served.get(job["alias"])
        if served is None or served.pool.status() is None:
            raise InterfaceError("its pool was closed meanwhile")
        if job["what"] == "password":
            text = _ask_password(served.password, job["seconds"])
        else:
            text = _introduce(served, job)
    except _LateError:
        pass  # the dial has its own limit, and an error that names the callable
    except BaseException as error:
        if os.getpid() == process:
            keep_for_caller(ticket, error)
            _settle(ticket, "0", type(error).__name__)
    else:
        if os.getpid() == process:
            _settle(ticket, "1", text)


def _settle(*parts: str) -> None:
    _native.pool_call("SETTLE", "\0".join(parts))


def _ask_password(password: Password | None, seconds: float) -> str:
    if password is None:
        raise InterfaceError("the server's password is to come from a callable, and none is there")
    given = password()
    if inspect.isawaitable(given):
        given = _run(given, seconds)
    if not isinstance(given, str):
        raise TypeError(f"the password callable must return a str, not {type(given).__name__}")
    if "\0" in given or any("\ud800" <= character <= "\udfff" for character in given):
        raise DataError("the password callable returned a NUL character or a lone surrogate")
    return given


def _run(given: Awaitable[str], seconds: float) -> str:
    """The result of an async callable, on this thread's own loop."""
    global _loop
    if _loop is None:
        _loop = asyncio.new_event_loop()

    async def limited() -> str:
        work = asyncio.ensure_future(given)
        await asyncio.wait({work}, timeout=seconds or None)
        if not work.done():
            work.cancel()
            await asyncio.wait({work}, timeout=_CANCEL_SECS)
            raise _LateError
        return work.result()

    return _loop.run_until_complete(limited())


def _introduce(served: _Served, job: dict[str, Any]) -> str:
    """Call the on_connect functions with a session on the new connection."""
    session: DbSession = served.pool.open(job["session"])
    try:
        for hook in _hooks.get(served.hooks_of, ()):
            hook(session)
        if session.is_in_transaction:
            session.commit()
        # A function that has sent nothing has set nothing.
        baseline = None if session.state == "idle" else _read_baseline(session)
        if baseline is not None:
            _native.pool_call("BASELINE", f"{job['ticket']}\0{baseline}")
    except BaseException:
        session.set_error()
        raise
    finally:
        session._finalize(0.0)
    return ""


def _read_baseline(session: DbSession) -> str | None:
    texts = json.loads(_native.pool_call("TEXTS", session.request_id)[1])
    names = {name.lower() for text in texts for name in _DOTTED.findall(text)}
    row = session.query_one_or_none(_BASELINE, [sorted(names)])
    return None if row is None else str(row["format"])


def _forget_thread() -> None:
    """In a forked child: the thread and its descriptor are the parent's."""
    global _thread, _descriptor, _loop, _lock
    _lock = threading.Lock()
    _served.clear()
    if _descriptor is not None:
        os.close(_descriptor)
    if _loop is not None:
        _leave_epoll(_loop)
    _thread = _descriptor = _loop = None


def _leave_epoll(loop: asyncio.AbstractEventLoop) -> None:
    """Have the end of a loop of the parent's, whenever it is collected, not touch the parent's
    epoll: the child's descriptor of it becomes one of an epoll of its own.
    """
    selector = getattr(loop, "_selector", None)
    if selector is not None and hasattr(select, "epoll"):
        with contextlib.suppress(OSError, ValueError), select.epoll() as own:
            os.dup2(own.fileno(), selector.fileno(), inheritable=False)


os.register_at_fork(after_in_child=_forget_thread)
