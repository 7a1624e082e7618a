"""Why drivers differ, type by type: each clause of docs/types.md's table has its reason here."""

from __future__ import annotations

from dataclasses import dataclass

VECTORS = frozenset({"int2vector", "oidvector"})
JSON = frozenset({"json", "jsonb"})
DATES = frozenset({"date", "timestamp", "timestamptz", "daterange", "tsrange", "tstzrange"})


@dataclass(frozen=True)
class Reason:
    """A reason for the clauses of a driver's cells that match a pattern, for some types or all."""

    driver: str
    types: frozenset[str] | None
    clause: str
    sentence: str


def _of(*names: str) -> frozenset[str]:
    return frozenset(names)


REASONS = [
    Reason("hypern", None, r"^arrays: loses `\[", "a list has no lower bounds other than its own."),
    Reason(
        "hypern",
        JSON,
        r"^cannot send",
        "a `str` for json is JSON text, as the server takes it for any type: send `json.dumps(s)`.",
    ),
    Reason(
        "hypern",
        JSON,
        r"^loses `null",
        "JSON's null and SQL's NULL are both `None`, which is sent as NULL; send `'null'`.",
    ),
    Reason(
        "hypern",
        JSON,
        r"^loses",
        "a JSON number with a point is a `float`, as in Python's json; "
        "`json_loads=` in `configure` takes another parser.",
    ),
    Reason(
        "hypern",
        DATES,
        r"^refuses",
        "Python's dates have no infinity, no BC and no year 10000: `DataError` names the column, "
        'and `infinity="minmax"` in `configure` reads infinities as `min` and `max`.',
    ),
    Reason(
        "hypern",
        _of("time", "timetz"),
        r"^refuses",
        "Python's `time` ends at 23:59:59.999999; `DataError` names the column.",
    ),
    Reason(
        "hypern",
        _of("interval"),
        r"^loses",
        "a `timedelta` has no months: one is 30 days; its days and hours are sent with one sign.",
    ),
    Reason(
        "hypern",
        _of("interval"),
        r"^refuses",
        "a `timedelta` ends at 999,999,999 days; `DataError` names the column.",
    ),
    Reason(
        "psycopg 3",
        None,
        r"reads `str`",
        "the server's text for a type it does not know; composites, hstore, enums and ranges of "
        "the user's own are read as such once their types are registered.",
    ),
    Reason(
        "psycopg 3",
        None,
        r"^reads `psycopg\.",
        "classes of its own, equal in meaning.",
    ),
    Reason(
        "psycopg 3",
        _of("float4"),
        r"^reads",
        "the text is read as double precision: another `float` than the one the server has.",
    ),
    Reason("psycopg 3", JSON, r"^cannot send", "a `dict` has to be wrapped in `Json` or `Jsonb`."),
    Reason(
        "psycopg 3",
        JSON,
        r"^loses",
        "`None` is NULL, and a `list` is sent as an array where it is not wrapped.",
    ),
    Reason(
        "psycopg 3",
        DATES | {"time", "timetz"},
        r"^refuses",
        "Python has no such value: `DataError`, as here.",
    ),
    Reason(
        "psycopg 3",
        _of("timestamptz"),
        r"^reads",
        "aware, in the session's time zone instead of UTC.",
    ),
    Reason(
        "psycopg 3",
        _of("interval"),
        r"^(reads|loses)",
        "a month is 30 days, a year 365; what is negative is sent as days before and hours after.",
    ),
    Reason("psycopg 3", _of("box"), r"^arrays: cannot", "the delimiter of box[] is a semicolon."),
    Reason("psycopg 3", None, r"^arrays: loses `\[", "as here."),
    Reason("asyncpg", _of('"char"'), r"^reads", "a byte."),
    Reason("asyncpg", VECTORS, r"^cannot", "read as a `list`, which it sends as an array."),
    Reason("asyncpg", None, r"^arrays: loses `\[", "as here."),
    Reason("asyncpg", JSON, r"^reads `str`", "JSON is text, where no codec is set."),
    Reason(
        "asyncpg",
        _of("uuid"),
        r"^reads",
        "a subclass of its own, equal to the standard one.",
    ),
    Reason(
        "asyncpg",
        DATES,
        r"^(refuses|loses)",
        "`min` and `max` stand for the infinities, so that the days they are cannot be stored; "
        "BC and the year 10000 are an error that does not name the column.",
    ),
    Reason("asyncpg", _of("time", "timetz"), r"^refuses", "Python's `time` ends before 24:00."),
    Reason("asyncpg", _of("timetz"), r"^(reads|loses)", "the seconds of an offset are dropped."),
    Reason(
        "asyncpg",
        _of("interval"),
        r"^(reads|loses)",
        "a month is 30 days, a year 365; what is negative is sent as days before and hours after.",
    ),
    Reason(
        "asyncpg",
        None,
        r"^reads `(BitString|Point|Line(Segment)?|Box|Path|Polygon|Circle|Range|Record|tuple|int)`",
        "classes of its own, tuples or numbers, equal in meaning.",
    ),
    Reason("asyncpg", None, r"^reads `\{.* as `\[", "a list of its own `Range`."),
    Reason(
        "asyncpg",
        None,
        r"^arrays: cannot",
        "what stands for one value is itself a sequence, and is taken for a dimension.",
    ),
    Reason(
        "asyncpg",
        _of("hstore", "citext", "ltree"),
        r"^arrays: refuses",
        'the list that it reads holds a null pointer for `""`: whoever uses it crashes.',
    ),
    Reason("asyncpg", _of("hstore"), r"^reads `str`", "text, where its codec is not set."),
    Reason("psqlpy", None, r"^arrays: refuses to read", "an array with NULL in it is an error."),
    Reason("psqlpy", None, r"^arrays: (loses|cannot)", "lower bounds are dropped."),
    Reason("psqlpy", None, r"^refuses to read any", "the type is not supported."),
    Reason(
        "psqlpy",
        _of("oid"),
        r"^reads",
        "numbers above 2,147,483,647 come out negative.",
    ),
    Reason(
        "psqlpy",
        _of("numeric"),
        r"^(reads|refuses|cannot|loses)",
        "28 digits, and no scale: more digits are an error or are cut off.",
    ),
    Reason("psqlpy", _of("money"), r"^reads", "an `int` of cents, whatever the currency is."),
    Reason(
        "psqlpy",
        JSON,
        r"^(reads|refuses|cannot|loses)",
        "only a `dict` or a `list` is sent as JSON; the order of keys and the digits of big "
        "integers are lost.",
    ),
    Reason("psqlpy", _of("uuid"), r"^(reads|cannot)", "a `str`, which is not taken for a uuid."),
    Reason(
        "psqlpy",
        DATES,
        r"^(refuses|reads|loses)",
        "an error for infinity, BC and the year 10000.",
    ),
    Reason("psqlpy", _of("time"), r"^loses", "24:00 becomes 00:00."),
    Reason(
        "psqlpy",
        _of("interval"),
        r"^(loses|reads)",
        "a month is 30 days; days and hours are sent back as hours alone.",
    ),
    Reason("psqlpy", _of("inet"), r"^(reads|loses)", "the mask is dropped."),
    Reason(
        "psqlpy",
        _of("macaddr", "macaddr8"),
        r"^(reads|cannot)",
        "a `str`, which is not taken for an address.",
    ),
    Reason("psqlpy", _of("point"), r"^(reads|refuses|cannot)", "a `tuple`; sending it is a panic."),
]
