"""What `result()` and `describe()` of a session return."""

from __future__ import annotations

from typing import Any, NamedTuple


class Column(NamedTuple):
    """A column of a result, as the server describes it.

    name: str. type_oid: int, the OID of its type, for a domain that of its base type. type_name:
    str, as in pg_type.typname ("int4", "timestamptz", "_text" for text[]). size: int, the bytes of
    a value, below 0 if it varies. modifier: int, what the type is declared with (PostgreSQL,
    "pg_attribute.atttypmod"), -1 if there is nothing. nullable: for `describe()`, whether the
    column of the table that it comes from may be NULL, which an outer join may add to; None if it
    does not come from a table, and for `result()`.
    """

    name: str
    type_oid: int
    type_name: str
    size: int
    modifier: int
    nullable: bool | None = None


class Parameter(NamedTuple):
    """A parameter of a statement: its name ("$1"), and its type as `Column` has it."""

    name: str
    type_oid: int
    type_name: str


class Result(NamedTuple):
    """All that a statement returns.

    columns: known without rows, too; empty for a statement that returns none. rows: tuples in the
    order of the columns, of which several may have one name. count: as `execute()` returns it. tag:
    the server's command tag, such as "INSERT 0 3".
    """

    columns: tuple[Column, ...]
    rows: list[tuple[Any, ...]]
    count: int  # type: ignore[assignment]  # tuple.count is hidden
    tag: str


class Description(NamedTuple):
    """What a statement takes and what it returns."""

    parameters: tuple[Parameter, ...]
    columns: tuple[Column, ...]


# Users import them from there, so repr() and pickle name this module.
for _cls in (Column, Parameter, Result, Description):
    _cls.__module__ = "hypern.database"
