"""Which processes hold which connections to a server, told by the sockets' inodes."""

from __future__ import annotations

import time
from collections import defaultdict
from pathlib import Path

from proc import children, sockets

_ESTABLISHED = "01"


def family(pid: int) -> list[int]:
    """A process and all its descendants."""
    found = [pid]
    for process in found:  # it grows meanwhile
        found += children(process)
    return found


def holders(root: int, port: int) -> dict[str, set[int]]:
    """For each TCP connection to a port of this machine, who of a process's family holds it."""
    ours = _inodes(port)
    found: dict[str, set[int]] = defaultdict(set)
    for process in family(root):
        for link in sockets(process).values():
            if link in ours:
                found[link].add(process)
    return found


def shared(root: int, port: int, times: int = 5) -> dict[str, set[int]]:
    """The connections that several processes hold, seen so in each of some looks.

    Between a fork and the child's first instruction a child holds its parent's, and no longer; on a
    busy machine it may have to wait for a processor.
    """
    found: dict[str, set[int]] | None = None
    for _ in range(times):
        if found:
            time.sleep(0.1)
        now = {socket: pids for socket, pids in holders(root, port).items() if len(pids) > 1}
        before = now if found is None else found
        both = {s: now[s] & before[s] for s in now.keys() & before.keys()}
        found = {socket: pids for socket, pids in both.items() if len(pids) > 1}
    return found or {}


def _inodes(port: int) -> set[str]:
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            remote, state, inode = fields[2], fields[3], fields[9]
            if int(remote.rpartition(":")[2], 16) == port and state == _ESTABLISHED:
                found.add(f"socket:[{inode}]")
    return found
