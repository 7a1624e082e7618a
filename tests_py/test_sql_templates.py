"""Templates: values become parameters, names are quoted, and nothing else gets into the text.

They are made by `sql()` here, which any CPython has; `t_strings.py` has the same for t-strings.
"""

from __future__ import annotations

import sys
from typing import Any

import pytest

from hypern import errors
from hypern.database import Database, DbSession
from hypern.sql import Template, _render, identifier, join, sql
from hypern.sql._template import Interpolation

pytestmark = pytest.mark.usefixtures("kind")


def test_a_value_becomes_a_parameter(session: DbSession) -> None:
    hostile = "'; DROP TABLE users; --"
    assert session.query_value(sql("SELECT {}::text", hostile)) == hostile
    row = session.query_one(sql("SELECT {a}::int + {} AS n, {b}::text AS t", 2, a=1, b="1"))
    assert row == {"n": 3, "t": "1"}


def test_every_method_takes_templates(session: DbSession, numbers: None) -> None:
    table = identifier("numbers")
    assert session.execute(sql("INSERT INTO {} VALUES ({})", table, 1)) == 1
    assert session.execute_many(sql("INSERT INTO {} VALUES ($1)", table), [[2], [3]]) == 2
    assert session.execute_many(sql("INSERT INTO {} VALUES (:n)", table), [{"n": 4}]) == 1
    some = sql("SELECT n FROM {} WHERE n < {} ORDER BY n", table, 3)
    assert session.query(some) == [{"n": 1}, {"n": 2}]
    assert session.query_one(some) == session.query_one_or_none(some) == {"n": 1}
    assert session.query_values(some) == [1, 2]
    assert [row["n"] for row in session.stream(some)] == [1, 2]
    session.execute_script(sql("DELETE FROM {table}; INSERT INTO {table} VALUES (9)", table=table))
    assert session.query_values(sql("SELECT n FROM {}", table)) == [9]


@pytest.mark.parametrize("name", ['a"b', "A b", "select", "ünï", 'x"; DROP TABLE y; --', "a.b"])
def test_a_name_is_quoted(session: DbSession, name: str) -> None:
    assert list(session.query_one(sql("SELECT 1 AS {:i}", name))) == [name]
    assert list(session.query_one(sql("SELECT 1 AS {}", identifier(name)))) == [name]


def test_a_name_may_lead_through_a_schema(session: DbSession) -> None:
    count = sql("SELECT count(*) > 0 FROM {t:i} WHERE {c:i} = {v}",
                t=("pg_catalog", "pg_class"), c="relname", v="pg_class")  # fmt: skip
    assert session.query_value(count) is True
    again = sql("SELECT count(*) > 0 FROM {}", identifier("pg_catalog", "pg_class"))
    assert session.query_value(again) is True


def test_templates_nest_and_join(session: DbSession) -> None:
    conditions = [sql("{:i} > {}", "n", 1), sql("{:i} < {}", "n", 4), sql("n <> {}", 2)]
    where = join(" AND ", conditions)
    query = sql("SELECT n FROM generate_series({}::int, {}) n WHERE {} LIMIT {}", 0, 9, where, 5)
    assert session.query_values(query) == [3]
    assert session.query_values(sql("SELECT {}", join(sql(" + "), [sql("{}::int", 1)] * 3))) == [3]
    columns = join(", ", [identifier("relname"), identifier("relkind")])
    assert len(session.query_one(sql("SELECT {} FROM pg_class LIMIT 1", columns))) == 2
    assert session.query_values(sql("SELECT 1{}", join(", ", []))) == [1]
    assert session.query_value(sql("SELECT ") + sql("{}::int", 5)) == 5


def test_none_is_a_value(session: DbSession) -> None:
    assert session.query_value(sql("SELECT {}::int IS NULL", None)) is True


def test_braces_are_doubled(session: DbSession) -> None:
    assert session.query_value(sql("SELECT '{{a}}'::text || {}", "x")) == "{a}x"


REFUSED: list[tuple[Template, type[Exception], str]] = [
    (sql("SELECT {secret!r}", secret="s3cret"), TypeError, r"\{secret!r\}"),
    (sql("SELECT {secret:>10}", secret="s3cret"), TypeError, r"\{secret:>10\}"),
    (sql("SELECT {:d}", 4711), TypeError, r"\{0:d\}"),
    (sql("SELECT '{secret}'", secret="s3cret"), errors.ProgrammingError, r"\{secret\} .*quotes"),
    (sql("SELECT 1 -- {}", "s3cret"), errors.ProgrammingError, r"\{0\} .*comment"),
    (sql("SELECT $x$ {} $x$", "s3cret"), errors.ProgrammingError, r"\{0\} .*quotes"),
    (sql("SELECT E'\\'{}'", "s3cret"), errors.ProgrammingError, r"\{0\} .*quotes"),
    (sql('SELECT "{}"', "s3cret"), errors.ProgrammingError, r"\{0\} .*quotes"),
    (sql('SELECT "{:i}"', "s3cret"), errors.ProgrammingError, r"\{0\} .*quotes"),
    (sql("SELECT {:i}{:i}", "s3cret", "b"), errors.ProgrammingError, r"joined to the text"),
    (sql("SELECT U&{:i}", "s3cret"), errors.ProgrammingError, r"joined to the text"),
    (sql("SELECT x{}", "s3cret"), errors.ProgrammingError, r"joined to the text"),
    (sql("SELECT {}0", "s3cret"), errors.ProgrammingError, r"joined to the text"),
    (sql("SELECT 'it {}", "s3cret"), errors.ProgrammingError, r"\{0\} .*quotes"),
    (sql("SELECT $1, {}", "s3cret"), errors.ProgrammingError, r"its text has \$1"),
    (sql("SELECT $1"), errors.ProgrammingError, r"its text has \$1"),
    (sql("SELECT {:i}", ""), errors.ProgrammingError, r"\{0:i\}.*empty"),
    (sql("SELECT {n:i}", n="s3\0ret"), errors.ProgrammingError, r"\{n:i\}.*NUL"),
    (sql("SELECT {n:i}", n="é" * 100), errors.ProgrammingError, r"\{n:i\}.*200 bytes.* 63"),
    (sql("SELECT {n:i}", n="\ud800"), errors.ProgrammingError, r"\{n:i\}.*surrogate"),
    (sql("SELECT {n:i}", n=("a", 5)), TypeError, r"\{n:i\}.*not int"),
    (sql("SELECT {n:i}", n=()), TypeError, r"\{n:i\}.*not tuple"),
    (sql("SELECT {n:i}", n=sql("x")), TypeError, r"\{n:i\}.*not Template"),
    (sql("SELECT {n:i}", n=["a"]), TypeError, r"\{n:i\}.*not list"),
    (sql("SELECT \ud800"), errors.ProgrammingError, "surrogate"),
    (sql("SELECT \0"), errors.ProgrammingError, "NUL"),
]


@pytest.mark.parametrize(("template", "error", "text"), REFUSED)
def test_what_cannot_be_safe_is_refused(
    session: DbSession, template: Template, error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text) as raised:
        session.query(template)
    for secret in ("s3", "4711", "éé"):
        assert secret not in str(raised.value)
    assert session.query_value("SELECT 1") == 1


def test_the_longest_name_is_not_cut(session: DbSession) -> None:
    name = "é" * 31 + "x"
    assert list(session.query_one(sql("SELECT 1 AS {:i}", name))) == [name]


def test_params_beside_a_template_are_refused(session: DbSession) -> None:
    params: Any
    for params in ([1], (), {"a": 1}, "x"):
        with pytest.raises(TypeError, match=r"takes no params.*\{user\}"):
            session.query(sql("SELECT {user}", user="s3cret"), params)
    with pytest.raises(TypeError, match=r"from the rows: 1 can only be an identifier"):
        session.execute_many(sql("INSERT INTO {:i} VALUES ({})", "t", 1), [[1]])
    with pytest.raises(TypeError, match=r"no parameters: x can only be an identifier"):
        session.execute_script(sql("SELECT {x}", x=1))


def test_70000_interpolations(session: DbSession) -> None:
    many = sql(", ".join(["{}"] * 70_000), *range(70_000))
    with pytest.raises(errors.ProgrammingError, match="70000"):
        session.query(sql("SELECT {}", many))
    most = sql("SELECT " + " + ".join(["{}::int"] * 1000), *[1] * 1000)
    assert session.query_value(most) == 1000


def test_a_template_made_from_a_users_str(session: DbSession) -> None:
    """Its strings are SQL, as any str is; only what is interpolated is a value."""
    theirs = "SELECT '{name}' || '{}' || '{0.__class__}'"
    assert session.query_value(Template(theirs)) == "{name}{}{0.__class__}"
    with pytest.raises(TypeError, match=r"takes \{\} and \{name\}"):
        sql(theirs.replace("'{name}' || '{}' || ", ""), 1)
    by_hand = Template("SELECT ", Interpolation("s3cret", "", None, ""), "::text")
    assert session.query_value(by_hand) == "s3cret"
    bad = Template("SELECT '", Interpolation("s3cret", "", None, ""), "'")
    with pytest.raises(errors.ProgrammingError, match="interpolation 1"):
        session.query(bad)


def test_what_sql_is_given_must_match_its_places() -> None:
    for text, values, named, message in [
        ("{} {}", (1,), {}, "number 2"),
        ("{}", (1, 2), {}, "2 values for the 1"),
        ("{a}", (), {}, "no value for {a}"),
        ("x", (), {"b": 1}, "no place for b"),
        ("{0}", (1,), {}, "not {0}"),
        ("{a.b}", (), {"a": 1}, "not {a.b}"),
        ("{a[0]}", (), {"a": 1}, "not {a\\[0\\]}"),
    ]:
        with pytest.raises(TypeError, match=message.replace("{", r"\{").replace("}", r"\}")):
            sql(text, *values, **named)
    with pytest.raises(TypeError, match="not bytes"):
        sql(b"x")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="number 1 is str"):
        join(", ", [sql("a"), "b"])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="not int"):
        join(1, [])  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="a name"):
        identifier()
    with pytest.raises(TypeError, match="not int"):
        identifier("a", 1)  # type: ignore[arg-type]
    with pytest.raises(errors.ProgrammingError, match="empty"):
        identifier("a", "")


def test_a_template_is_no_text_of_its_values() -> None:
    if sys.version_info < (3, 14):  # the standard library's shows them
        assert "s3cret" not in repr(sql("SELECT {}", "s3cret"))
    assert "s3cret" not in str(sql("x")) + str(identifier("x"))
    with pytest.raises((TypeError, AttributeError)):
        sql("x") + "y"  # type: ignore[operator]


def test_the_second_run_is_a_look_up(session: DbSession, monkeypatch: pytest.MonkeyPatch) -> None:
    def of(value: int, column: str = "n", inner: int = 1) -> Template:
        condition = sql("{:i} > {}", column, inner)
        return sql("SELECT n FROM generate_series(1, {}) n WHERE {}", value, condition)

    assert session.query_values(of(3)) == [2, 3]
    parsed = _render._Text.checked
    with monkeypatch.context() as patched:
        patched.setattr(_render._Text, "checked", None)
        assert session.query_values(of(4, inner=2)) == [3, 4]
        with pytest.raises(TypeError):
            session.query_values(of(4, column="m"))
    assert _render._Text.checked is parsed


def test_templates_that_differ_are_told_apart(session: DbSession) -> None:
    """Their strings may be the same, or their parts in another order."""
    columns = [
        sql("SELECT {} AS x", "a"),
        sql("SELECT {:i} AS x FROM (SELECT 'b' AS a) t", "a"),
        sql("SELECT {} AS x", sql("{}", "c")),
        sql("SELECT {} AS x", sql("'d'")),
        sql("SELECT {}{} AS x", sql("'e'"), sql("")),
        sql("SELECT {}{} AS x", sql(""), sql("'f'")),
        sql("SELECT {} AS x", sql("{}", sql("'g'"))),
    ]
    for _ in range(2):
        found = [session.query_value(template) for template in columns]
        assert found == ["a", "b", "c", "d", "e", "f", "g"]


class _Lying(str):
    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 1


def test_a_name_that_compares_as_it_likes_is_itself(session: DbSession) -> None:
    names = [next(iter(session.query_one(sql("SELECT 1 AS {:i}", _Lying(n))))) for n in "ab"]
    assert names == ["a", "b"]


def test_types_are_declared_as_for_any_value(session: DbSession) -> None:
    assert session.query_value(sql("SELECT {} < {}", 10, 9)) is False


def test_the_text_is_what_errors_show(session: DbSession) -> None:
    with pytest.raises(errors.UndefinedTable) as raised:
        session.query(sql("SELECT * FROM {:i} WHERE a = {}", "no table", "s3cret"))
    assert raised.value.sql == 'SELECT * FROM "no table" WHERE a = $1'
    Database.close()
