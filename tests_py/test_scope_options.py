"""The options of a scope: what is refused, the label, and the decorator."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Iterator
from typing import Any

import either
import pytest

from hypern.database import Database, Event, adb, db, scope, scoped
from hypern.errors import ConfigurationError, DivisionByZero, InterfaceError, PoolTimeout

pytestmark = pytest.mark.usefixtures("kind")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"settings": {'a"b': "1"}}, "is no name of a setting"),
        ({"settings": {"a'b": "1"}}, "is no name of a setting"),
        ({"settings": {"app.": "1"}}, "is no name of a setting"),
        ({"settings": {"": "1"}}, "is no name of a setting"),
        ({"settings": {"app.user\n": "1"}}, "is no name of a setting"),
        ({"settings": {7: "1"}}, "is no name of a setting"),
        ({"settings": {"app.user": 42}}, 'settings["app.user"] must be a str, not int'),
        ({"settings": {"app.user": "a\0b"}}, "contains a NUL character"),
        ({"settings": {"app.user": "a\ud800"}}, "lone surrogate"),
        ({"settings": {"role": "x"}}, "pass role="),
        ({"settings": [("a", "b")]}, "settings must be a mapping"),
        ({"role": ""}, "role must not be empty"),
        ({"role": 7}, "role must be a str, not int"),
        ({"role": "a\0b"}, "contains a NUL character"),
        ({"read_only": 1}, "read_only must be True, False or None"),
        ({"deadline_secs": 0}, "deadline_secs must be above 0"),
        ({"deadline_secs": -1}, "deadline_secs must be above 0"),
        ({"deadline_secs": math.nan}, "deadline_secs must be above 0"),
        ({"deadline_secs": math.inf}, "deadline_secs must be above 0"),
        ({"deadline_secs": "2"}, "deadline_secs must be a number of seconds, not str"),
        ({"deadline_secs": True}, "deadline_secs must be a number of seconds, not bool"),
        ({"label": ""}, "label must not be empty"),
        ({"label": 7}, "label must be a str, not int"),
        ({"atomic": "yes"}, "atomic must be True, False or a dict"),
        ({"atomic": {"isolation": "high"}}, "atomic: isolation must be one of"),
        ({"atomic": {"readonly": True}}, "atomic has no option 'readonly'"),
        ({"atomic": {"read_only": 1}}, "atomic: read_only must be True, False or None"),
        ({"atomic": False, "settings": {"a.b": "c"}}, "settings= with atomic=False"),
        ({"atomic": False, "role": "app"}, "role= with atomic=False"),
        ({"atomic": False, "read_only": True}, "read_only= with atomic=False"),
        ({"atomic": {"read_only": False}, "read_only": True}, "read_only is given twice"),
    ],
)
def test_options_that_cannot_work_are_refused_at_once(options: dict[str, Any], text: str) -> None:
    for give in (lambda: either.scope(**options), lambda: scoped(**options)):
        with pytest.raises(ConfigurationError, match=re.escape(text)):
            give()


def test_a_value_is_in_no_message() -> None:
    with pytest.raises(ConfigurationError) as raised:
        either.scope(settings={"app.user": "hunter2\0"})
    assert "hunter2" not in str(raised.value)


def test_an_unknown_option_is_refused() -> None:
    with pytest.raises(TypeError, match="isolation"):
        either.scope(isolation="serializable")
    with pytest.raises(TypeError, match="isolation"):
        scoped(isolation="serializable")  # type: ignore[call-arg]


@pytest.mark.usefixtures("configured")
def test_the_label_is_shown_by_the_session_the_status_and_the_text_of_a_pool_timeout() -> None:
    with either.scope(label="orders.create"):
        session = either.db()
        session.execute("SELECT 1")
        assert session.label == "orders.create"
        assert [h.label for h in Database.status().holders] == ["orders.create"]
    assert either.db("without").label is None
    either.finalize_db("without")


def test_the_holders_in_a_pool_timeout_have_their_label(database: str) -> None:
    Database.configure(database, max_size=1, acquire_timeout_secs=0.05, alias="one")
    with either.scope(label="orders.create"):
        either.db(alias="one").execute("SELECT 1")
        with either.scope(), pytest.raises(PoolTimeout, match=r"label: orders\.create"):
            either.db(alias="one").execute("SELECT 1")
    either.close("one")


def test_an_event_and_the_slow_log_have_the_label(
    database: str, caplog: pytest.LogCaptureFixture
) -> None:
    Database.configure(database, alias="slow", max_size=1, slow_query_secs=0)
    seen: list[Event] = []
    Database.on_event(seen.append)
    try:
        with either.scope(label="orders.create"):
            either.db(alias="slow").execute("SELECT 1")
            with pytest.raises(DivisionByZero):
                either.db(alias="slow").query("SELECT 1 / 0")
            either.db(alias="slow").execute_many("SELECT $1::int", [[1], [2]])
            for _ in either.db(alias="slow").stream("SELECT 1"):
                pass
        with either.scope():
            either.db(alias="slow").execute("SELECT 2")
    finally:
        Database.on_event(None)
        either.close("slow")
    labels = [(event.sql, event.label) for event in seen]
    assert labels[-1] == ("SELECT 2", None)
    assert {label for _, label in labels[:-1]} == {"orders.create"}
    assert len(labels) >= 5
    slow = [record.getMessage() for record in caplog.records if "slow query" in record.msg]
    assert len(slow) == len(labels)
    assert all('on "slow", orders.create: ' in text for text in slow[:-1])
    assert "orders.create" not in slow[-1]


@pytest.mark.usefixtures("configured")
def test_the_options_hold_for_the_scopes_id_anywhere() -> None:
    with either.scope("job-7", label="nightly"):
        assert either.db("job-7").label == "nightly"
    assert either.db("job-7").label is None  # another request of that name
    either.finalize_db("job-7")


@pytest.mark.usefixtures("configured")
def test_an_inner_scope_has_options_of_its_own() -> None:
    with either.scope(label="outer"):
        with either.scope():
            assert either.db().label is None
        assert either.db().label == "outer"


@pytest.mark.usefixtures("configured")
def test_a_decorated_function_runs_in_a_scope_of_its_own_each_time() -> None:
    @scoped()
    def job(n: int, *, twice: bool = False) -> tuple[str, str | None, int]:
        """Doubles."""
        return db().request_id, db().label, n * (2 if twice else 1)

    first, second = job(3, twice=True), job(3)
    assert (first[2], second[2]) == (6, 3)
    assert first[0] != second[0]
    assert str(first[1]).endswith("<locals>.job")
    assert job.__doc__ == "Doubles."


@pytest.mark.usefixtures("configured")
def test_a_decorated_coroutine_function_runs_in_a_scope_of_its_own_each_time() -> None:
    @scoped(label="nightly")
    async def job() -> tuple[str, str | None, Any]:
        value = await adb().query_value("SELECT 7")
        return adb().request_id, adb().label, value

    async def both() -> list[tuple[str, str | None, Any]]:
        return list(await asyncio.gather(job(), job()))

    first, second = asyncio.run(both())
    assert first[0] != second[0]
    assert first[1:] == second[1:] == ("nightly", 7)


def test_generator_functions_and_other_objects_are_not_decorated() -> None:
    def rows() -> Any:
        yield 1

    async def arows() -> Any:
        yield 1

    for function in (rows, arows):
        with pytest.raises(TypeError, match="generator function"):
            scoped()(function)
    with pytest.raises(TypeError, match="decorates a function, not int"):
        scoped()(7)  # type: ignore[type-var]


@pytest.mark.usefixtures("configured")
def test_a_decorated_function_that_raises_rolls_back() -> None:
    with scope():
        db().execute("DROP TABLE IF EXISTS jobs")
        db().execute("CREATE TABLE jobs (n int)")

    @scoped()
    def job() -> None:
        db().begin()
        db().execute("INSERT INTO jobs VALUES (1)")
        raise LookupError("a bug")

    with pytest.raises(LookupError):
        job()
    with scope():
        assert db().query_values("SELECT n FROM jobs") == []


def test_configure_refuses_what_cannot_work(database: str) -> None:
    with pytest.raises(ConfigurationError, match="atomic must be True or False"):
        Database.configure(database, alias="other", atomic="yes")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="settings must be one of: required"):
        Database.configure(database, alias="other", settings="optional")  # type: ignore[arg-type]


def test_a_scope_that_has_not_been_entered_has_no_sessions() -> None:
    with pytest.raises(InterfaceError, match="has not been entered"):
        either.db(scope(label="x"))


@pytest.mark.usefixtures("configured")
def test_scoped_takes_an_object_whose_call_is_a_coroutine() -> None:
    class Job:
        async def __call__(self, wanted: int) -> int:
            value: int = await adb().query_value("SELECT $1::int", [wanted])
            return value

    class Rows:
        def __call__(self) -> Iterator[int]:
            yield 1

    assert asyncio.run(scoped(atomic=True)(Job())(7)) == 7
    with pytest.raises(TypeError, match="generator"):
        scoped()(Rows())
