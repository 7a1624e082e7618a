"""What Django's PostgreSQL modules import of their driver, where none is installed.

They import psycopg or psycopg2 when they are imported themselves, for names of which hypern's
backend uses few. So these modules are imported here: beside the driver, if there is one, else
beside a stand-in that is gone afterwards.
"""

from __future__ import annotations

import importlib
import sys
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from types import ModuleType
from typing import TYPE_CHECKING, Any, NoReturn

from hypern import errors
from hypern.dbapi.quoting import quote_literal
from hypern.django.values import DjangoRange, Json

if TYPE_CHECKING:
    from collections.abc import Iterator

_IMPORTED = (
    "django.db.backends.postgresql.psycopg_any",
    "django.db.backends.postgresql.base",
    "django.contrib.postgres.signals",
)


class DateRange(DjangoRange):
    """A range of dates."""


class DateTimeRange(DjangoRange):
    """A range of moments without a time zone."""


class DateTimeTZRange(DjangoRange):
    """A range of moments."""


class NumericRange(DjangoRange):
    """A range of numbers."""


def _missing(*_: object, **__: object) -> NoReturn:
    from django.core.exceptions import ImproperlyConfigured

    raise ImproperlyConfigured(
        "Error loading psycopg2 or psycopg module: this database needs one of them, or "
        'ENGINE = "hypern.django"'
    )


def _nothing(*_: object, **__: object) -> None:
    """In place of what registers a type with psycopg2."""


def _module(name: str, **names: Any) -> ModuleType:
    module = ModuleType(name)
    module.__dict__.update(names)
    return module


def _stand_in() -> dict[str, ModuleType]:
    extensions = _module(
        "psycopg2.extensions",
        ISOLATION_LEVEL_READ_UNCOMMITTED=1,  # psycopg's numbers, not psycopg2's
        ISOLATION_LEVEL_READ_COMMITTED=2,
        ISOLATION_LEVEL_REPEATABLE_READ=3,
        ISOLATION_LEVEL_SERIALIZABLE=4,
        QuotedString=quote_literal,
        UNICODE=None,
        adapt=_missing,
        cursor=object,
        new_array_type=_nothing,
        register_adapter=_nothing,
        register_type=_nothing,
    )
    extras = _module(
        "psycopg2.extras",
        DateRange=DateRange,
        DateTimeRange=DateTimeRange,
        DateTimeTZRange=DateTimeTZRange,
        Inet=str,
        Json=Json,
        NumericRange=NumericRange,
        Range=DjangoRange,
        register_default_jsonb=_nothing,
        register_hstore=_nothing,
        register_uuid=_nothing,
    )
    classes = {
        name: getattr(errors, name)
        for name in (
            "Error",
            "InterfaceError",
            "DatabaseError",
            "DataError",
            "OperationalError",
            "IntegrityError",
            "InternalError",
            "ProgrammingError",
            "NotSupportedError",
        )
    }
    package = _module(
        "psycopg2",
        __version__="2.9.0",
        __path__=[],
        STRING=None,
        connect=_missing,
        errors=errors,
        extensions=extensions,
        extras=extras,
        sql=_module("psycopg2.sql"),
        **classes,
    )
    return {
        "psycopg2": package,
        "psycopg2.errors": errors,  # a module, too
        "psycopg2.extensions": extensions,
        "psycopg2.extras": extras,
        "psycopg2.sql": package.sql,
    }


def _is_installed() -> bool:
    with suppress(ModuleNotFoundError):
        return any(find_spec(name) is not None for name in ("psycopg", "psycopg2"))
    return False


@contextmanager
def _driver() -> Iterator[None]:
    if _is_installed():
        yield
        return
    names = _stand_in()
    sys.modules.update(names)
    try:
        yield
    finally:
        for name in names:
            sys.modules.pop(name, None)


with _driver():
    for _name in _IMPORTED:
        importlib.import_module(_name)

from django.db.backends.postgresql import psycopg_any as _any  # noqa: E402

RANGES: tuple[type, ...] = _any.RANGE_TYPES
IsolationLevel: Any = _any.IsolationLevel
Jsonb: type = _any.Jsonb
# By the OID of a range: the class that Django's fields expect of it.
RANGE_OF: dict[int, Any] = {
    3904: _any.NumericRange,
    3906: _any.NumericRange,
    3908: _any.DateTimeRange,
    3910: _any.DateTimeTZRange,
    3912: _any.DateRange,
    3926: _any.NumericRange,
}
