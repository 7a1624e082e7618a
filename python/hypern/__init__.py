"""Request-scoped PostgreSQL for web applications: a Go core, a C extension, a typed Python API.

The import neither loads the core nor starts a thread; the first session loads the core.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from hypern import _beside

try:
    from hypern.database import (
        AsyncDbSession,
        Database,
        DbSession,
        PoolStatus,
        Range,
        adb,
        afinalize_db,
        db,
        finalize_db,
        register_type,
        scope,
        scoped,
    )
except ImportError as error:
    from hypern import _libc

    if _libc.glibc() is None:
        raise ImportError(_libc.IMAGE) from error
    raise

if TYPE_CHECKING:
    from hypern.app import Hypern as Hypern

__version__ = "0.2.0"

__all__ = [
    "AsyncDbSession",
    "Database",
    "DbSession",
    "PoolStatus",
    "Range",
    "__version__",
    "adb",
    "afinalize_db",
    "db",
    "finalize_db",
    "register_type",
    "scope",
    "scoped",
]

_beside.warn()


def __getattr__(name: str) -> Any:
    # Loaded lazily, since the application class requires a web server.
    if name != "Hypern":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return importlib.import_module("hypern.app").Hypern
    except ModuleNotFoundError as error:
        raise ImportError(
            "the application class Hypern needs an extra: pip install 'hypern-database[app]'"
        ) from error
