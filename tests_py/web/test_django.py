"""Django: what views raise, streams, sync and async, and its own ORM beside."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from django.core.signals import got_request_exception
from django.db import connection
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.test import AsyncClient, Client, override_settings
from web import django_site
from web.ledger import abort, committed, write

from hypern.database import Database, db
from hypern.errors import TransactionAborted
from hypern.middleware.django import DatabaseMiddleware

pytestmark = pytest.mark.usefixtures("ledger")

Get = Callable[[Callable[[HttpRequest], Any]], Any]


class Only500(DatabaseMiddleware):
    """A site's own rule."""

    rollback_on = range(500, 600)


def by_client(path: str) -> Get:
    def get(view: Callable[[HttpRequest], Any]) -> Any:
        django_site.view.append(view)
        return Client(raise_request_exception=False).get(path)

    return get


def by_async_client(path: str) -> Get:
    def get(view: Callable[[HttpRequest], Any]) -> Any:
        django_site.view.append(view)
        return asyncio.run(AsyncClient(raise_request_exception=False).get(path))

    return get


@pytest.fixture(
    params=[
        by_client("/plain"),
        by_client("/async"),
        by_async_client("/plain"),
        by_async_client("/async"),
    ],
    ids=["wsgi, plain", "wsgi, async", "asgi, plain", "asgi, async"],
)
def get(request: pytest.FixtureRequest) -> Get:
    found: Get = request.param
    return found


def test_a_success_is_committed_and_the_request_object_carries_the_session(get: Get) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        assert write(1) is db(request)
        return HttpResponse("done")

    assert get(view).status_code == 200
    assert committed() == [1]


@pytest.mark.parametrize(("error", "status"), [(LookupError("a bug"), 500), (Http404(), 404)])
@pytest.mark.parametrize(
    "middleware", ["hypern.middleware.django.DatabaseMiddleware", "test_django.Only500"]
)
def test_a_view_that_raises_rolls_back_whatever_the_status(
    get: Get, error: Exception, status: int, middleware: str
) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        write(1)
        raise error

    with override_settings(MIDDLEWARE=[middleware]):
        assert get(view).status_code == status
    assert committed() == []


@pytest.mark.parametrize(
    ("middleware", "kept"),
    [("hypern.middleware.django.DatabaseMiddleware", []), ("test_django.Only500", [1])],
)
def test_a_returned_404_rolls_back_unless_the_rule_is_another(
    get: Get, middleware: str, kept: list[int]
) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        write(1)
        return HttpResponse(status=404)

    with override_settings(MIDDLEWARE=[middleware]):
        assert get(view).status_code == 404
    assert committed() == kept


def test_a_commit_that_fails_is_a_500(get: Get) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        write(1)
        write(1)
        return HttpResponse("done")

    assert get(view).status_code == 500
    assert committed() == []


@pytest.mark.parametrize("status", [400, 409, 500, 503])
def test_an_error_over_an_aborted_transaction_is_passed_on_as_it_is(get: Get, status: int) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        abort()
        return HttpResponse("why", status=status, headers={"X-Thing": "kept"})

    answer = get(view)
    assert (answer.status_code, answer.content, answer["X-Thing"]) == (status, b"why", "kept")
    assert (Database.status().in_use, committed()) == (0, [])


@pytest.mark.parametrize("status", [200, 201, 302])
def test_a_success_over_an_aborted_transaction_is_a_500(get: Get, status: int) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        abort()
        return HttpResponse("done", status=status)

    told: list[BaseException | None] = []

    def note(**_: Any) -> None:
        told.append(sys.exc_info()[1])

    got_request_exception.connect(note)
    try:
        answer = get(view)
    finally:
        got_request_exception.disconnect(note)
    assert answer.status_code == 500
    assert b"done" not in answer.content
    assert [type(error) for error in told] == [TransactionAborted]
    assert (Database.status().in_use, committed()) == (0, [])


def test_a_stream_may_query_after_the_commit() -> None:
    def view(request: HttpRequest) -> StreamingHttpResponse:
        write(1)

        def body() -> Iterator[str]:
            assert db() is db(request)
            yield str(committed())
            write(2)

        return StreamingHttpResponse(body())

    assert b"".join(by_client("/plain")(view).streaming_content) == b"[1]"
    assert committed() == [1, 2]


def test_a_stream_that_is_closed_early_rolls_back_what_it_did() -> None:
    def view(request: HttpRequest) -> StreamingHttpResponse:
        write(1)

        def body() -> Iterator[str]:
            write(2)
            yield "one"
            yield "two"

        return StreamingHttpResponse(body())

    response = by_client("/plain")(view)
    assert next(iter(response.streaming_content)) == b"one"
    response.close()
    assert committed() == [1]


@pytest.mark.parametrize("early", [False, True])
def test_an_async_stream_may_query_after_the_commit(early: bool) -> None:
    def view(request: HttpRequest) -> StreamingHttpResponse:
        write(1)

        async def body() -> AsyncIterator[str]:
            yield str(committed())
            write(2)
            yield "end"

        return StreamingHttpResponse(body())

    async def run() -> bytes:
        django_site.view.append(view)
        response: Any = await AsyncClient().get("/async")
        parts = []
        async for part in response.streaming_content:
            parts.append(part)
            if early and len(parts) == 2:
                break
        await asyncio.to_thread(response.close)
        return b"".join(parts)

    assert asyncio.run(run()) == b"[1]end"
    assert committed() == ([1] if early else [1, 2])


def test_djangos_own_connection_is_left_alone(get: Get) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        write(1)
        return HttpResponse(str(connection.in_atomic_block))

    assert get(view).content == b"False"
