"""copy_in and copy_in_raw: what goes in, all or none of it, and where an error is."""

from __future__ import annotations

import contextlib
import datetime
import io
import re
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import either
import pytest

from hypern import database, errors
from hypern.database import DbSession

pytestmark = pytest.mark.usefixtures("kind")


@pytest.fixture(autouse=True)
def items(session: DbSession) -> None:
    session.execute(
        "CREATE TEMP TABLE items (id int PRIMARY KEY, name text NOT NULL, price numeric)"
    )


def stored(session: DbSession) -> list[tuple[Any, ...]]:
    return session.query("SELECT * FROM items ORDER BY id", into=tuple)


def is_usable(session: DbSession) -> bool:
    return session.query_value("SELECT 1") == 1 and stored(session) == []


# --- data


CSV = b"1,a,1.5\n2,b,\n"


@pytest.mark.parametrize(
    "chunks",
    [
        lambda: CSV,
        lambda: bytearray(CSV),
        lambda: memoryview(CSV),
        lambda: [CSV[:3], CSV[3:5], b"", CSV[5:]],
        lambda: iter([CSV]),
        lambda: io.BytesIO(CSV),
        lambda: (CSV[n : n + 1] for n in range(len(CSV))),
    ],
    ids=["bytes", "bytearray", "memoryview", "list", "iterator", "file", "generator"],
)
def test_copy_in_raw_takes_bytes_iterables_and_files(
    session: DbSession, chunks: Callable[[], Any]
) -> None:
    assert session.copy_in_raw("COPY items FROM STDIN (FORMAT csv)", chunks()) == 2
    assert stored(session) == [(1, "a", Decimal("1.5")), (2, "b", None)]


def test_copy_in_raw_takes_nothing_and_much(session: DbSession) -> None:
    assert session.copy_in_raw("COPY items FROM STDIN", []) == 0
    lines = (b"%d\tname %d\t1\n" % (n, n) for n in range(100_000))
    assert session.copy_in_raw("-- a comment\ncopy items from stdin", lines) == 100_000
    assert session.query_value("SELECT sum(id) FROM items") == sum(range(100_000))
    one = b"".join(b"%d\tname %d\t1\n" % (n, n) for n in range(100_000, 500_000))
    assert session.copy_in_raw("COPY items FROM STDIN", one) == 400_000


@pytest.mark.parametrize(
    "sql", ["SELECT 1", "COPY items TO STDOUT", "COPY items FROM '/tmp/x'", "DELETE FROM items", ""]
)
def test_copy_in_raw_refuses_other_statements_unsent(session: DbSession, sql: str) -> None:
    with session.transaction():
        with pytest.raises(errors.ProgrammingError, match="copy_in_raw"):
            session.copy_in_raw(sql, [b"x"])
        assert is_usable(session)


@pytest.mark.parametrize("chunk", ["text", 1, None, ["x"]])
def test_a_chunk_that_is_no_bytes_is_refused(session: DbSession, chunk: Any) -> None:
    with pytest.raises(TypeError, match="chunks of bytes"):
        session.copy_in_raw("COPY items FROM STDIN", [b"1\ta\t1\n", chunk])
    assert is_usable(session)
    with pytest.raises(errors.ParameterTypeError, match="binary file"):
        session.copy_in_raw("COPY items FROM STDIN", "1\ta\t1\n")  # type: ignore[arg-type]


def test_an_error_of_the_data_has_its_line(session: DbSession) -> None:
    with pytest.raises(errors.DataError) as caught:
        session.copy_in_raw("COPY items FROM STDIN", [b"1\ta\t1\n2\tb\tsecret\n"])
    assert (caught.value.line, caught.value.column) == (2, "price")
    assert is_usable(session)


# --- rows


class Item(NamedTuple):
    id: int
    name: str
    price: Decimal | None


@dataclass
class Article:
    price: Decimal | None
    name: str
    id: int


ROWS = [(1, "a", Decimal("1.50")), (2, "b", None)]


@pytest.mark.parametrize(
    "rows",
    [
        lambda: ROWS,
        lambda: tuple(ROWS),
        lambda: iter(ROWS),
        lambda: [list(row) for row in ROWS],
        lambda: [{"name": n, "id": i, "price": p} for i, n, p in ROWS],
        lambda: [Item(*row) for row in ROWS],
        lambda: (Article(p, n, i) for i, n, p in ROWS),
    ],
    ids=["list", "tuple", "iterator", "lists", "dicts", "named tuples", "dataclass"],
)
def test_copy_in_takes_sequences_mappings_and_objects(
    session: DbSession, rows: Callable[[], Any]
) -> None:
    assert session.copy_in("items", rows()) == 2
    assert stored(session) == ROWS
    assert str(session.query_value("SELECT price FROM items")) == "1.50"


def test_copy_in_takes_columns_and_many_rows(session: DbSession) -> None:
    rows = ((f"name {n}", n) for n in range(100_000))
    assert session.copy_in("items", rows, ["name", "id"]) == 100_000
    assert session.query_value("SELECT sum(id) FROM items WHERE name = 'name ' || id") == sum(
        range(100_000)
    )
    assert session.copy_in("items", []) == 0
    assert session.copy_in("items", [], ["id", "name"]) == 0


def test_names_are_quoted(session: DbSession) -> None:
    session.execute('CREATE SCHEMA "S 1"')
    try:
        session.execute('CREATE TABLE "S 1"."t""; --" ("a ""b" int, "VALUES (" int)')
        assert session.copy_in(("S 1", 't"; --'), [{'a "b': 1, "VALUES (": 2}]) == 1
        assert session.query('SELECT * FROM "S 1"."t""; --"', into=tuple) == [(1, 2)]
    finally:
        session.execute('DROP SCHEMA "S 1" CASCADE')


def test_generated_columns_are_left_out_unless_named(session: DbSession) -> None:
    session.execute("CREATE TEMP TABLE g (a int, b int GENERATED ALWAYS AS (a * 2) STORED, c int)")
    assert session.copy_in("g", [(1, 3)]) == 1
    assert session.query("SELECT * FROM g", into=tuple) == [(1, 2, 3)]
    with pytest.raises(errors.ProgrammingError, match="b"):
        session.copy_in("g", [(1, 2)], ["a", "b"])


@pytest.mark.parametrize(
    ("table", "state"), [("missing", "42P01"), (("nowhere", "items"), "42P01"), ("names", "42809")]
)
def test_a_missing_table_and_a_view(session: DbSession, table: Any, state: str) -> None:
    session.execute("CREATE TEMP VIEW names AS SELECT name FROM items")
    with pytest.raises(errors.Error) as caught:
        session.copy_in(table, [("x",)])
    assert caught.value.sqlstate == state
    assert is_usable(session)


@pytest.mark.parametrize(
    ("row", "raises", "words"),
    [
        (
            (1, "x"),
            errors.ProgrammingError,
            "row 1: 3 columns are copied, and the row has 2 values",
        ),
        ((1, "x", 1, 1), errors.ProgrammingError, "row 1: .* 4 values"),
        ("abc", TypeError, "row 1: params must be a sequence"),
        ((1, 5, 1), errors.DataError, 'row 1, column "name": only the server can convert'),
        ((1, object(), 1), TypeError, 'row 1, column "name"'),
        ((2**40, "x", 1), errors.DataError, 'row 1, column "id"'),
        ((1, "x", "NaN"), errors.DataError, 'row 1, column "price": .*execute_many.*copy_in_raw'),
        ((1, "a\0", 1), errors.DataError, 'row 1, column "name"'),
    ],
)
def test_a_row_that_does_not_fit_is_named(
    session: DbSession, row: Any, raises: type[Exception], words: str
) -> None:
    with pytest.raises(raises, match=words) as caught:
        session.copy_in("items", [(0, "zero", 0), row, (2, "two", 2)])
    assert caught.value.row == 1  # type: ignore[attr-defined]
    assert is_usable(session)


def test_a_wrong_type_in_row_70000(session: DbSession) -> None:
    rows = ((n, "x", None) if n != 70_000 else (n, "x", b"") for n in range(100_000))
    with pytest.raises(TypeError, match='row 70000, column "price"') as caught:
        session.copy_in("items", rows)
    assert (caught.value.row, caught.value.column) == (70_000, "price")  # type: ignore[attr-defined]
    assert is_usable(session)


def test_an_error_of_the_server_has_its_row(session: DbSession) -> None:
    with pytest.raises(errors.UniqueViolation) as caught:
        session.copy_in("items", ((n % 70_000, "x", None) for n in range(100_000)))
    assert caught.value.row == 70_000
    with pytest.raises(errors.NotNullViolation) as null:
        session.copy_in("items", [(1, "x", 1), (2, None, 1)])
    assert (null.value.row, null.value.column) == (1, "name")
    assert is_usable(session)


def test_mappings_with_other_keys_are_refused(session: DbSession) -> None:
    for odd in ({"id": 2}, {"id": 2, "name": "x", "more": 1}, (2, "x")):
        with pytest.raises(errors.ParameterTypeError, match="row 1: ") as caught:
            session.copy_in("items", [{"id": 1, "name": "y"}, odd])
        assert caught.value.row == 1
        assert is_usable(session)


@pytest.mark.parametrize(
    ("type_", "text"),
    [
        ("int2", "-7"),
        ("int4", "42"),
        ("int8", "-9000000000"),
        ("numeric", "12.3400"),
        ("float8", "0.1"),
        ("bool", "t"),
        ("date", "2024-02-29"),
        ("time", "12:30:00.5"),
        ("timestamp", "2024-02-29 12:30:00"),
        ("timestamptz", "2024-02-29 12:30:00.123456+05:30"),
        ("uuid", "12345678-1234-5678-1234-567812345678"),
        ("text", "NOW()"),
        ("varchar(5)", "NOW()"),
    ],
)
def test_a_text_of_one_meaning_is_what_the_server_reads_it_as(
    session: DbSession, type_: str, text: str
) -> None:
    session.execute(f"CREATE TEMP TABLE texts (v {type_})")
    session.copy_in("texts", [(text,)])
    session.execute(f"INSERT INTO texts VALUES ('{text}'::{type_})")
    assert session.query_value("SELECT count(DISTINCT v::text) FROM texts") == 1


@pytest.mark.parametrize(
    ("type_", "text"),
    [
        ("timestamptz", "NOW()"),
        ("timestamptz", "2024-02-29 12:30:00"),
        ("timestamptz", "2024-02-30 12:30:00+00"),
        ("date", "02/03/2024"),
        ("date", "today"),
        ("int4", "1_000"),
        ("int4", " 1"),
        ("int4", "\u0661"),
        ("numeric", "1,5"),
        ("float8", "nan"),
        ("uuid", "not-a-uuid"),
        ("money", "1.00"),
        ("inet", "::1"),
    ],
)
def test_a_text_that_only_the_server_reads_is_refused(
    session: DbSession, type_: str, text: str
) -> None:
    session.execute(f"CREATE TEMP TABLE texts (v {type_})")
    with pytest.raises(errors.DataError, match=r'row 0, column "v": .*execute_many') as caught:
        session.copy_in("texts", [(text,)])
    assert text not in str(caught.value)
    assert (caught.value.row, caught.value.column) == (0, "v")
    assert session.query_value("SELECT count(*) FROM texts") == 0


def test_values_of_many_types_are_as_parameters_are(session: DbSession) -> None:
    session.execute("CREATE TYPE pg_temp.mood AS ENUM ('sad', 'ok')")
    session.execute("CREATE TYPE pg_temp.pair AS (a int, b text)")
    columns = "a int[], b jsonb, c bytea, d timestamptz, e pg_temp.mood, f pg_temp.pair, g uuid"
    session.execute(f"CREATE TEMP TABLE wide ({columns}, h int4range, i interval, j varchar(3))")
    row = [
        [1, None],
        {"a": [1, 2]},
        b"\0x",
        datetime.datetime(2024, 1, 2, tzinfo=datetime.timezone.utc),
        "ok",
        (1, "x"),
        uuid.UUID(int=5),
        None,
        datetime.timedelta(days=1),
        "abc",
    ]
    assert session.copy_in("wide", [row]) == 1
    marks = ", ".join(f"${n}" for n in range(1, 11))
    session.execute(f"INSERT INTO wide VALUES ({marks})", row)
    assert session.query_value("SELECT count(DISTINCT wide::text) FROM wide") == 1
    with pytest.raises(errors.Error) as caught:
        session.copy_in("wide", [[*row[:9], "abcd"]])
    assert (caught.value.sqlstate, caught.value.row) == ("22001", 0)


def test_a_column_whose_type_was_altered_is_copied_as_it_is_now(session: DbSession) -> None:
    session.execute("CREATE TEMP TABLE n (v int8)")
    session.copy_in("n", [(5,)])
    session.execute("ALTER TABLE n ALTER v TYPE timestamp USING NULL")
    moment = datetime.datetime(2024, 1, 2)
    session.copy_in("n", [(moment,)])
    assert session.query_values("SELECT v FROM n ORDER BY v") == [moment, None]


# --- all or none


class OwnError(Exception):
    pass


def failing(good: Any) -> Iterator[Any]:
    yield good
    raise OwnError


COPIES: dict[str, Callable[[DbSession, Any], int]] = {
    "rows": lambda s, chunks: s.copy_in("items", ((i, "x", None) for i, _ in enumerate(chunks))),
    "raw": lambda s, chunks: s.copy_in_raw(
        "COPY items FROM STDIN", (b"%d\tx\t\\N\n" % i for i, _ in enumerate(chunks))
    ),
}


@pytest.fixture(params=COPIES)
def copy(request: pytest.FixtureRequest) -> Callable[[DbSession, Any], int]:
    return COPIES[request.param]


def test_what_the_iterable_raises_is_raised_and_nothing_is_copied(
    session: DbSession, copy: Callable[[DbSession, Any], int]
) -> None:
    with pytest.raises(OwnError):
        copy(session, failing(1))
    assert is_usable(session)
    pid = session.query_value("SELECT pg_backend_pid()")
    assert copy(session, range(5)) == 5
    assert pid == session.query_value("SELECT pg_backend_pid()")


def test_a_copy_is_part_of_the_open_transaction(
    session: DbSession, copy: Callable[[DbSession, Any], int]
) -> None:
    with contextlib.suppress(OwnError), session.transaction():
        assert copy(session, range(5)) == 5
        assert session.query_value("SELECT count(*) FROM items") == 5
        raise OwnError
    assert is_usable(session)
    session.begin()
    copy(session, range(3))
    session.rollback()
    assert is_usable(session)


def test_an_endless_iterable_ends_with_timeout(
    session: DbSession, copy: Callable[[DbSession, Any], int]
) -> None:
    def endless() -> Iterator[int]:
        while True:
            yield 1

    for _ in range(10):  # a busy server does not confirm in the grace period
        with pytest.raises(errors.Error, match="timeout") as caught:
            session_timeout(session, copy, endless())
        assert isinstance(caught.value, (errors.QueryCanceled, errors.ConnectionLost))
        if isinstance(caught.value, errors.QueryCanceled):
            assert is_usable(session)
            return
        session.execute("CREATE TEMP TABLE items (id int, name text NOT NULL, price numeric)")
    pytest.fail("the server has not confirmed once")


def session_timeout(session: DbSession, copy: Callable[[DbSession, Any], int], data: Any) -> None:
    if copy is COPIES["rows"]:
        session.copy_in("items", ((i, "x", None) for i, _ in enumerate(data)), timeout=0.3)
    else:
        session.copy_in_raw(
            "COPY items FROM STDIN", (b"%d\tx\t1\n" % i for i, _ in enumerate(data)), timeout=0.3
        )


def test_an_iterable_that_uses_the_session_is_refused(
    session: DbSession, copy: Callable[[DbSession, Any], int]
) -> None:
    def using() -> Iterator[int]:
        for n in range(3):
            if n:
                database.db("the test").query_value("SELECT 1")
            yield n

    with pytest.raises(errors.InterfaceError):
        copy(session, using())
    assert is_usable(session)


def test_a_trigger_that_fails_before_any_data_costs_no_connection(
    session: DbSession, copy: Callable[[DbSession, Any], int]
) -> None:
    session.execute(
        "CREATE FUNCTION pg_temp.refuse() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE 'refused'; END $$"
    )
    session.execute(
        "CREATE TRIGGER refuse BEFORE INSERT ON items EXECUTE FUNCTION pg_temp.refuse()"
    )
    pid = session.query_value("SELECT pg_backend_pid()")
    for _ in range(3):
        with pytest.raises(errors.Error, match="refused"):
            copy(session, range(100_000))
        assert is_usable(session)
    assert pid == session.query_value("SELECT pg_backend_pid()")


def test_async_iterables(session: DbSession, kind: str) -> None:
    async def rows() -> AsyncIterator[Any]:
        for n in range(3000):
            yield (n, "x", None)

    async def chunks() -> AsyncIterator[bytes]:
        yield b"5000\tx\t\\N\n"

    if kind == "blocking":
        with pytest.raises(TypeError):
            session.copy_in_raw("COPY items FROM STDIN", chunks())  # type: ignore[arg-type]
        return
    assert session.copy_in("items", rows()) == 3000  # type: ignore[arg-type]
    assert session.copy_in_raw("COPY items FROM STDIN", chunks()) == 1  # type: ignore[arg-type]

    async def bad() -> AsyncIterator[Any]:
        yield (9000, "x", None)
        raise OwnError

    with pytest.raises(OwnError):
        session.copy_in("items", bad())  # type: ignore[arg-type]
    assert session.query_value("SELECT count(*) FROM items") == 3001


def test_scopes_apply_to_a_copy(configured: str) -> None:
    settings = {"app.tenant": "7"}
    with either.scope(settings=settings):
        session = either.db()
        session.execute(
            "CREATE TEMP TABLE tenants (n int, t text DEFAULT current_setting('app.tenant'))"
        )
        assert session.copy_in("tenants", [(1,)], ["n"]) == 1
        assert session.copy_in_raw("COPY tenants (n) FROM STDIN", b"2\n") == 1
        assert session.query_values("SELECT t FROM tenants") == ["7", "7"]


@pytest.mark.parametrize("table", ["", "a\0b", 5, ("a", "b", "c"), (), ["a", "b"]])
def test_a_table_must_have_a_name(session: DbSession, table: Any) -> None:
    with pytest.raises((TypeError, errors.ProgrammingError)):
        session.copy_in(table, [(1,)])
    with pytest.raises((TypeError, errors.ProgrammingError)):
        session.copy_in("items", [(1,)], table if table != ["a", "b"] else "ab")


def test_the_blocks_of_the_documentation_run(
    session: DbSession, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (Path(__file__).parents[1] / "docs" / "copy.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(blocks) == 3
    monkeypatch.chdir(tmp_path)
    Path("orders.csv").write_text("id,name,price\n9,x,1\n")
    session.execute("CREATE TEMP TABLE orders (id int, name text, price numeric)")
    session.execute("CREATE SCHEMA shop CREATE TABLE orders (id int, name text)")
    try:
        for block in blocks:
            exec(block, {"session": session, "Decimal": Decimal})
        assert session.query_value("SELECT count(*) FROM orders") == 5
        assert Path("orders.bin").read_bytes().startswith(b"PGCOPY")
    finally:
        session.execute("DROP SCHEMA shop CASCADE")
