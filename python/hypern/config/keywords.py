"""The connection keywords of libpq, their environment variables and their values.

From PostgreSQL's documentation, "Parameter Key Words" and "Environment Variables" of libpq (18).
"""

from __future__ import annotations

from hypern.errors import ConfigurationError

_TLS_VERSIONS = frozenset({"TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"})

# Keywords that the core receives, each with its valid values if libpq has a list of them.
PASSED_ON: dict[str, frozenset[str] | None] = {
    "host": None,
    "port": None,
    "user": None,
    "dbname": None,
    "password": None,
    "application_name": None,
    "options": None,
    "sslmode": frozenset({"disable", "allow", "prefer", "require", "verify-ca", "verify-full"}),
    "sslnegotiation": frozenset({"postgres", "direct"}),
    "sslcert": None,
    "sslkey": None,
    "sslpassword": None,
    "sslrootcert": None,
    "sslcrl": None,
    "sslcrldir": None,
    "sslcertmode": frozenset({"disable", "allow", "require"}),
    "sslsni": frozenset({"0", "1"}),
    "channel_binding": frozenset({"disable", "prefer", "require"}),
    "require_auth": None,
    "min_protocol_version": frozenset({"3.0", "3.2", "latest"}),
    "max_protocol_version": frozenset({"3.0", "3.2", "latest"}),
    "ssl_min_protocol_version": _TLS_VERSIONS,
    "ssl_max_protocol_version": _TLS_VERSIONS,
    "hostaddr": None,
    "keepalives": None,
    "keepalives_interval": None,
    "keepalives_count": None,
    "tcp_user_timeout": None,
    "target_session_attrs": frozenset(
        {"any", "read-write", "read-only", "primary", "standby", "prefer-standby"}
    ),
    "load_balance_hosts": frozenset({"disable", "random"}),
}

# Keywords that are resolved here, into other keywords or into settings of the pool.
USED_HERE = frozenset(
    {
        "passfile",
        "service",
        "servicefile",
        "fallback_application_name",
        "connect_timeout",
        "keepalives_idle",
        "client_encoding",  # always UTF8, since str is Unicode
    }
)

# Features that the core lacks, with the values that do not require them. Any other value is
# refused: ignoring it would mean connecting in a way that the user has forbidden.
ONLY_WITH: dict[str, frozenset[str]] = {
    "gssencmode": frozenset({"disable", "prefer"}),
    "requirepeer": frozenset(),
    "replication": frozenset({"false", "off", "no", "0"}),
    "scram_client_key": frozenset(),
    "scram_server_key": frozenset(),
    "oauth_issuer": frozenset(),
    "oauth_client_id": frozenset(),
    "oauth_client_secret": frozenset(),
    "oauth_scope": frozenset(),
}

# Keywords without effect, which are reported by a warning.
WITHOUT_EFFECT = frozenset(
    {
        "sslcompression",
        "sslkeylogfile",
        "krbsrvname",
        "gsslib",
        "gssdelegation",
    }
)

KNOWN = frozenset(PASSED_ON) | USED_HERE | frozenset(ONLY_WITH) | WITHOUT_EFFECT

ENVIRONMENT = {
    "PGHOST": "host",
    "PGHOSTADDR": "hostaddr",
    "PGPORT": "port",
    "PGDATABASE": "dbname",
    "PGUSER": "user",
    "PGPASSWORD": "password",
    "PGPASSFILE": "passfile",
    "PGSERVICE": "service",
    "PGSERVICEFILE": "servicefile",
    "PGOPTIONS": "options",
    "PGAPPNAME": "application_name",
    "PGCONNECT_TIMEOUT": "connect_timeout",
    "PGSSLMODE": "sslmode",
    "PGSSLNEGOTIATION": "sslnegotiation",
    "PGSSLCERT": "sslcert",
    "PGSSLKEY": "sslkey",
    "PGSSLCERTMODE": "sslcertmode",
    "PGSSLROOTCERT": "sslrootcert",
    "PGSSLCRL": "sslcrl",
    "PGSSLCRLDIR": "sslcrldir",
    "PGSSLSNI": "sslsni",
    "PGSSLMINPROTOCOLVERSION": "ssl_min_protocol_version",
    "PGSSLMAXPROTOCOLVERSION": "ssl_max_protocol_version",
    "PGREQUIREPEER": "requirepeer",
    "PGREQUIREAUTH": "require_auth",
    "PGCHANNELBINDING": "channel_binding",
    "PGGSSENCMODE": "gssencmode",
    "PGTARGETSESSIONATTRS": "target_session_attrs",
    "PGLOADBALANCEHOSTS": "load_balance_hosts",
    "PGMINPROTOCOLVERSION": "min_protocol_version",
    "PGMAXPROTOCOLVERSION": "max_protocol_version",
}

# Variables that set a run-time parameter of the server, which the core passes on.
RUNTIME_ENVIRONMENT = {"PGTZ": "timezone", "PGDATESTYLE": "datestyle", "PGGEQO": "geqo"}

_AUTH_METHODS = frozenset({"password", "md5", "gss", "sspi", "scram-sha-256", "oauth", "none"})


# Keywords whose value is a whole number, and of what.
_WHOLE = {
    "connect_timeout": " of seconds",
    "keepalives": ", 0 or 1",
    "keepalives_idle": " of seconds",
    "keepalives_interval": " of seconds",
    "keepalives_count": "",
    "tcp_user_timeout": " of milliseconds",
}


def check(keyword: str, value: str) -> None:
    """Raise ConfigurationError if a known keyword has a value that is not supported.

    The text names the keyword and its valid values, never the value.
    """
    if not value:
        return  # libpq ignores an empty value
    choices = PASSED_ON.get(keyword)
    if choices is not None and value not in choices:
        raise ConfigurationError(f"{keyword} must be one of: {', '.join(sorted(choices))}")
    if keyword in ONLY_WITH and value not in ONLY_WITH[keyword]:
        supported = ", ".join(sorted(ONLY_WITH[keyword]))
        only = f"; supported values: {supported}" if supported else ""
        raise ConfigurationError(f"{keyword} with this value is not supported{only}")
    if keyword == "require_auth" and any(
        method.strip().removeprefix("!") not in _AUTH_METHODS for method in value.split(",")
    ):
        raise ConfigurationError(
            f"require_auth must be a list of: {', '.join(sorted(_AUTH_METHODS))}"
        )
    if keyword in _WHOLE:
        try:
            int(value)
        except ValueError:
            raise ConfigurationError(f"{keyword} must be a whole number{_WHOLE[keyword]}") from None
