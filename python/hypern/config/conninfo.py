"""Connection information: everything that libpq would read, resolved into one dictionary.

Only this package parses it; the core uses the result. In order of precedence: keyword arguments,
the connection string, the service file, PG* variables of the environment, defaults.
"""

from __future__ import annotations

import ipaddress
import logging
import os
import pwd
from pathlib import Path
from typing import TYPE_CHECKING

from hypern.config import files, keywords
from hypern.config.parse import parse
from hypern.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

_log = logging.getLogger("hypern")

_SOCKET_DIRECTORIES = ("/var/run/postgresql", "/tmp")  # Debian's default, PostgreSQL's default


def resolve(url: str, overrides: Mapping[str, str]) -> dict[str, str]:
    """The keywords of a connection, with their values (str).

    url: a connection string, in either of libpq's forms. overrides: keywords that take precedence.
    The result always has host, port, user, dbname, application_name, sslmode and client_encoding;
    if set, the other keywords of `keywords.PASSED_ON`, connect_timeout and keepalives_idle; and the
    run-time parameters that the environment sets. Raises ConfigurationError.
    """
    if not url:
        raise ConfigurationError(
            "the connection URL is empty; postgresql:// takes every setting from the environment"
        )
    environment = {
        keyword: os.environ[name]
        for name, keyword in keywords.ENVIRONMENT.items()
        if name in os.environ
    }
    given = {**parse(url), **overrides}
    merged = {**environment, **given}
    if merged.get("service"):
        service = files.service_settings(merged["service"], merged.get("servicefile", ""))
        merged = {**environment, **service, **given}
    for keyword, value in merged.items():
        keywords.check(keyword, value)
    ineffective = sorted(k for k in keywords.WITHOUT_EFFECT & merged.keys() if merged[k])
    if ineffective:
        _log.warning("connection keywords without effect: %s", ", ".join(ineffective))
    return _complete({keyword: value for keyword, value in merged.items() if value})


def _complete(merged: dict[str, str]) -> dict[str, str]:
    """The keywords for the core, with their defaults."""
    kept = keywords.PASSED_ON.keys() | {"connect_timeout", "keepalives_idle"}
    out = {keyword: value for keyword, value in merged.items() if keyword in kept}
    for name, parameter in keywords.RUNTIME_ENVIRONMENT.items():
        if os.environ.get(name):
            out[parameter] = os.environ[name]
    hosts, ports, addresses = _addresses(merged)
    out["host"], out["port"] = ",".join(hosts), ",".join(ports)
    out.pop("hostaddr", None)
    if any(addresses):
        out["hostaddr"] = ",".join(addresses)
    newest = merged.get("ssl_max_protocol_version", "TLSv1.3")
    if newest < "TLSv1.2":
        raise ConfigurationError("ssl_max_protocol_version must be TLSv1.2 or TLSv1.3")
    if merged.get("ssl_min_protocol_version", "TLSv1.2") > newest:
        raise ConfigurationError("ssl_min_protocol_version is above ssl_max_protocol_version")
    out["user"] = merged.get("user") or _operating_system_user()
    out["dbname"] = merged.get("dbname") or out["user"]
    out["application_name"] = (
        merged.get("application_name") or merged.get("fallback_application_name") or "hypern"
    )
    out["client_encoding"] = "UTF8"
    out.setdefault("sslmode", "prefer")
    weak = out["sslmode"] in {"disable", "allow", "prefer"} and out.get("sslrootcert") != "system"
    if weak and out.get("sslnegotiation") == "direct":
        raise ConfigurationError(
            "sslnegotiation=direct takes an sslmode of require, verify-ca or verify-full"
        )
    _default_certificates(out)
    _check_revocation(out)
    if "password" not in out:
        passfile = Path(merged.get("passfile") or files.home() / ".pgpass")
        password = _password(passfile, hosts, ports, out["dbname"], out["user"])
        if password is not None:
            out["password"] = password
    return out


def _addresses(merged: dict[str, str]) -> tuple[list[str], list[str], list[str]]:
    """Hosts and ports, one port per host, none of them empty; and the addresses to connect to in
    place of what the hosts resolve to, each "" where there is none.
    """
    hosts = merged.get("host", "").split(",")
    addresses = [address.strip() for address in merged.get("hostaddr", "").split(",")]
    if merged.get("hostaddr") and not merged.get("host"):
        hosts = [""] * len(addresses)
    if not merged.get("hostaddr"):
        addresses = [""] * len(hosts)
    if len(hosts) != len(addresses):
        raise ConfigurationError(
            f"{len(hosts)} hosts were given for {len(addresses)} addresses (hostaddr)"
        )
    for n, address in enumerate(addresses):
        if not address:
            continue
        try:
            ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            raise ConfigurationError("hostaddr must be numeric addresses") from None
        if not hosts[n] or hosts[n].startswith(("/", "@")):
            hosts[n], addresses[n] = address, ""
    hosts = [host or _default_host() for host in hosts]
    ports = [port.strip() or "5432" for port in merged.get("port", "").split(",")]
    if any(not (port.isascii() and port.isdigit() and 0 < int(port) < 65536) for port in ports):
        raise ConfigurationError("port must be a whole number from 1 to 65535")
    if len(ports) == 1:
        ports *= len(hosts)
    if len(ports) != len(hosts):
        raise ConfigurationError(f"{len(ports)} ports were given for {len(hosts)} hosts")
    return hosts, ports, addresses


def _default_host() -> str:
    for directory in _SOCKET_DIRECTORIES:
        if os.path.isdir(directory):
            return directory
    return "localhost"


def _operating_system_user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        raise ConfigurationError(
            "no user was given, and the operating system has no name for the user of this process"
        ) from None


def _default_certificates(out: dict[str, str]) -> None:
    """Add the files in ~/.postgresql that libpq uses if they exist."""
    directory = files.home() / ".postgresql"
    certificate, key = directory / "postgresql.crt", directory / "postgresql.key"
    if not {"sslcert", "sslkey"} & out.keys() and certificate.exists() and key.exists():
        out["sslcert"], out["sslkey"] = str(certificate), str(key)
    if "sslrootcert" not in out and (directory / "root.crt").exists():
        out["sslrootcert"] = str(directory / "root.crt")
    lists = directory / "root.crl"
    if not {"sslcrl", "sslcrldir"} & out.keys() and lists.exists() and _verifies(out):
        out["sslcrl"] = str(lists)


def _check_revocation(out: dict[str, str]) -> None:
    given = sorted({"sslcrl", "sslcrldir"} & out.keys())
    if given and not _verifies(out):
        raise ConfigurationError(
            f"{given[0]} has no effect unless the server's certificate is verified: it requires "
            "sslrootcert and an sslmode of require, verify-ca or verify-full"
        )


def _verifies(out: dict[str, str]) -> bool:
    """Whether the server's certificate is verified, as libpq does it."""
    root, mode = out.get("sslrootcert"), out["sslmode"]
    return root == "system" or (root is not None and mode == "require") or mode.startswith("verify")


def _password(
    passfile: Path, hosts: list[str], ports: list[str], dbname: str, user: str
) -> str | None:
    """The password from the password file, which must be the same for every host."""
    default = _default_host()
    found = {
        password
        for host, port in zip(hosts, ports, strict=True)
        for name in ["localhost" if host == default else host]
        if (password := files.password_for(passfile, name, port, dbname, user)) is not None
    }
    if len(found) > 1:
        raise ConfigurationError(
            f'password file "{passfile}" has different passwords for the hosts; use one for all'
        )
    return found.pop() if found else None
