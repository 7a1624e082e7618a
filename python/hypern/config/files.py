"""The two files that libpq consults: the password file and the connection service file.

PostgreSQL documentation, "The Password File" and "The Connection Service File".
"""

from __future__ import annotations

import logging
import os
import re
import stat
from pathlib import Path

from hypern.config.keywords import KNOWN
from hypern.errors import ConfigurationError

_log = logging.getLogger("hypern")

# host:port:database:user:password; a backslash takes the next character as it is, and only the
# password may have further colons.
_ENTRY = re.compile(r"((?:[^:\\]|\\.)*):" * 4 + r"(.*)")

_SYSTEM_DIRECTORY = (
    "/etc/postgresql-common"  # where PGSYSCONFDIR is not set, as Debian builds libpq
)


def home() -> Path:
    """The user's home directory; where there is none, a path under which nothing exists."""
    return Path(os.path.expanduser("~"))


def password_for(path: Path, host: str, port: str, dbname: str, user: str) -> str | None:
    """The password of the first line that fits, or None.

    path: the file; one that is missing, no regular file, or that group or others may access is
    passed over, the last two with a warning. host: as libpq compares it, a socket directory as it
    is written, the default one as "localhost".
    """
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            _log.warning("password file %s is not a plain file; it is not used", path)
            return None
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            _log.warning("password file %s is open to group or others; chmod it to 0600", path)
            return None
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        _log.warning("password file %s cannot be read: %s", path, reason)
        return None
    wanted = (host, port, dbname, user)
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        entry = _ENTRY.fullmatch(line)
        if entry and all(
            raw == "*" or _unescape(raw) == want
            for raw, want in zip(entry.groups()[:4], wanted, strict=True)
        ):
            return _unescape(entry[5])
    return None


def _unescape(field: str) -> str:
    return re.sub(r"\\(.)", r"\1", field)


def service_settings(service: str, servicefile: str) -> dict[str, str]:
    """The keywords that a named service sets.

    servicefile: the file to read; empty: ~/.pg_service.conf, then pg_service.conf in the directory
    PGSYSCONFDIR. Raises ConfigurationError where the service is not found or its section malformed.
    """
    system = Path(os.environ.get("PGSYSCONFDIR") or _SYSTEM_DIRECTORY) / "pg_service.conf"
    own = Path(servicefile) if servicefile else home() / ".pg_service.conf"
    if servicefile and not own.is_file():
        raise ConfigurationError(f'service file "{own}" not found')
    for path in (own, system):
        if path.is_file():
            found = _read_service(path, service)
            if found is not None:
                return found
    raise ConfigurationError(f'definition of service "{service}" not found')


def _read_service(path: Path, service: str) -> dict[str, str] | None:
    """The section of the service, or None if the file has none of that name."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise ConfigurationError(f'service file "{path}" cannot be read') from None
    found: dict[str, str] | None = None
    for number, line in enumerate(map(str.strip, lines), start=1):
        if not line or line.startswith("#"):
            continue
        if line.startswith("["):
            if found is not None:
                break
            if line == f"[{service}]":
                found = {}
            continue
        if found is None:
            continue
        keyword, equals, value = line.partition("=")
        if not equals or keyword not in KNOWN or keyword in ("service", "servicefile"):
            raise ConfigurationError(f'syntax error in service file "{path}", line {number}')
        found.setdefault(keyword, value)
    return found
