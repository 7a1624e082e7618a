"""The names that are found in a text are those that PostgreSQL's own scanner would find."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator

import pglast.parser

from hypern import errors
from hypern.sql import _resolve

PIECES = [
    *("'", "''", "\\", "\\'", "E'", "e'", "U&'", 'U&"', '"', '""', "$$", "$a$", "$a", "$1", "$b$"),
    *("--", "/*", "*/", "\n", "\r", "\t", " ", " ", ":", "::", ":=", ":a", ":b1", ":é", ":a", ":b"),
    *("[", "]", "(", ")", "a", "é", "1", ".", ",", ";", "=", "x ", "B'", "n'", "<>", "@", "1e5"),
]
Token = tuple[str, str]


def _tokens(text: str) -> list[Token]:
    return [
        (t.name, text[t.start : t.end + 1])
        for t in pglast.parser.scan(text)
        if "COMMENT" not in t.name
    ]


def _expected(text: str) -> list[Token] | None:
    """PostgreSQL's own tokens of a text, with a parameter for each name; None if it has none."""
    found = [t for t in pglast.parser.scan(text) if "COMMENT" not in t.name]
    tokens: list[Token] = []
    brackets: list[str] = []
    names: list[str] = []
    skip = False
    for t, after in zip(found, [*found[1:], None], strict=False):
        word = text[t.start : t.end + 1]
        if skip:
            skip = False
            continue
        if word in "([":
            brackets.append(word)
        elif word in ")]":
            brackets = brackets[:-1]
        in_slice = bool(brackets) and brackets[-1] == "["
        if t.name == "ASCII_58" and after is not None and after.start == t.start + 1:
            name = text[after.start : after.end + 1]
            if not in_slice and re.fullmatch(r"[^\W\d][\w$]*", name):
                if name not in names:
                    names.append(name)
                tokens.append(("PARAM", f"${names.index(name) + 1}"))
                skip = True
                continue
        tokens.append((t.name, word))
    return tokens if names else None


def _texts(count: int) -> Iterator[str]:
    pick = random.Random(17)
    for _ in range(count):
        yield "".join(pick.choice(PIECES) for _ in range(pick.randrange(2, 14)))


def test_names_are_found_where_postgresql_would_find_them() -> None:
    seen = 0
    for text in _texts(40_000):
        if re.search(r":([eEbBxXnN]'|[uU]&['\"])", text) or "$1" in text or "\0" in text:
            continue  # a name ends at a quote
        try:
            expected = _expected(text)
        except pglast.parser.ParseError:
            continue
        try:
            rewritten, names = _resolve.named(text)
        except errors.ProgrammingError as error:
            raise AssertionError(repr(text)) from error
        if expected is None:
            assert rewritten == text, repr(text)
            continue
        seen += 1
        assert names, repr(text)
        assert _tokens(rewritten) == expected, repr(text)
    assert seen > 1000
