"""The reference has every public name, and each has a docstring."""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path

import pytest
from pages.blocks import ROOT

from hypern import _sqlstate, errors
from hypern.database import AsyncDbSession, Database, DbSession
from tools.site import hooks, parameters

PAGES = ROOT / "docs" / "reference"
MODULES = ("hypern.database", "hypern.sql")
WORDS = {"Infinity", "Isolation", "Pooler", "Reset", "State", "StatementCache", "Query"}


def listed() -> set[str]:
    """What the reference pages take from docstrings."""
    found: set[str] = set()
    for page in PAGES.glob("*.md"):
        found |= set(re.findall(r"^::: ([\w.]+)$", page.read_text("utf-8"), re.MULTILINE))
    return found


def members(cls: type) -> list[str]:
    return [name for name in dir(cls) if not name.startswith("_")]


def names() -> list[str]:
    """Every public name, by module."""
    found = [
        f"{module}.{name}"
        for module in MODULES
        for name in importlib.import_module(module).__all__
        if name not in WORDS | {"Database"}
    ]
    found += [f"hypern.database.DbSession.{name}" for name in members(DbSession)]
    found += [f"hypern.database.Database.{name}" for name in members(Database)]
    return [*found, *(f"hypern.errors.{cls.__name__}" for cls in errors._OWN)]


@pytest.mark.parametrize("name", names())
def test_a_public_name_is_in_the_reference(name: str) -> None:
    assert name in listed()


@pytest.mark.parametrize(
    "module",
    [
        *("hypern.middleware", "hypern.middleware.asgi", "hypern.middleware.wsgi"),
        *("hypern.middleware.django", "hypern.middleware.fastapi"),
        *("hypern.dbapi", "hypern.dbapi.aio", "hypern.sqlalchemy"),
    ],
)
def test_each_name_of_a_module_beside_the_first_is_in_the_reference(module: str) -> None:
    text = "".join(page.read_text("utf-8") for page in PAGES.glob("*.md"))
    # Not the types of the protocols that a middleware speaks.
    protocols = {"ASGIApp", "Message", "Receive", "Send", "StartResponse", "WSGIApp"}
    missing = [
        name
        for name in set(importlib.import_module(module).__all__) - protocols
        # What a module has in common with its awaited twin is listed once.
        if not {f"{module}.{name}", f"{module.removesuffix('.aio')}.{name}"} & listed()
        and not re.search(rf"`(?:[\w.]+\.)?{name}`|`hypern\.errors`.*{name}", text)
        and not hasattr(errors, name)
    ]
    assert not missing


def test_the_words_of_arguments_are_in_the_reference() -> None:
    text = "".join(page.read_text("utf-8") for page in PAGES.glob("*.md"))
    assert not {word for word in WORDS if word not in text}


@pytest.mark.parametrize("cls", [DbSession, AsyncDbSession, Database])
def test_each_method_has_a_docstring(cls: type) -> None:
    bare = [name for name in members(cls) if not inspect.getdoc(getattr(cls, name))]
    assert not bare


def test_each_method_has_an_example() -> None:
    for page, prefix in (("session.md", "DbSession."), ("database.md", "Database.")):
        text = (PAGES / page).read_text("utf-8")
        for part in re.split(r"^(?=::: )", text, flags=re.MULTILINE)[1:]:
            name = part.split()[1]
            if f"database.{prefix}" in name:
                assert "```python" in part, name


def test_every_keyword_of_configure_is_explained() -> None:
    text = inspect.getdoc(Database.configure) or ""
    explained = {
        name.strip()
        for names in re.findall(r"^([a-z_, ]+):", text, re.MULTILINE)
        for name in names.split(",")
    }
    assert set(inspect.signature(Database.configure).parameters) <= explained


def test_the_table_of_errors_has_every_sqlstate() -> None:
    codes = {cls.sqlstate for cls in vars(_sqlstate).values() if getattr(cls, "sqlstate", None)}
    table = hooks.sqlstates()
    assert len(codes) > 200
    assert not [code for code in codes if f"| `{code}` |" not in table]
    assert "| `23505` | `UniqueViolation` | `IntegrityError` |" in table


def test_the_list_for_programs_leads_to_pages_that_exist() -> None:
    text = (ROOT / "docs" / "llms.txt").read_text("utf-8")
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert len(links) > 10
    missing = [link for link in links if not (ROOT / "docs" / link).exists()]
    assert missing == ["llms-full.txt"]  # which the site's hooks make


@pytest.mark.parametrize(
    ("page", "target", "expected"),
    [
        ("install.md", "../SECURITY.md", "SECURITY.md"),
        ("frameworks/flask.md", "../../examples/flask_app.py", "examples/flask_app.py"),
        ("install.md", "types.md", None),
        ("install.md", "https://example.com/x.md", None),
        ("install.md", "../none.md", None),
    ],
)
def test_a_link_out_of_the_pages_leads_to_a_page_of_its_own(
    page: str, target: str, expected: str | None
) -> None:
    assert hooks.resolved(page, target) == expected
    assert Path(hooks.place("examples/a.py")).suffix == ".md"


def test_parameters_of_a_docstring_are_a_list() -> None:
    text = (
        "Do it.\n\nsql: str,\n    or a list. timeout: float, seconds. Raises Error.\n"
        "\nnote: this is no parameter"
    )
    assert parameters.as_list(text, {"sql", "timeout", "time"}) == (
        "Do it.\n\n- `sql`: str, or a list.\n- `timeout`: float, seconds.\n\nRaises Error.\n"
        "\nnote: this is no parameter"
    )
    assert parameters.as_list("sql: str", set()) == "sql: str"
