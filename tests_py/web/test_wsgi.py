"""The WSGI middleware, without a framework: when sessions end, and what becomes of failures."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from typing import Any
from wsgiref.util import FileWrapper

import pytest
from web.ledger import abort, committed, leave_stream, write
from web.wsgi_client import Answer, call, environment, failing_start, produced, whole

from hypern.database import Database, db, finalize_db
from hypern.errors import InterfaceError, SessionClosed, TransactionAborted, UniqueViolation
from hypern.middleware.wsgi import DatabaseMiddleware

pytestmark = pytest.mark.usefixtures("ledger")


def generator(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
    """An application that is one generator."""
    write(1)
    start_response("200 OK", [])
    yield b"one "
    write(2)
    yield b"two"


def test_a_success_is_committed_and_released_before_the_first_byte() -> None:
    seen: list[Any] = []
    answer = call(
        DatabaseMiddleware(whole(200, lambda: write(1))),
        on_part=lambda part: seen.append((committed(), Database.status().in_use)),
    )
    assert (answer.status, answer.body, seen) == (200, b"done", [([1], 0)])


@pytest.mark.parametrize("error", [LookupError, SystemExit, KeyboardInterrupt, GeneratorExit])
def test_an_exception_rolls_back_and_passes_on(error: type[BaseException]) -> None:
    def fail() -> None:
        write(1)
        raise error

    with pytest.raises(error):
        call(DatabaseMiddleware(whole(200, fail)))
    assert committed() == []


@pytest.mark.parametrize(("status", "kept"), [(200, [1]), (302, [1]), (400, []), (500, [])])
def test_a_status_from_400_rolls_back_what_is_open(status: int, kept: list[int]) -> None:
    assert call(DatabaseMiddleware(whole(status, lambda: write(1)))).status == status
    assert committed() == kept


def test_rollback_on_changes_that_rule() -> None:
    call(DatabaseMiddleware(whole(404, lambda: write(1)), rollback_on=range(500, 600)))
    assert committed() == [1]


def test_an_explicit_commit_stands_whatever_the_status() -> None:
    call(DatabaseMiddleware(whole(404, lambda: write(1).commit())))
    assert committed() == [1]


@pytest.mark.parametrize(
    "app", [whole(200, lambda: write(1)), produced(lambda: write(1)), generator]
)
def test_a_commit_that_fails_is_raised_before_anything_is_sent(app: Any) -> None:
    write(1, db("before")).commit()
    answer = Answer()
    with pytest.raises(UniqueViolation):
        call(DatabaseMiddleware(app), answer=answer)
    assert answer == Answer()
    assert committed() == [1]
    finalize_db("before")


@pytest.mark.parametrize("app", [whole(200, abort), produced(abort)])
def test_a_success_over_an_aborted_transaction_is_a_failure(app: Any) -> None:
    answer = Answer()
    with pytest.raises(TransactionAborted):
        call(DatabaseMiddleware(app), answer=answer)
    assert answer == Answer()


@pytest.mark.parametrize("rollback_on", [range(400, 600), range(500, 600), ()])
@pytest.mark.parametrize("finalize", ["auto", "end"])
def test_an_error_over_an_aborted_transaction_is_passed_on(rollback_on: Any, finalize: Any) -> None:
    for app in (whole(409, abort), produced(abort, status=409)):
        middleware = DatabaseMiddleware(app, rollback_on=rollback_on, finalize=finalize)
        assert call(middleware).status == 409
    assert committed() == []


def test_an_exception_over_an_aborted_transaction_is_passed_on_and_the_other_one_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def swallow_and_fail() -> None:
        abort()
        raise LookupError

    with pytest.raises(LookupError):
        call(DatabaseMiddleware(whole(200, swallow_and_fail)))
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "TransactionAborted" in caplog.text


@pytest.mark.parametrize("status", [200, 404])
def test_a_block_that_is_still_open_is_rolled_back(status: int) -> None:
    def leave_open() -> None:
        db().transaction().__enter__()
        write(1)

    for app in (whole(status, leave_open), produced(leave_open, status=status)):
        with pytest.raises(InterfaceError, match=r"test_wsgi\.py:\d+"):
            call(DatabaseMiddleware(app))
    assert committed() == []
    assert Database.status().in_use == 0


def test_the_body_of_a_response_that_failed_is_closed() -> None:
    closed: list[bool] = []
    with pytest.raises(TransactionAborted):
        call(DatabaseMiddleware(produced(abort, on_close=lambda: closed.append(True))))
    assert closed == [True]


@pytest.mark.parametrize("finalize", ["auto", "end"])
def test_a_generator_application_may_query_until_its_body_ends(finalize: Any) -> None:
    seen: list[Any] = []
    app = DatabaseMiddleware(generator, finalize=finalize)
    answer = call(app, on_part=lambda part: seen.append(committed()))
    assert answer.body == b"one two"
    assert seen == ([[1], [1]] if finalize == "auto" else [[], []])
    assert committed() == [1, 2]


def test_a_produced_body_may_query_and_its_transactions_are_committed_before_the_first_byte() -> (
    None
):
    seen: list[Any] = []

    def step() -> None:
        seen.append(committed())
        write(2)

    assert call(DatabaseMiddleware(produced(lambda: write(1), step))).complete
    assert (seen, committed()) == ([[1]], [1, 2])


def test_a_body_whose_own_commit_fails_is_cut_short() -> None:
    answer = Answer()
    with pytest.raises(UniqueViolation):
        call(DatabaseMiddleware(produced(lambda: write(1), lambda: write(1))), answer=answer)
    assert (answer.body, answer.complete, committed()) == (b"part ", False, [1])


@pytest.mark.parametrize(
    "app",
    [
        DatabaseMiddleware(whole(200, leave_stream)),
        DatabaseMiddleware(produced(leave_stream)),
        DatabaseMiddleware(produced(leave_stream), finalize="start"),
    ],
)
def test_a_stream_left_early_whose_commit_fails_is_raised_before_anything_is_sent(app: Any) -> None:
    answer = Answer()
    with pytest.raises(UniqueViolation):
        call(app, answer=answer)
    assert (answer.status, answer.body, committed()) == (0, b"", [])


def test_a_stream_left_early_is_committed_before_the_first_byte_of_a_produced_body() -> None:
    seen: list[Any] = []
    sql = "INSERT INTO ledger SELECT generate_series(1, 3) RETURNING n"
    app = produced(lambda: leave_stream(sql), lambda: seen.append(committed()))
    assert call(DatabaseMiddleware(app)).complete
    assert seen == [[1, 2, 3]]


@pytest.mark.parametrize(
    "app",
    [
        DatabaseMiddleware(produced(lambda: write(1), db), finalize="start"),
        DatabaseMiddleware(produced(lambda: write(1), db, headers=(("Content-Length", "5"),))),
    ],
)
def test_a_body_whose_sessions_end_before_it_finds_them_closed(app: Any) -> None:
    with pytest.raises(SessionClosed):
        call(app)
    assert committed() == [1]


def test_an_exception_in_a_produced_body_rolls_back_what_the_body_did() -> None:
    def fail() -> None:
        write(2)
        raise LookupError

    with pytest.raises(LookupError):
        call(DatabaseMiddleware(produced(lambda: write(1), fail)))
    assert committed() == [1]


@pytest.mark.parametrize("app", [produced(lambda: write(1), lambda: write(2), bool), generator])
def test_a_client_that_goes_away_rolls_back_what_the_body_did(app: Any) -> None:
    parts = 1
    call(DatabaseMiddleware(app), parts=parts)
    assert committed() == [1]


def test_close_after_the_body_has_a_scope_of_its_own() -> None:
    ids: list[str] = []
    app = produced(
        lambda: ids.append(write(1).request_id), on_close=lambda: ids.append(write(2).request_id)
    )
    environ = environment()
    call(DatabaseMiddleware(app), environ)
    assert committed() == [1, 2]
    assert len(set(ids)) == 2
    with pytest.raises(SessionClosed):
        db(environ)


def test_close_of_a_body_that_was_not_finished_is_within_the_request() -> None:
    ids: list[str] = []
    app = produced(
        lambda: ids.append(write(1).request_id),
        bool,
        bool,
        on_close=lambda: ids.append(db().request_id),
    )
    call(DatabaseMiddleware(app), parts=1)
    assert len(set(ids)) == 1


def test_a_file_is_left_for_the_server_to_send() -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Any:
        write(1)
        start_response("200 OK", [])
        return environ["wsgi.file_wrapper"](io.BytesIO(b"a file"))

    environ = {**environment(), "wsgi.file_wrapper": FileWrapper}
    body = DatabaseMiddleware(app)(environ, lambda status, headers: bytes)
    assert isinstance(body, FileWrapper)
    assert committed() == [1]


def test_what_is_written_instead_of_given_is_committed_before_the_first_byte() -> None:
    seen: list[Any] = []

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        write(1)
        push = start_response("200 OK", [])
        push(b"pushed ")
        write(2)
        return [b"given"]

    answer = call(DatabaseMiddleware(app), on_part=lambda part: seen.append(committed()))
    assert (answer.body, seen) == (b"pushed given", [[1], [1, 2]])


def test_a_response_may_be_started_anew_with_exc_info_until_it_has_left() -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        write(1)
        start_response("200 OK", [])
        start_response("500 Oh", [], failing_start())
        return [b"sorry"]

    assert call(DatabaseMiddleware(app)).status == 500
    assert committed() == []


def test_a_response_that_was_never_started_is_a_failure() -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        write(1)
        return [b"?"]

    with pytest.raises(AssertionError, match="without calling start_response"):
        call(DatabaseMiddleware(app))
    assert committed() == []


def test_requests_that_a_thread_interleaves_keep_their_own_sessions() -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        mine = db()
        start_response("200 OK", [])
        for _ in range(2):
            assert db() is mine
            yield b"part"

    middleware = DatabaseMiddleware(app)
    bodies = [iter(middleware(environment(), lambda status, headers: bytes)) for _ in range(2)]
    for _ in range(2):
        for body in bodies:
            next(body)
    for body in bodies:
        assert list(body) == []
    with pytest.raises(InterfaceError, match="no request is current"):
        db()


def test_ids_are_unique_whatever_the_client_sends_and_threads_share_nothing() -> None:
    ids: list[str] = []
    app = DatabaseMiddleware(whole(200, lambda: ids.append(db().request_id)))
    threads = [
        threading.Thread(target=call, args=(app, environment({"X-Request-ID": "the same"})))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(ids)) == 8
    assert all("the same" not in request_id for request_id in ids)
