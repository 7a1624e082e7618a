"""T-strings as every `sql` argument takes them; test_sql_templates.py has what `sql()` shares."""

from __future__ import annotations

from typing import Any

import pytest

from hypern import errors
from hypern.database import DbSession
from hypern.sql import Template, _render, identifier, join, sql

templatelib = pytest.importorskip("string.templatelib", reason="t-strings begin with CPython 3.14")

pytestmark = pytest.mark.usefixtures("kind")


def t(text: str, **names: Any) -> Template:
    """The t-string of this text, as the compiler makes it where these names are known."""
    made: Template = eval("t" + repr(text), names)
    assert type(made) is templatelib.Template
    return made


def test_values_names_and_nested_templates(session: DbSession, numbers: None) -> None:
    hostile = "'; DROP TABLE numbers; --"
    table = "numbers"
    assert session.execute(t("INSERT INTO {table:i} VALUES ({n + 1})", table=table, n=1)) == 1
    assert session.query_value(t("SELECT {hostile}::text", hostile=hostile)) == hostile
    where = t("n > {low} AND n < {high}", low=0, high=9)
    query = t("SELECT n FROM {table:i} WHERE {where}", table=("public", table), where=where)
    assert session.query(query) == session.query(query) == [{"n": 2}]
    assert session.query_one(query) == session.query_one_or_none(query) == {"n": 2}
    assert session.query_values(query) == [session.query_value(query)] == [2]
    assert list(session.stream(query)) == [{"n": 2}]
    assert session.execute_many(t("INSERT INTO {table:i} VALUES ($1)", table=table), [[7]]) == 1
    session.execute_script(t("DELETE FROM {table:i}; SELECT 1", table=table))
    assert session.query(query) == []


def test_what_other_versions_build_is_the_same_object(session: DbSession) -> None:
    assert Template is templatelib.Template
    assert type(sql("SELECT {}", 1)) is templatelib.Template
    inner = join(", ", [identifier("relname"), t("{kind:i}", kind="relkind")])
    row = session.query_one(t("SELECT {inner} FROM pg_class LIMIT {n}", inner=inner, n=1))
    assert list(row) == ["relname", "relkind"]
    assert session.query_value(t("SELECT {a}::int", a=1) + sql(" + {}", 2)) == 3


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("SELECT {secret!r}", TypeError, r"\{secret!r\}"),
        ("SELECT {secret!s:i}", TypeError, r"\{secret!s\}"),
        ("SELECT {secret:>10}", TypeError, r"\{secret:>10\}"),
        ("SELECT {secret=}", TypeError, r"\{secret!r\}"),
        ("SELECT '{secret.upper()}'", errors.ProgrammingError, r"\{secret.upper\(\)\}.*quotes"),
        ("SELECT {secret * 50:i}", errors.ProgrammingError, r"\{secret \* 50:i\}.*bytes"),
        ("SELECT {(secret, 1):i}", TypeError, r"\{\(secret, 1\):i\}.*int"),
        ("SELECT $1, {secret}", errors.ProgrammingError, r"its text has \$1"),
    ],
)
def test_errors_name_the_expression(
    session: DbSession, text: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message) as raised:
        session.query(t(text, secret="s3cret"))
    assert "s3cret" not in str(raised.value)


def test_params_beside_it_are_refused(session: DbSession) -> None:
    with pytest.raises(TypeError, match=r"\{user.id\}"):
        session.query(t("SELECT {user.id}", user=session_like()), [1])


class session_like:  # noqa: N801 - something with an attribute
    id = 5


def test_70000_interpolations(session: DbSession) -> None:
    parts = [templatelib.Interpolation(n, "n") for n in range(70_000)]
    with pytest.raises(errors.ProgrammingError, match="70000"):
        session.query(t("SELECT {all}", all=templatelib.Template(*parts)))


def test_the_second_run_is_a_look_up(session: DbSession, monkeypatch: pytest.MonkeyPatch) -> None:
    made = [t("SELECT {n}::int AS looked_up, 't'", n=n) for n in (1, 2)]
    assert session.query_value(made[0]) == 1
    monkeypatch.setattr(_render._Text, "checked", None)
    assert session.query_value(made[1]) == 2
