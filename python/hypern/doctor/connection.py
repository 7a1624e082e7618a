"""The connection: whether there is one, how it is encrypted, what stands in between."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING

from hypern.database import Database, db, scope
from hypern.doctor.finding import BAD, INFO, OK, WARNING, Finding
from hypern.doctor.installation import ALIAS
from hypern.doctor.server import server
from hypern.errors import ConfigurationError, Error
from hypern.pool import registry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hypern.database import DbSession
    from hypern.doctor.finding import Plan

_TLS = """
SELECT s.ssl, s.version, s.cipher FROM pg_catalog.pg_stat_ssl AS s
WHERE s.pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid()
"""
_SAMPLES = 9
_CONNECT_SECS = 10
_SKEW_SECS = 1.0
_VERIFIED = ("verify-ca", "verify-full")
_REQUIRED = ("require", *_VERIFIED)

# What a failed connect says, by SQLSTATE or by a part of its text, and what to do.
_REMEDIES = (
    ("28P01", "Check the user and the password, also in PGPASSWORD, ~/.pgpass and the service."),
    ("28000", "The server's pg_hba.conf has no line that lets this user in from here."),
    ("3D000", "Create the database (createdb), or correct its name in the URL."),
    ("53300", "All connections of the server are taken: lower max_size, or raise max_connections."),
    ("connection refused", "Is the server running, and does it listen on this address and port?"),
    ("no such host", "The host name is unknown here: check its spelling and the DNS."),
    ("no such file", "No server has its socket there: check host (a directory) and port."),
    ("certificate", "Name the authority's certificate in sslrootcert, and the host as it has it."),
    ("refused TLS", "The server has no TLS: enable ssl there, or allow sslmode=prefer."),
    ("timeout", "Nothing answers: a firewall or a security group may drop the packets."),
    ("deadline", "Nothing answers: a firewall or a security group may drop the packets."),
)


def connection(url: str, plan: Plan) -> Iterator[Finding]:
    """What is found of the connection to a database, and of its server."""
    try:
        began = time.monotonic()
        Database.configure(url, max_size=2, connect_timeout_secs=_CONNECT_SECS, alias=ALIAS)
        with scope():
            session = db(alias=ALIAS)
            session.query_value("SELECT 1")
            yield Finding(OK, "connection", f"{_place()} in {_ms(time.monotonic() - began)}")
            pooler = Database.status(ALIAS).pooler or "unknown"
            yield _pooler(pooler, plan)
            yield _tls(session, pooler)
            yield from _clock(session)
            yield from server(session, pooler, plan)
    except ConfigurationError as error:
        yield Finding(BAD, "connection", str(error), "Correct the URL.")
    except Error as error:
        yield Finding(BAD, "connection", _failure(error), _remedy(error))
    finally:
        Database.close(ALIAS)


def _conninfo() -> dict[str, str]:
    settings = registry.settings_of(ALIAS)
    return {} if settings is None else settings.conninfo


def _place() -> str:
    """Where it is connected to; of the settings, only those that are no secret."""
    info = _conninfo()
    shown = {name: info[name] for name in ("host", "port", "dbname", "user") if name in info}
    return " ".join(f"{name}={value}" for name, value in shown.items())


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"


def _failure(error: Error) -> str:
    """The error's text on one line; pgconn repeats the last attempt."""
    lines = dict.fromkeys(line.strip() for line in str(error).splitlines())
    return "; ".join(filter(None, lines)).replace(":;", ":")


def _remedy(error: Error) -> str:
    code = getattr(error, "sqlstate", None)
    text = str(error)
    for sign, remedy in _REMEDIES:
        if sign == code or sign in text:
            return remedy
    return "See the server's log for the reason."


def _pooler(pooler: str, plan: Plan) -> Finding:
    if pooler == "none":
        return Finding(OK, "pooler", "none: the server answers directly")
    if pooler == "session":
        return Finding(OK, "pooler", "in session mode: everything works as without one")
    if pooler == "shared":
        text = "it shares its connections (transaction or statement mode)"
        if plan.reset != "full":
            return Finding(OK, "pooler", f'{text}, and reset="{plan.reset}"')
        remedy = (
            'reset="full" cannot be carried out there, so hypern only rolls back, and uses no '
            "named statements. Do not rely on SET, temporary tables, session-level advisory locks "
            'or LISTEN. Configure reset="transaction" to confirm this, or use session mode.'
        )
        return Finding(WARNING, "pooler", f'{text}, with reset="full"', remedy)
    remedy = "GRANT EXECUTE ON FUNCTION pg_catalog.pg_backend_pid() TO this role."
    text = "unknown: the role may not call pg_backend_pid(), so statements are not kept prepared"
    return Finding(WARNING, "pooler", text, remedy)


def _tls(session: DbSession, pooler: str) -> Finding:
    info = _conninfo()
    mode = info.get("sslmode", "prefer")
    hosts = info.get("host", "").split(",")
    local = all(host.startswith("/") or host in ("localhost", "127.0.0.1", "::1") for host in hosts)
    row = session.query_one_or_none(_TLS)
    if pooler not in ("none", "unknown"):
        # The server sees the pooler's connection, not this one.
        if local or mode in _REQUIRED:
            return Finding(OK, "tls", f"sslmode={mode} to the pooler")
        remedy = "Set sslmode=verify-full with sslrootcert, or sslmode=require at least."
        return Finding(WARNING, "tls", f"sslmode={mode} to the pooler may not encrypt", remedy)
    if row is None:
        return Finding(INFO, "tls", "the server does not show it (pg_stat_ssl)")
    if not row["ssl"]:
        if local:
            return Finding(OK, "tls", "none, on this machine")
        remedy = "Set sslmode=verify-full with sslrootcert, and enable ssl on the server."
        return Finding(WARNING, "tls", "none: passwords and data can be read on the way", remedy)
    text = f"{row['version']}, {row['cipher']}, sslmode={mode}"
    if mode in _VERIFIED or local:
        return Finding(OK, "tls", text)
    remedy = "Set sslmode=verify-full with sslrootcert: the server's certificate is not checked."
    return Finding(WARNING, "tls", text, remedy)


def _clock(session: DbSession) -> Iterator[Finding]:
    """The round trip, and how far the clocks of both machines are apart."""
    samples = []
    for _ in range(_SAMPLES):
        wall, began = time.time(), time.monotonic()
        seconds = session.query_value(
            "SELECT EXTRACT(epoch FROM pg_catalog.clock_timestamp())::pg_catalog.float8"
        )
        took = time.monotonic() - began
        samples.append((took, seconds - (wall + took / 2)))
    yield Finding(OK, "round trip", _ms(statistics.median(took for took, _ in samples)))
    took, skew = min(samples)  # the quickest knows best
    if abs(skew) <= _SKEW_SECS + took:
        yield Finding(OK, "clock", f"within {abs(skew) + took:.3f} s of the server's")
        return
    ahead = "ahead of" if skew < 0 else "behind"
    text = f"{abs(skew):.1f} s {ahead} the server's"
    remedy = "Synchronize both by NTP: times made here and now() of the server do not agree."
    yield Finding(WARNING, "clock", text, remedy)
