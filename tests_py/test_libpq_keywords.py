"""docs/libpq.md against the library itself, and the keywords of sockets, hosts and TLS for real."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from pathlib import Path

import proc
import psycopg
import pytest
from either import db, scope
from reliability.own_server import OwnServer

from hypern.config import keywords
from hypern.config.conninfo import resolve
from hypern.database import Database
from hypern.errors import ConfigurationError, OperationalError

PAGE = Path(__file__).resolve().parent.parent / "docs" / "libpq.md"
ROW = re.compile(r"^\| `(\w+)` \| (.+) \|$", re.MULTILINE)


def _table() -> dict[str, str]:
    return dict(ROW.findall(PAGE.read_text(encoding="utf-8")))


def test_the_table_has_each_keyword_of_libpq() -> None:
    assert psycopg.pq.version() >= 180000
    theirs = [option.keyword.decode() for option in psycopg.pq.Conninfo.get_defaults()]
    assert list(_table()) == sorted(theirs)


@pytest.mark.parametrize("keyword", sorted(_table()))
def test_a_row_says_what_becomes_of_the_keyword(keyword: str) -> None:
    says = _table()[keyword]
    if says == "refused":
        with pytest.raises(ConfigurationError, match=f"{keyword} with this value is not supported"):
            resolve(f"host=h user=u {keyword}=x", {})
    elif says.startswith("without effect"):
        assert keyword in keywords.WITHOUT_EFFECT
    elif says.startswith("honoured"):
        assert keyword in keywords.PASSED_ON.keys() | keywords.USED_HERE
    else:
        assert keyword in keywords.ONLY_WITH.keys() | keywords.PASSED_ON.keys() | {
            "client_encoding"
        }


@pytest.fixture(scope="module")
def tcp_server() -> Iterator[OwnServer]:
    """A server that is reached by TCP."""
    server = OwnServer()
    server.hosts = "127.0.0.1,127.0.0.2"
    server.restart("fast")
    yield server
    server.remove()


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    Database.close()


def _configure(server: OwnServer, settings: str, host: str = "127.0.0.1") -> None:
    Database.close()
    Database.configure(
        f"host={host} port={server.port} user=postgres dbname=postgres sslmode=disable {settings}",
        acquire_timeout_secs=20,
    )


def _socket(server: OwnServer) -> dict[str, int]:
    """The options of the connection's socket."""
    before = set(proc.sockets())
    with scope():
        db().query("SELECT 1")
        for number in set(proc.sockets()) - before:
            with socket.fromfd(number, socket.AF_INET, socket.SOCK_STREAM) as it:
                if it.family != socket.AF_INET or it.getpeername()[1] != server.port:
                    continue
                tcp = socket.IPPROTO_TCP
                return {
                    "keepalives": it.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE),
                    "idle": it.getsockopt(tcp, socket.TCP_KEEPIDLE),
                    "interval": it.getsockopt(tcp, socket.TCP_KEEPINTVL),
                    "count": it.getsockopt(tcp, socket.TCP_KEEPCNT),
                    "user_timeout": it.getsockopt(tcp, socket.TCP_USER_TIMEOUT),
                }
    raise AssertionError("there is no such socket")


def test_keywords_of_the_socket(tcp_server: OwnServer) -> None:
    _configure(tcp_server, "")
    assert _socket(tcp_server) == {
        "keepalives": 1,
        "idle": 30,
        "interval": 10,
        "count": 3,
        "user_timeout": 60_000,
    }
    _configure(
        tcp_server,
        "keepalives=1 keepalives_idle=17 keepalives_interval=4 keepalives_count=7 "
        "tcp_user_timeout=12345",
    )
    assert _socket(tcp_server) == {
        "keepalives": 1,
        "idle": 17,
        "interval": 4,
        "count": 7,
        "user_timeout": 12345,
    }
    _configure(tcp_server, "keepalives=0 tcp_user_timeout=0")
    options = _socket(tcp_server)
    assert (options["keepalives"], options["user_timeout"]) == (0, 0)


def test_hostaddr_is_where_it_connects(tcp_server: OwnServer) -> None:
    _configure(tcp_server, "hostaddr=127.0.0.1", host="no-such-host.invalid")
    with scope():
        assert db().query_value("SELECT 1") == 1
    _configure(tcp_server, "", host="no-such-host.invalid")
    with scope(), pytest.raises(OperationalError):
        db().query_value("SELECT 1")


@pytest.mark.parametrize("balance", ["disable", "random"])
def test_hosts_are_tried_in_another_order(tcp_server: OwnServer, balance: str) -> None:
    """Two names of one server: the one that is tried first serves."""
    first = set()
    url = (
        f"host=one.invalid,two.invalid hostaddr=127.0.0.1,127.0.0.2 port={tcp_server.port} "
        f"user=postgres dbname=postgres sslmode=disable load_balance_hosts={balance}"
    )
    Database.configure(url, acquire_timeout_secs=20)
    for _ in range(40):
        with scope():
            first.add(db().query_value("SELECT host(inet_server_addr())"))
        Database.drain()
    assert first == ({"127.0.0.1"} if balance == "disable" else {"127.0.0.1", "127.0.0.2"})
