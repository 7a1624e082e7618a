"""The server: its version, its limits, and settings that applications come to regret."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypern.doctor.finding import BAD, INFO, OK, WARNING, Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hypern.database import DbSession
    from hypern.doctor.finding import Plan

_OLDEST = 14
_FACTS = """
SELECT pg_catalog.current_setting('server_version_num')::pg_catalog.int4 AS number,
  pg_catalog.current_setting('server_version') AS version,
  pg_catalog.current_setting('max_connections')::pg_catalog.int4 AS most,
  pg_catalog.current_setting('superuser_reserved_connections')::pg_catalog.int4
    OPERATOR(pg_catalog.+)
    COALESCE(pg_catalog.current_setting('reserved_connections', true), '0')::pg_catalog.int4
    AS reserved,
  (SELECT pg_catalog.sum(d.numbackends)::pg_catalog.int4 FROM pg_catalog.pg_stat_database AS d)
    AS used,
  r.rolsuper AS superuser, r.rolconnlimit AS of_role, d.datconnlimit AS of_database,
  pg_catalog.pg_is_in_recovery() AS standby,
  pg_catalog.current_setting('default_transaction_read_only') AS read_only,
  pg_catalog.current_setting('server_encoding') AS encoding,
  pg_catalog.current_setting('fsync') AS fsync,
  pg_catalog.current_setting('synchronous_commit') AS synchronous_commit,
  pg_catalog.current_setting('statement_timeout') AS statement_timeout
FROM pg_catalog.pg_roles AS r, pg_catalog.pg_database AS d
WHERE r.rolname OPERATOR(pg_catalog.=) CURRENT_USER
  AND d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()
"""


def server(session: DbSession, pooler: str, plan: Plan) -> Iterator[Finding]:
    """What is found of the server and of the role."""
    facts = session.query_one(_FACTS)
    major = facts["number"] // 10000
    if major < _OLDEST:
        text = f"PostgreSQL {facts['version']}"
        yield Finding(BAD, "server", text, f"Use PostgreSQL {_OLDEST} or later.")
    else:
        yield Finding(OK, "server", f"PostgreSQL {facts['version']}")
    yield _room(facts, pooler, plan)
    yield from _settings(facts)


def _room(facts: dict[str, Any], pooler: str, plan: Plan) -> Finding:
    """Whether the server has room for all connections that the application may open."""
    wanted = f"{plan.connections} wanted (max_size={plan.max_size} x workers={plan.workers})"
    if pooler in ("session", "shared"):
        text = f"{wanted}; the pooler limits them (max_client_conn, default_pool_size)"
        return Finding(INFO, "connections", text)
    limits = {
        "max_connections, less those reserved": facts["most"] - facts["reserved"],
        "the role's limit": facts["of_role"],
        "the database's limit": facts["of_database"],
    }
    name, limit = min(
        ((name, limit) for name, limit in limits.items() if limit >= 0), key=lambda item: item[1]
    )
    others = max(facts["used"] - 1, 0)
    text = f"{wanted}, {limit} allowed ({name}), {others} used by others"
    if plan.connections <= limit - others:
        return Finding(OK, "connections", text)
    fits = max((limit - others) // max(plan.workers, 1), 1)
    remedy = (
        f"max_size, times the processes on all machines, must fit: with {plan.workers} of them at "
        f"most max_size={fits}. Or raise the limit, or put a pooler in between. Pass your own "
        "numbers as --max-size and --workers."
    )
    return Finding(WARNING, "connections", text, remedy)


def _settings(facts: dict[str, Any]) -> Iterator[Finding]:
    if facts["superuser"]:
        remedy = "Use a role of its own: a superuser bypasses row security and every limit."
        yield Finding(WARNING, "role", "it is a superuser", remedy)
    if facts["standby"]:
        remedy = "For writing, list all hosts and set target_session_attrs=read-write."
        yield Finding(WARNING, "standby", "the server is a standby, which only reads", remedy)
    elif facts["read_only"] == "on":
        remedy = "Turn default_transaction_read_only off for this role, to write."
        yield Finding(WARNING, "read only", "transactions are read-only by default", remedy)
    if facts["encoding"] != "UTF8":
        remedy = "Create the database with ENCODING 'UTF8': text may not be convertible."
        text = f"the database's encoding is {facts['encoding']}"
        yield Finding(WARNING, "encoding", text, remedy)
    if facts["fsync"] != "on":
        remedy = "Turn fsync on, unless the data may be lost: a crash can corrupt it."
        yield Finding(WARNING, "fsync", "it is off", remedy)
    if facts["synchronous_commit"] == "off":
        remedy = "Turn it on where a commit must survive a crash of the server."
        yield Finding(WARNING, "commit", "synchronous_commit is off", remedy)
    if facts["statement_timeout"] == "0":
        text = "no statement_timeout: a slow statement holds its connection; see the option "
        yield Finding(INFO, "timeout", f"{text}statement_timeout_secs of configure()")
