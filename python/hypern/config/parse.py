"""The two forms of a connection string, parsed into {keyword: value}.

The grammar is libpq's (PostgreSQL documentation, "Connection Strings"). Messages contain no part of
the string but the name of a keyword, since a password may be anywhere in a malformed string.
"""

from __future__ import annotations

import re

from hypern.config.keywords import KNOWN
from hypern.errors import ConfigurationError

_URL_SCHEMES = ("postgresql://", "postgres://")
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]{0,30})://", re.IGNORECASE)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,40}")
_NOT_AN_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})")
# keyword = value or keyword = 'value', in which a backslash escapes the next character
_PAIR = re.compile(
    r"""\s* ([^\s=]+) \s*=\s* (?: '((?:[^'\\]|\\.)*)' | ((?!')(?:[^\s\\]|\\.)*) ) (?=\s|\Z)""",
    re.DOTALL | re.VERBOSE,
)


def parse(text: str) -> dict[str, str]:
    """The keywords that a connection string sets, with their values (str).

    text: a `postgresql://` or `postgres://` URL, or `key=value` pairs. Raises ConfigurationError
    for anything else, for a malformed string, and for an unknown keyword.
    """
    if "\0" in text:
        raise ConfigurationError("a connection string cannot contain a NUL character")
    for scheme in _URL_SCHEMES:
        if text.startswith(scheme):
            return _parse_url(text[len(scheme) :])
    other = _SCHEME.match(text)
    if other:
        raise ConfigurationError(
            f'the URL must start with postgresql:// or postgres://, not with "{other[1]}://"'
        )
    if "=" in text:
        return _parse_pairs(text)
    raise ConfigurationError(
        "the connection string is neither a postgresql:// URL nor key=value pairs"
    )


def known(keyword: str, *, may_name: bool = True) -> str:
    """The keyword, if it is known; raises ConfigurationError otherwise, naming it if `may_name`."""
    if keyword in KNOWN:
        return keyword
    shown = f' "{keyword}"' if may_name and _NAME.fullmatch(keyword) else ""
    raise ConfigurationError(
        f"unknown connection keyword{shown}; pass settings of the server in options, as in "
        "options=-c%20search_path=app"
    )


def _parse_pairs(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    at, end = 0, len(text.rstrip())
    while at < end:
        pair = _PAIR.match(text, at)
        if pair is None:
            raise ConfigurationError(
                "the connection string is not a list of key=value pairs: a value with spaces or "
                "quotes must be written as 'value', with \\' and \\\\ for a quote and a backslash"
            )
        keyword, quoted, plain = pair.groups()
        value = plain if quoted is None else quoted
        found[known(keyword, may_name=False)] = re.sub(r"\\(.)", r"\1", value, flags=re.DOTALL)
        at = pair.end()
    return found


def _parse_url(rest: str) -> dict[str, str]:
    found: dict[str, str] = {}
    user_end = rest.find("@")
    slash = rest.find("/")
    if user_end >= 0 and (slash < 0 or user_end < slash):
        user, colon, password = rest[:user_end].partition(":")
        found["user"] = _decode(user, "user")
        if colon:
            found["password"] = _decode(password, "password")
        rest = rest[user_end + 1 :]
    address, question, query = rest.partition("?")
    if "@" in address:
        raise ConfigurationError(
            "the URL has an @ in place of a host or database: in a user name or password "
            "write %40 for @, %3A for : and %2F for /"
        )
    hosts, slash_found, dbname = address.partition("/")
    found.update(_parse_hosts(hosts))
    if slash_found and dbname:
        found["dbname"] = _decode(dbname, "database")
    if question and query:
        _parse_query(query, found)
    return {keyword: value for keyword, value in found.items() if value or keyword == "password"}


def _parse_hosts(text: str) -> dict[str, str]:
    """host and port, each a comma-separated list where there are several."""
    hosts: list[str] = []
    ports: list[str] = []
    for item in text.split(","):
        if item.startswith("["):
            host, bracket, after = item[1:].partition("]")
            if not bracket or not host or (after and not after.startswith(":")):
                raise ConfigurationError(
                    "an IPv6 address in the URL must be written as [address] or [address]:port"
                )
            port = after[1:]
        else:
            host, _, port = item.partition(":")
            if ":" in port:
                raise ConfigurationError(
                    "the URL has more than one : in a host; write an IPv6 address as [address]"
                )
        hosts.append(_decode(host, "host"))
        ports.append(_decode(port, "port"))
    return {
        "host": ",".join(hosts) if any(hosts) else "",
        "port": ",".join(ports) if any(ports) else "",
    }


def _parse_query(query: str, found: dict[str, str]) -> None:
    for item in query.split("&"):
        name, equals, value = item.partition("=")
        if not equals or "=" in value:
            raise ConfigurationError(
                "the URL's query must be keyword=value pairs separated by &; within a value write "
                "%3D for = and %26 for &"
            )
        name = _decode(name, "query")
        value = _decode(value, "query")
        if name == "ssl" and value == "true":  # the JDBC driver's spelling; libpq accepts it
            name, value = "sslmode", "require"
        # An @ suggests a password that was not percent-encoded, so nothing is named.
        found[known(name, may_name="@" not in query)] = value


def _decode(text: str, part: str) -> str:
    """Decode percent-encoding. part: the place to name in an error."""
    if "%" not in text:
        return text
    raw = text.encode("utf-8", "surrogateescape")
    if _NOT_AN_ESCAPE.search(raw):
        raise ConfigurationError(
            f"the URL's {part} has a % without two hexadecimal digits after it; write %25 for %"
        )
    try:
        decoded = _ESCAPE.sub(lambda escape: bytes.fromhex(escape[1].decode()), raw).decode("utf-8")
    except UnicodeDecodeError:
        raise ConfigurationError(f"the URL's {part}, percent-decoded, is not UTF-8") from None
    if "\0" in decoded:
        raise ConfigurationError(f"the URL's {part} cannot contain %00")
    return decoded
