"""The words that arguments and attributes may be, for type checkers."""

from __future__ import annotations

from typing import Literal, TypeAlias

# What `begin` and `transaction` take; the case does not matter to them, and "_" stands for a space.
Isolation: TypeAlias = Literal[
    "read uncommitted",
    "read committed",
    "repeatable read",
    "serializable",
    "read_uncommitted",
    "read_committed",
    "repeatable_read",
    "READ UNCOMMITTED",
    "READ COMMITTED",
    "REPEATABLE READ",
    "SERIALIZABLE",
]

# Settings of `Database.configure`.
StatementCache: TypeAlias = Literal["auto", "named", "describe", "off"]
Reset: TypeAlias = Literal["full", "transaction", "off"]
Infinity: TypeAlias = Literal["error", "minmax"]
Pooler: TypeAlias = Literal["auto", "none", "session", "shared"]

# What `DbSession.state` may be.
State: TypeAlias = Literal[
    "idle", "connected", "in_transaction", "committed", "rolled_back", "closed"
]
