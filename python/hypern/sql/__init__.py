"""SQL that is put together safely: values become parameters, names are quoted.

Every method that takes SQL takes a `str` or a `Template`. A template is a t-string (CPython 3.14),
or what `sql()`, `identifier()` and `join()` make in any version. There is no way to put a value
into the text itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypern.sql._build import identifier, join, sql
from hypern.sql._template import Template

if TYPE_CHECKING:
    from typing import TypeAlias

    from typing_extensions import LiteralString

    Query: TypeAlias = LiteralString | Template
else:
    Query = str | Template

__all__ = ["Query", "Template", "identifier", "join", "sql"]
