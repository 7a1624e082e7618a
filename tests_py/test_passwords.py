"""Where libpq logs in with a password, so does hypern, by every method that asks for one.

For SCRAM a password that is not ASCII is prepared first (SASLprep): some characters are replaced by
others that look alike, or left out. For md5 and in clear text it is not. libpq is psycopg's.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from either import db, scope
from reliability.own_server import OwnServer

from hypern import errors
from hypern.database import Database

pytestmark = pytest.mark.usefixtures("kind")

ROOT = Path(__file__).resolve().parent.parent

_ACCESS = """
local all all trust
host all scram all scram-sha-256
host all md5 all md5
host all password all password
host all scram_in_clear all password
"""

PASSWORDS = {
    "plain": "secret",
    "ASCII with control characters": "tab\tand\x7f",
    "letters": "pässwörd",
    "a ligature": "o\ufb03ce",
    "a soft hyphen": "pass\u00adword",
    "a zero width space": "pass\u200bword",
    "a zero width joiner": "pass\u200dword",
    "a no-break space": "pass\u00a0word",
    "an ideographic space": "pass\u3000word",
    "full width": "\uff50\uff41\uff53\uff53",
    "a superscript": "x\u00b2",
    "a roman numeral": "\u2168",
    "a combining accent": "cafe\u0301",
    "a composed accent": "caf\u00e9",
    "Hangul in parts": "\u1112\u1161\u11ab",
    "an angstrom sign": "\u212b",
    "a variation selector": "a\ufe0fb",
    "a mapped character only": "\u00ad",
    "right to left": "\u05d0\u05d1\u05d2",
    "right to left, with a digit inside": "\u05d01\u05d2",
    "right to left, and left to right": "\u05d0b\u0301e\u0301\u05d2",
    "right to left, ending in a digit": "\u05d0\u00a01",
    "a presentation form": "\ufefb",
    "a private character": "a\ue000\u00a0",
    "a replacement character": "a\ufffde\u0301",
    "a deprecated mark": "a\u0340",
    "an ideographic description": "\u2ff0e\u0301",
    "a control character": "a\u0085e\u0301",
    "a control character of ASCII": "a\u0001e\u0301",
    "a line separator": "a\u2028e\u0301",
    "an emoji of later years": "\U0001f980\u00a0e\u0301",
    "an emoji of early years": "\u263a\ufe0f",
    "beyond 16 bits": "\U0001d400\U0001d401",
    "63 bytes": "\u00e9" + "x" * 61,
    "64 bytes": "\u00e9" + "x" * 62,
    "65 bytes": "\u00e9" + "x" * 63,
    "64 bytes once prepared": "\ufb03" + "x" * 61,
    "long": "\ufb03" * 100,
    "a quote and a backslash": "it's \\ a \u00bd",
}


@pytest.fixture(scope="module")
def server() -> Iterator[OwnServer]:
    server = OwnServer(access=_ACCESS)
    server.psql("CREATE ROLE scram LOGIN; CREATE ROLE md5 LOGIN; CREATE ROLE password LOGIN")
    server.psql("CREATE ROLE scram_in_clear LOGIN")
    yield server
    server.remove()


def _set(server: OwnServer, password: str) -> None:
    """Let each role have this password, which the server prepares or hashes by itself."""
    quoted = "E'" + password.replace("\\", "\\\\").replace("'", "\\'") + "'"
    for role, secret in (
        ("scram", "scram-sha-256"),
        ("md5", "md5"),
        ("password", "md5"),
        ("scram_in_clear", "scram-sha-256"),
    ):
        sql = f"SET password_encryption = '{secret}'; ALTER ROLE {role} PASSWORD {quoted}"
        with psycopg.connect(server.admin, autocommit=True) as admin:
            admin.execute(sql.encode())


def _libpq_logs_in(server: OwnServer, role: str, password: str) -> bool:
    try:
        psycopg.connect(
            host="127.0.0.1", port=server.port, dbname="postgres", user=role, password=password
        ).close()
    except psycopg.OperationalError as error:
        if "password authentication failed" not in str(error):
            raise
        return False
    return True


def _we_log_in(server: OwnServer, role: str, password: str) -> bool:
    Database.close()
    Database.configure(server.url(user=role), password=password, max_size=1)
    try:
        with scope():
            assert db().query_value("SELECT current_user") == role
    except errors.InvalidPassword as error:
        if password in str(error):
            raise AssertionError("the password is in the error's text") from error
        return False
    finally:
        Database.close()
    return True


@pytest.mark.parametrize("password", list(PASSWORDS.values()), ids=list(PASSWORDS))
def test_where_libpq_logs_in_we_log_in(server: OwnServer, password: str) -> None:
    _set(server, password)
    for role in ("scram", "md5", "password", "scram_in_clear"):
        assert _libpq_logs_in(server, role, password), role
        assert _we_log_in(server, role, password), role
        assert not _we_log_in(server, role, password + "x"), role


def test_passwords_that_are_prepared_to_the_same_are_the_same_to_scram_only(
    server: OwnServer,
) -> None:
    _set(server, "o\ufb03ce")
    for role in ("scram", "scram_in_clear", "md5", "password"):
        expected = _libpq_logs_in(server, role, "office")
        assert expected == role.startswith("scram")
        assert _we_log_in(server, role, "office") == expected, role


def test_a_password_that_a_callable_returns_is_prepared_too(server: OwnServer) -> None:
    _set(server, "pass\u00adword")
    Database.configure(server.url(user="scram"), password=lambda: "pass\u00adword", max_size=1)
    with scope():
        assert db().query_value("SELECT 1") == 1
    Database.close()


def test_the_tables_are_those_of_the_rfc() -> None:
    subprocess.run([sys.executable, ROOT / "tools" / "gen_saslprep.py", "--check"], check=True)
