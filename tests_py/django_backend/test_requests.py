"""Views, whose requests the ORM and `db()` are in."""

from __future__ import annotations

from django_backend.conftest import Project

VIEWS = """
from django.http import HttpResponse
from django.test import Client
from django.urls import path

def view(request, then):
    Group.objects.create(name="orm")
    db(request).execute("INSERT INTO auth_group (name) VALUES ('sql')")
    assert db(request) is db()
    if then == "raise":
        raise ValueError
    return HttpResponse(status=int(then))

def beginning(request, then):
    db().begin()
    Group.objects.create(name=then)
    if then == "raise":
        raise ValueError
    return HttpResponse()

async def awaiting(request):
    own = adb(request)
    await own.execute("INSERT INTO auth_group (name) VALUES ('awaited')")
    await Group.objects.acreate(name="async orm")
    return HttpResponse(str(await own.query_value("SELECT count(*) FROM auth_group")))

urlpatterns += [
    path("async", awaiting), path("begin/<then>", beginning), path("<then>", view),
]
client = Client(raise_request_exception=False)
"""


def test_atomic_requests_cover_both(project: Project) -> None:
    project(
        VIEWS
        + """
assert client.get("/raise").status_code == 500
assert names() == [], names()
assert client.get("/200").status_code == 200
assert names() == ["orm", "sql"]
""",
        ATOMIC_REQUESTS=True,
    )


def test_without_atomic_requests_each_statement_commits(project: Project) -> None:
    project(
        VIEWS
        + """
assert client.get("/raise").status_code == 500
assert names() == ["orm", "sql"]
status = Database.status()
connection.close()
assert Database.status().in_use == 0, status
"""
    )


def test_in_an_async_view_adb_has_a_connection_of_its_own(project: Project) -> None:
    project(
        VIEWS
        + """
import asyncio
from django.test import AsyncClient
response = asyncio.run(AsyncClient().get("/async"))
assert response.content == b"2", response.content
assert names() == ["async orm", "awaited"]
"""
    )


def test_the_requests_verdict_ends_what_a_view_has_begun(project: Project) -> None:
    project(
        VIEWS
        + """
import asyncio
from django.test import AsyncClient
assert client.get("/begin/raise").status_code == 500 and names() == []
assert client.get("/begin/sync").status_code == 200 and names() == ["sync"]

async def requests():  # a view that is no coroutine runs in a thread, and ends in the loop
    client = AsyncClient(raise_request_exception=False)
    assert (await client.get("/begin/raise")).status_code == 500
    assert (await client.get("/begin/async")).status_code == 200

asyncio.run(requests())
assert names() == ["async", "sync"], names()
assert connection.get_autocommit()
"""
    )
