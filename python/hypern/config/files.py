"""The two files that libpq reads: the password file and the connection service file.

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

# host:port:database:user:password. A backslash escapes the next character, and only the password
# may contain further colons.
_ENTRY = re.compile(r"((?:[^:\\]|\\.)*):" * 4 + r"(.*)")

_SYSTEM_DIRECTORY = "/etc/postgresql-common"  # without PGSYSCONFDIR, in Debian's build of libpq


def home() -> Path:
    """The user's home directory; if there is none, a path that does not exist."""
    return Path(os.path.expanduser("~"))


def password_for(path: Path, host: str, port: str, dbname: str, user: str) -> str | None:
    """The password of the first line that matches, or None.

    path: the file. It is ignored if it is missing, and with a warning if it is not a regular file
    or accessible by group or others. host: as libpq compares it, a socket directory as it is
    written, the default directory as "localhost".
    """
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            _log.warning("password file %s is not a plain file; it is ignored", path)
            return None
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            _log.warning(
                "password file %s has group or world access; chmod it to 0600",
                path,
            )
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

    servicefile: the file to read; if empty, ~/.pg_service.conf and then pg_service.conf in the
    directory PGSYSCONFDIR. Raises ConfigurationError if the service is not found or its section is
    malformed.
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
    """The section of the service, or None if the file has no such section."""
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
