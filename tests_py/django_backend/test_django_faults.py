"""What goes wrong under the ORM: killed backends, a restart, PgBouncer, threads."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from django_backend.conftest import Project
from reliability.own_server import OwnServer
from test_pgbouncer import started

from hypern.config.parse import parse

_PARTS = {
    "NAME": "dbname",
    "USER": "user",
    "PASSWORD": "password",
    "HOST": "host",
    "PORT": "port",
}

HELPERS = """
from django.db import InterfaceError as DjangoInterfaceError, OperationalError
from django.db import close_old_connections, connections
import threading

def pid():
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return cursor.fetchone()[0]

def kill(victim):
    from hypern import dbapi
    with dbapi.connect(alias="default", autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", [victim])

def in_use():
    return Database.status().in_use
"""


def test_a_killed_backend_in_a_transaction(project: Project) -> None:
    project(
        HELPERS
        + """
for use in (lambda: Group.objects.create(name="b"), lambda: db().query("SELECT 1"), lambda: None):
    first = None
    try:
        with transaction.atomic():
            Group.objects.create(name="a")
            kill(first := pid())
            use()
    except (OperationalError, DjangoInterfaceError, Error):
        pass
    else:
        raise AssertionError("nothing was raised")
    close_old_connections()
    assert names() == [] and pid() != first
    assert connection.get_autocommit() and not connection.in_atomic_block
connection.close()
assert in_use() == 0
"""
    )


def test_a_killed_idle_backend_with_health_checks(project: Project) -> None:
    project(
        HELPERS
        + """
from django.core.signals import request_started
first = pid()
kill(first)
request_started.send(None)
assert pid() != first and names() == []
""",
        CONN_MAX_AGE=600,
        CONN_HEALTH_CHECKS=True,
    )


def test_a_killed_backend_under_a_server_side_cursor(project: Project) -> None:
    project(
        HELPERS
        + """
Group.objects.bulk_create(Group(name=str(n)) for n in range(300))
rows = Group.objects.order_by("id").iterator(chunk_size=10)
next(rows)
kill(db().query_value("SELECT pg_backend_pid()"))
try:
    list(rows)
except (OperationalError, DjangoInterfaceError):
    pass
else:
    raise AssertionError("nothing was raised")
close_old_connections()
assert len(names()) == 300
connection.close()
assert in_use() == 0
"""
    )


def test_threads_that_are_killed_leak_no_connection(project: Project) -> None:
    project(
        HELPERS
        + """
failed = []
def work(n):
    try:
        with transaction.atomic():
            Group.objects.create(name=f"{n}")
            db().execute("UPDATE auth_group SET name = name || 'x' WHERE name = $1", [f"{n}"])
            if n % 3 == 0:
                kill(pid())
            assert names()
    except (OperationalError, DjangoInterfaceError, Error):
        failed.append(n)
    finally:
        connection.close()
threads = [threading.Thread(target=work, args=[n]) for n in range(12)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert sorted(failed) == [0, 3, 6, 9], failed
assert names() == sorted(f"{n}x" for n in range(12) if n % 3), names()
connection.close()
assert in_use() == 0, Database.status()
""",
        OPTIONS={"pool": {"max_size": 20}},
    )


@pytest.fixture
def own_server() -> Iterator[OwnServer]:
    server = OwnServer()
    try:
        yield server
    finally:
        server.remove()


@pytest.mark.parametrize("how", ["fast", "immediate"])
def test_a_restart(project: Project, own_server: OwnServer, how: str, tmp_path: Path) -> None:
    given = parse(own_server.admin)
    flag = tmp_path / "flag"
    done = tmp_path / "done"

    is_over = threading.Event()

    def restart() -> None:
        while not is_over.wait(0.01):
            if flag.exists():
                own_server.restart(how)
                done.touch()
                return

    thread = threading.Thread(target=restart)
    thread.start()
    try:
        project(
            HELPERS
            + f"""
import pathlib, time
Group.objects.create(name="before")
with connection.cursor() as cursor:
    cursor.execute("CHECKPOINT")  # the server is set to lose commits in a crash
try:
    with transaction.atomic():
        Group.objects.create(name="lost")
        pathlib.Path({str(flag)!r}).touch()
        limit = time.monotonic() + 60
        while not pathlib.Path({str(done)!r}).exists():
            assert time.monotonic() < limit
            time.sleep(0.01)
        Group.objects.create(name="lost too")
except OperationalError:
    pass
else:
    raise AssertionError("nothing was raised")
close_old_connections()
assert names() == ["before"]
db().execute("INSERT INTO auth_group (name) VALUES ('after')")
assert names() == ["after", "before"]
""",
            **{part: given.get(word, "") for part, word in _PARTS.items()},
        )
    finally:
        is_over.set()
        thread.join()


def test_behind_pgbouncer_in_transaction_mode(project: Project, database: str) -> None:
    with started(database, "transaction") as bouncer:
        given = parse(bouncer.url)
        project(
            HELPERS
            + """
from concurrent.futures import ThreadPoolExecutor

def work(n):
    try:
        for _ in range(20):
            with transaction.atomic():
                group = Group.objects.select_for_update().get(name="shared")
                group.name = "shared"
                group.save()
                db().execute("INSERT INTO auth_group (name) VALUES ($1)", [f"{n} {_}"])
            assert Group.objects.filter(name=f"{n} {_}").count() == 1
            with connection.cursor() as cursor:
                cursor.execute("SHOW TimeZone")
                assert cursor.fetchone() == ("Asia/Tokyo",)
    finally:
        connection.close()

Group.objects.create(name="shared")
with ThreadPoolExecutor(4) as pool:
    list(pool.map(work, range(4)))
assert Group.objects.count() == 81
with transaction.atomic():  # where it lives on one connection of the server
    assert len(list(Group.objects.iterator(chunk_size=10))) == 81
connection.close()
assert in_use() == 0
""",
            **{part: given.get(word, "") for part, word in _PARTS.items()},
            DISABLE_SERVER_SIDE_CURSORS=True,
            TIME_ZONE="Asia/Tokyo",
        )
