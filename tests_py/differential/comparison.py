"""What a driver makes of a type: the same value as ours, another, a refusal, or a loss.

A driver reads each text of the type as a value, and sends that value back for the server to print.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from differential.drivers import Driver


@dataclass(frozen=True)
class Outcome:
    """What one driver did with one text.

    value: what it read, where it read anything. read_error, send_error: whether it could not, and
    what the error was. printed: what the server printed of the value that was sent back.
    """

    text: str
    value: Any = None
    read_error: str | None = None
    send_error: str | None = None
    printed: str | None = None

    @property
    def kept(self) -> bool:
        """Whether what was read and sent back is what the server had."""
        return self.printed is not None and _plain(self.printed) == _plain(self.text)


def _plain(text: str) -> str:
    """White space means nothing in json, which alone is printed as it was written."""
    try:
        return json.dumps(json.loads(text, parse_float=str), ensure_ascii=True)
    except ValueError:
        return text


def quoted(text: str) -> str:
    """A text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def outcome(driver: Driver, name: str, text: str) -> Outcome:
    """Have a driver read a text of the type called name, and send back what it read."""
    try:
        value = driver.value(f"SELECT {quoted(text)}::{name}")
    except Exception as error:
        return Outcome(text, read_error=_told(error))
    try:
        printed = driver.value(f"SELECT $1::{name}::text", value)
    except Exception as error:
        return Outcome(text, value, send_error=_told(error))
    return Outcome(text, value, printed="NULL" if printed is None else str(printed))


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def same(a: Any, b: Any) -> bool:
    """Equal, of the same types all through, with the same digits."""
    return type(a) is type(b) and repr(a) == repr(b)


def cell(ours: list[Outcome], theirs: list[Outcome]) -> str:
    """What a driver does with a type, in a few words: "same", or all that is different."""
    words = []
    others = [
        (a.value, b)
        for a, b in zip(ours, theirs, strict=True)
        if b.read_error is None and a.read_error is None and not same(a.value, b.value)
    ]
    if kinds := {_class(b.value) for a, b in others if type(b.value) is not type(a)}:
        words.append("reads " + " or ".join(sorted(kinds)))
    elif others:
        _, first = others[0]
        words.append(f"reads {_short(first.text)} as {_short(repr(first.value))}")
    words += _losses(theirs)
    return "; ".join(words) or "same"


def with_arrays(element: str, array: str) -> str:
    """A type's cell, and what is different of its arrays where that does not follow from it."""
    verbs = {clause.split()[0] for clause in element.split("; ")}
    more = [clause for clause in array.split("; ") if clause.split()[0] not in verbs]
    more = ["arrays: " + clause for clause in more if clause != "same"]
    return "; ".join(([] if more and element == "same" else [element]) + more)


def own_cell(ours: list[Outcome]) -> str:
    """What we do not keep of a type, in a few words."""
    return "; ".join(_losses(ours)) or "same"


def python_type(ours: list[Outcome]) -> str:
    """What a type is in Python, here."""
    kinds = {_class(o.value) for o in ours if o.read_error is None and o.value is not None}
    return " or ".join(sorted(kinds))


def _losses(outcomes: list[Outcome]) -> list[str]:
    words = []
    if refused := [o.text for o in outcomes if o.read_error is not None]:
        words.append("refuses to read " + _some(refused, len(outcomes)))
    read = [o for o in outcomes if o.read_error is None]
    if unsent := [o.text for o in read if o.send_error is not None]:
        words.append("cannot send back " + _some(unsent, len(read)))
    if lost := [o for o in read if o.send_error is None and not o.kept]:
        before, after = _short(lost[0].text), _short(lost[0].printed or "")
        words.append(f"loses {before}, which comes back as {after}")
    return words


def _some(texts: list[str], all_of_them: int) -> str:
    return "any" if len(texts) == all_of_them else _short(texts[0])


def _class(value: Any) -> str:
    kind = type(value)
    module = "" if kind.__module__ == "builtins" else kind.__module__.split(".")[0] + "."
    standard = {"datetime.", "decimal.", "uuid.", "ipaddress.", "asyncpg.", "hypern."}
    return f"`{kind.__name__ if module in standard else module + kind.__name__}`"


def _short(text: str) -> str:
    cut = text if len(text) <= 40 else text[:30] + "..."
    return "`" + cut.replace("|", "\\|") + "`"
