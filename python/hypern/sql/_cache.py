"""A dict that is emptied when what it holds takes too much memory."""

from __future__ import annotations

from typing import Generic, TypeVar

_K = TypeVar("_K")
_V = TypeVar("_V")

# Some thousands of statements; a program with more looks some of them up again.
MAX_BYTES = 4 << 20


class Cache(Generic[_K, _V]):
    """It has no lock: a forked child could find that held. Threads that put at one time may have a
    size counted once too little, which the next emptying mends.
    """

    __slots__ = ("_held", "_size", "get")

    def __init__(self) -> None:
        self._held: dict[_K, _V] = {}
        self._size = 0
        self.get = self._held.get

    def put(self, key: _K, value: _V, size: int) -> None:
        """Keep a value; size: about how many bytes it and its key take."""
        if size > MAX_BYTES // 8:
            return
        self._size += size + 200  # of objects
        if self._size > MAX_BYTES:
            self._held.clear()
            self._size = size + 200
        self._held[key] = value
