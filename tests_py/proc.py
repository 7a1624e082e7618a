"""What /proc shows of processes, without what ends or is closed while it is being read."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

_T = TypeVar("_T")


def descriptors(pid: int | str = "self") -> dict[int, str]:
    """The open descriptors of a process, and what each of them refers to."""
    directory = f"/proc/{pid}/fd"
    found = {
        int(fd): _unless_gone(os.readlink, f"{directory}/{fd}", "") for fd in _listed(directory)
    }
    return {fd: target for fd, target in found.items() if target}


def sockets(pid: int | str = "self") -> dict[int, str]:
    """The descriptors of a process that are sockets, each with its inode as "socket:[inode]"."""
    return {fd: target for fd, target in descriptors(pid).items() if target.startswith("socket:")}


def watched(fd: int) -> list[int]:
    """The events that the epolls of this process watch a descriptor for."""
    lines = [
        line.split()
        for name in _listed("/proc/self/fdinfo")
        for line in _read(f"/proc/self/fdinfo/{name}").decode().splitlines()
    ]
    return [int(line[3], 16) for line in lines if line[0] == "tfd:" and int(line[1]) == fd]


def children(pid: int) -> list[int]:
    """The processes that any thread of a process has started and not yet waited for."""
    threads = _listed(f"/proc/{pid}/task")
    found = [_read(f"/proc/{pid}/task/{thread}/children") for thread in threads]
    return [int(child) for line in found for child in line.split()]


def command_line(pid: int) -> bytes:
    """The command line of a process; nothing if it has ended."""
    return _read(f"/proc/{pid}/cmdline")


def _listed(directory: str) -> list[str]:
    return _unless_gone(os.listdir, directory, [])


def _read(path: str) -> bytes:
    return _unless_gone(lambda file: Path(file).read_bytes(), path, b"")


def _unless_gone(look: Callable[[str], _T], path: str, otherwise: _T) -> _T:
    """What `look` finds; `otherwise` if the process has ended or the descriptor is closed."""
    try:
        return look(path)
    except (FileNotFoundError, ProcessLookupError):
        return otherwise
