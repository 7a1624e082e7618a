"""execute_many: any iterable, pipelined, all rows or none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from hypern import errors
from hypern.database import DbSession

pytestmark = pytest.mark.usefixtures("kind")


@pytest.fixture(autouse=True)
def users(session: DbSession) -> None:
    session.execute(
        "CREATE TEMP TABLE users (id int PRIMARY KEY GENERATED ALWAYS AS IDENTITY, "
        "name text NOT NULL, age int CHECK (age >= 0))"
    )


def add(session: DbSession, name: str) -> None:
    session.execute("INSERT INTO users (name) VALUES ($1)", [name])


def test_execute_many_counts_rows_and_takes_any_iterable(session: DbSession) -> None:
    sql = "INSERT INTO users (name, age) VALUES ($1, $2)"
    assert session.execute_many(sql, [["Ann", 1], ("Bob", 2)]) == 2
    assert session.execute_many(sql, ((f"user {n}", n) for n in range(5000))) == 5000
    assert session.execute_many(sql, []) == 0
    assert session.query_value("SELECT sum(age) FROM users") == 3 + sum(range(5000))


def test_execute_many_is_all_or_nothing_and_names_the_row(session: DbSession) -> None:
    sql = "INSERT INTO users (name, age) VALUES ($1, $2)"
    with pytest.raises(errors.CheckViolation) as caught:
        session.execute_many(sql, [["a", 1], ["b", 2], ["c", -1], ["d", 3]])
    assert caught.value.row == 2
    assert session.query_value("SELECT count(*) FROM users") == 0
    with pytest.raises(TypeError, match=r"\$2"):
        session.execute_many(sql, [["a", 1], ["b", object()]])
    assert session.query_value("SELECT count(*) FROM users") == 0


@pytest.mark.parametrize(
    ("row", "raises", "words"),
    [
        ([], errors.ProgrammingError, "row 1: the statement has 2 placeholders, 0 parameters were"),
        (["b", 2, 3], errors.ProgrammingError, "row 1: .* 3 parameters were given"),
        ("no", TypeError, "row 1: params must be a sequence"),
        ([0] * 70_000, errors.ProgrammingError, "row 1: 70000 parameters given"),
        (["b", object()], TypeError, r"row 1, parameter \$2"),
    ],
)
def test_a_row_that_does_not_fit_is_named_in_the_text_and_as_row(
    session: DbSession, row: Any, raises: type[Exception], words: str
) -> None:
    sql = "INSERT INTO users (name, age) VALUES ($1, $2)"
    with pytest.raises(raises, match=words) as caught:
        session.execute_many(sql, [["a", 1], row, ["c", 3]])
    assert getattr(caught.value, "row", None) == 1
    assert session.query_value("SELECT count(*) FROM users") == 0


def test_execute_many_adds_up_what_each_row_has_affected(session: DbSession) -> None:
    insert = "INSERT INTO users (name, age) VALUES ('x', $1)"
    assert session.execute_many(insert, [[n % 7] for n in range(70)]) == 70
    sql = "UPDATE users SET name = name WHERE age < $1"
    ages = [0, 1, 1, 3, 3, 3, 0, 0, 7, 1, 1]
    assert session.execute_many(sql, [[age] for age in ages]) == 10 * sum(ages)
    with pytest.raises(errors.DivisionByZero) as caught:
        session.execute_many("UPDATE users SET age = age / $1", [[1]] * 7 + [[0]])
    assert caught.value.row == 7


def test_execute_many_in_a_transaction_undoes_itself_only(session: DbSession) -> None:
    with session.transaction():
        add(session, "kept")
        with pytest.raises(errors.NotNullViolation):
            session.execute_many("INSERT INTO users (name) VALUES ($1)", [["x"], [None]])
        add(session, "kept too")
    assert session.query("SELECT name FROM users ORDER BY id") == [
        {"name": "kept"},
        {"name": "kept too"},
    ]


def test_execute_many_stops_where_its_iterable_raises(session: DbSession) -> None:
    def rows() -> Iterator[list[str]]:
        yield ["a"]
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        session.execute_many("INSERT INTO users (name) VALUES ($1)", rows())
    assert session.query_value("SELECT count(*) FROM users") == 0


@pytest.mark.parametrize("rows", [1, 2, 5000])
@pytest.mark.parametrize("sql", ["COPY users FROM STDIN", "COPY (SELECT 1) TO STDOUT"])
def test_a_copy_is_refused_and_costs_neither_connection_nor_transaction(
    session: DbSession, sql: str, rows: int
) -> None:
    pid = session.query_value("SELECT pg_backend_pid()")
    for _ in range(2):  # its description is remembered
        with pytest.raises(errors.NotSupportedError, match="COPY"):
            session.execute_many(sql, ([] for _ in range(rows)))
        with session.transaction():
            add(session, "kept")
            with pytest.raises(errors.NotSupportedError, match="COPY"):
                session.execute_many(sql, [[]] * rows)
            add(session, "kept too")
    assert session.query_value("SELECT count(*) FROM users") == 4
    assert session.query_value("SELECT pg_backend_pid()") == pid


def test_a_statement_without_parameters_is_run_once_for_each_row(session: DbSession) -> None:
    insert = "INSERT INTO users (name) VALUES ('x')"
    for rows in (0, 1, 2, 3000):
        session.execute("TRUNCATE users")
        assert session.execute_many(insert, ([] for _ in range(rows))) == rows
        assert session.execute_many(insert, [[]] * rows) == rows
        assert session.query_value("SELECT count(*) FROM users") == 2 * rows
    with pytest.raises(errors.ProgrammingError, match="no statement"):
        session.execute_many(" -- none", [[], []])
    with pytest.raises(errors.DivisionByZero) as caught:
        session.execute_many("SELECT 1 / 0", [[], []])
    assert caught.value.row == 0
    with pytest.raises(errors.QueryCanceled):
        session.execute_many("SELECT pg_sleep(60)", [[], []], timeout=0.2)
    assert session.query_value("SELECT 1") == 1


COMMANDS = [
    "BEGIN",
    "start transaction",
    "commit",
    "/* x */ ;END",
    "COMMIT AND CHAIN",
    "rollback",
    "ROLLBACK TO s",
    "abort",
    "savepoint s",
    "release s",
    "prepare transaction 'x'",
    "COMMIT PREPARED 'x'",
]


@pytest.mark.parametrize("sql", COMMANDS)
def test_transaction_commands_are_refused_before_anything_is_sent(
    session: DbSession, sql: str
) -> None:
    with pytest.raises(errors.ProgrammingError, match="execute_many") as caught:
        session.execute_many(sql, [[]])
    assert caught.value.sql == sql
    assert session.state == "connected"
    called: list[int] = []
    session.begin()
    add(session, "kept")
    session.on_commit(lambda: called.append(1))
    session.execute("SAVEPOINT s")
    with pytest.raises(errors.ProgrammingError, match="execute_many"):
        session.execute_many(sql, [[], []])
    assert session.is_in_transaction
    session.execute("ROLLBACK TO s")
    session.commit()
    assert (session.state, called) == ("committed", [1])
    assert session.query_value("SELECT count(*) FROM users") == 1


def test_a_statement_that_only_resembles_a_transaction_command_runs(session: DbSession) -> None:
    session.execute_many("PREPARE transactions AS SELECT 1", [[]])
    session.execute("DEALLOCATE transactions")
    with pytest.raises(errors.SyntaxError):
        session.execute_many("ends", [[]])


@pytest.mark.parametrize("refused", [5, None, [object()], [1, 2]])
def test_a_refused_row_of_an_iterator_is_refused_each_time(
    session: DbSession, refused: object
) -> None:
    def rows() -> Iterator[Any]:
        yield [1]
        yield refused
        yield [3]

    for _ in range(3):  # the first time described on its way, then from what is known
        with pytest.raises((errors.Error, TypeError, ValueError)):
            session.execute_many("INSERT INTO users (name, age) VALUES ('Ann', $1)", rows())
        assert session.query_value("SELECT count(*) FROM users") == 0
