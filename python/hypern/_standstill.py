"""Refuses blocking calls that would stop what they wait for.

A blocking call stops its thread. If that thread runs an event loop whose tasks hold every
connection, or the hub of gevent or eventlet, nothing else in it can proceed, and the wait cannot
end. The extension calls these functions, outside the fast path.
"""

from __future__ import annotations

import os
import sys
import threading
from typing import Final, Literal

from hypern import _native
from hypern._status import PoolStatus
from hypern.errors import InterfaceError
from hypern.scope.scope import thread_of

_NATIVE_THREADS: Final = {
    "gevent": "gevent.get_hub().threadpool.apply(function)",
    "eventlet": "eventlet.tpool.execute(function)",
}


def refuse_wait(session: _native.Session, status: bytes) -> None:
    """Raise InterfaceError if a session waits for a connection on the thread of a running event
    loop, and requests of that loop hold every connection.

    status: the pool's, as the core describes it. A request belongs to the loop if its session was
    used last, or its scope was opened, in the loop's thread. The wait can end if a connection is
    being made or closed, or is held by another thread's request.
    """
    pool = PoolStatus.from_core(status)
    if pool.in_use < pool.max_size:
        return
    here = threading.get_ident()
    for holder in pool.holders:
        sessions = _native.sessions(holder.request_id, holder.alias)
        if session in sessions:
            return  # its connection has just been granted
        if getattr(session, "takes_turns", False) and any(map(_native.drive, sessions)):
            return  # each of them has the connection for one statement only
        is_used_here = here in map(_native.thread_of, sessions)
        if not is_used_here and thread_of(holder.request_id) != here:
            return
    raise InterfaceError(
        "a blocking call on the thread of a running event loop waits for a connection of "
        f'"{session.alias}", and requests of that loop hold all {pool.max_size}: while the call '
        "blocks the loop, none of them can give one back. In async def code use adb() and await, "
        "or make the call in another thread (asyncio.to_thread)"
    )


def patched_by() -> Literal["gevent", "eventlet", ""]:
    """Which library has replaced the blocking calls of the standard library; "" if none has."""
    monkey = sys.modules.get("gevent.monkey")
    if monkey is not None and any(map(monkey.is_module_patched, ("socket", "select", "thread"))):
        return "gevent"
    patcher = sys.modules.get("eventlet.patcher")
    if patcher is not None and any(map(patcher.is_monkey_patched, ("socket", "select", "thread"))):
        return "eventlet"
    return ""


def refuse_hub() -> None:
    """Raise InterfaceError if the calling thread has greenlets that a blocking call would stop: the
    main thread, and any thread that runs a hub.
    """
    library = patched_by()
    if library and (threading.get_native_id() == os.getpid() or _has_hub(library)):
        raise InterfaceError(
            f"{library} has replaced this process's blocking calls, and a blocking call of hypern "
            f"would stop {library}'s hub with all its greenlets. What works: real threads (such as "
            f"gunicorn's gthread worker; here, {_NATIVE_THREADS[library]}), and asyncio with adb()"
        )


def _has_hub(library: str) -> bool:
    """Whether the library's hub runs in this thread."""
    if library == "gevent":
        return sys.modules["gevent._hub_local"].get_hub_if_exists() is not None
    hubs = sys.modules.get("eventlet.hubs")
    return hubs is not None and hasattr(hubs._threadlocal, "hub")
