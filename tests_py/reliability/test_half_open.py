"""A peer that vanishes without a word: TCP itself notices, by default, and ends every wait."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator

import pytest
from reliability.own_server import PASSWORD, OwnServer
from reliability.tally import Tally

from hypern.database import Database, db, scope


def _socket_options(port: int) -> dict[str, int]:
    """How this process's one connection to the port is set up."""
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            copy = socket.socket(fileno=os.dup(int(name)))
            with copy:
                if copy.family == socket.AF_INET and copy.getpeername()[1] == port:
                    return {
                        "keepalive": copy.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE),
                        "idle": copy.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE),
                        "interval": copy.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL),
                        "count": copy.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT),
                        "unacknowledged": copy.getsockopt(
                            socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT
                        ),
                    }
    raise AssertionError("no connection to the server")


@pytest.mark.parametrize("seconds", [None, 9])
def test_keepalive_and_a_limit_to_unacknowledged_data_are_on(
    own_server: OwnServer, tally: Tally, seconds: int | None
) -> None:
    idle = seconds or 30
    Database.configure(own_server.url(), alias="tcp", password=PASSWORD, keepalive_secs=seconds)
    with scope():
        db(alias="tcp").query_value("SELECT 1")
        assert _socket_options(own_server.port) == {
            "keepalive": 1,
            "idle": idle,
            "interval": idle // 3,
            "count": 3,
            "unacknowledged": 1000 * (idle + 30),
        }
    Database.close("tcp")
    tally.add("keepalive and TCP_USER_TIMEOUT read from the socket", 1, "on, without being asked")


_CLIENT = """
import sys, threading, time
from hypern import errors
from hypern.database import Database, db, scope
Database.configure(sys.argv[1], password=sys.argv[2], keepalive_secs=1, max_size=4,
    connect_timeout_secs=5)
silent = threading.Event()
ended = {}

def ask(name, wait, sql):
    with scope():
        session = db()
        session.query_value("SELECT 1")
        if wait:
            silent.wait(30)
        began = time.monotonic()
        try:
            session.query(sql)
        except errors.ConnectionLost as lost:
            assert lost.safe_to_retry == (sql == "SELECT 2")
            ended[name] = time.monotonic() - began
        except BaseException as error:
            ended[name] = error

threads = [threading.Thread(target=ask, args=a) for a in (
    ("waiting for an answer", False, "SELECT pg_sleep(300)"),
    ("sending a statement", True, "SELECT 1"),
    ("sending what cannot run yet", True, "SELECT 2"),
)]
for thread in threads:
    thread.start()
with scope():
    db().query_value("SELECT pg_sleep(0.2)")  # another connection, idle from here on
print("ready", flush=True)
sys.stdin.readline()
silent.set()
for thread in threads:
    thread.join(60)
print(ended, flush=True)
assert all(25 < seconds < 45 for seconds in ended.values()), ended
sys.stdin.readline()
deadline = time.monotonic() + 20
while True:
    try:
        with scope():
            assert db().query_value("SELECT 3") == 3
        break
    except errors.OperationalError:
        assert time.monotonic() < deadline
assert Database.status().in_use == 0
print("served", flush=True)
"""


class _Wire:
    """Two ends of a cable between this machine and a network namespace of its own."""

    here, there = "10.213.77.1", "10.213.77.2"

    def __init__(self) -> None:
        self.namespace = f"hypern-{secrets.token_hex(3)}"
        self._end = f"hy{secrets.token_hex(3)}"
        self.do("netns", "add", self.namespace)
        try:
            inside = ("-n", self.namespace)
            peer = ("peer", "eth0", "netns", self.namespace)
            self.do("link", "add", self._end, "type", "veth", *peer)
            self.do("addr", "add", f"{self.here}/30", "dev", self._end)
            self.do("link", "set", self._end, "up")
            self.do(*inside, "addr", "add", f"{self.there}/30", "dev", "eth0")
            self.do(*inside, "link", "set", "eth0", "up")
        except BaseException:
            self.remove()
            raise

    def do(self, *arguments: str) -> None:
        subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)

    def pull(self) -> None:
        self.do("link", "set", self._end, "down")

    def plug(self) -> None:
        self.do("link", "set", self._end, "up")

    def remove(self) -> None:
        self.do("netns", "del", self.namespace)


@pytest.fixture
def wire() -> Iterator[_Wire]:
    """A cable that can be pulled."""
    if os.geteuid() != 0:
        pytest.skip("only root can make a network namespace")
    try:
        wire = _Wire()
    except (FileNotFoundError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no network namespace here: {getattr(error, 'stderr', error)}")
    yield wire
    wire.remove()


@pytest.mark.usefixtures("thorough")
def test_a_cable_that_is_pulled_ends_every_wait(
    own_server: OwnServer, wire: _Wire, tally: Tally
) -> None:
    own_server.hosts += f",{wire.here}"
    own_server.restart("fast")
    url = own_server.url().replace("127.0.0.1", wire.here)
    command = ["ip", "netns", "exec", wire.namespace, sys.executable, "-c"]
    with subprocess.Popen(
        [*command, textwrap.dedent(_CLIENT), url, PASSWORD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as client:
        assert client.stdin is not None
        assert client.stdout is not None
        assert client.stdout.readline() == "ready\n"
        wire.pull()
        client.stdin.write("pulled\n")
        client.stdin.flush()
        client.stdout.readline()
        wire.plug()
        client.stdin.write("plugged\n")
        client.stdin.flush()
        assert client.stdout.readline() == "served\n"
        assert client.wait(30) == 0
    own_server.hosts = "127.0.0.1"
    tally.add("a cable pulled, no `timeout=`", 3, "ConnectionLost; served when it is plugged in")
