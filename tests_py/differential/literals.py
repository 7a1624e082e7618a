"""What a server prints for a type's edge values, as the differential test feeds it to each driver.

The values of types_values.py are printed by the server; the texts here are those that Python has no
value for, or that a driver could lose something of.
"""

from __future__ import annotations

# Made in the test's database, apart from the types that PostgreSQL ships.
DEFINITIONS = """
CREATE TYPE mood AS ENUM ('ok', 'so so', 'say "x", \\');
CREATE DOMAIN positive AS int CHECK (value > 0);
CREATE TYPE address AS (street text, number int, tags text[]);
CREATE TYPE person AS (name text, home address, mood mood, notes jsonb);
CREATE TYPE floats AS RANGE (subtype = float8, multirange_type_name = floatsets)
"""

CONTRIB = ("hstore", "citext", "ltree")

MADE_HERE: dict[str, list[str]] = {
    "mood": ["ok", 'say "x", \\'],
    "positive": ["5"],
    "address": ['("a ""b"" \\\\ ,(x)",5,"{x,NULL,""""}")', "(,,)"],
    "person": ['(n,"(street,1,{a})","so so","{""a"": [1]}")'],
    "floats": ["[1.5,2.5)", "empty", "(,)"],
    "floatsets": ["{[1.5,2.5),[7,)}", "{}"],
    "hstore": ['"a"=>"1", "b"=>NULL, "c \\"q\\""=>"x=>y"', ""],
    "citext": ["MiXed", ""],
    "ltree": ["a.b.c", ""],
}

EDGES: dict[str, list[str]] = {
    "bpchar": ["padded   "],
    "name": ["x" * 63],
    "int4": ["-2147483648"],
    "float4": ["NaN", "3.4028235e+38", "1e-45", "0.1", "-0"],
    "float8": ["NaN", "-0"],
    "numeric": [
        "NaN",
        "123456789012345678901234567890.1234567890",
        "1e-9",
        "79228162514264337593543950336",
    ],
    "money": ["$92,233,720,368,547,758.07"],
    "json": ['{"b": 1, "a": 2}', "123456789012345678901234567890", '"\\u00e9"', "null", "0.1"],
    "jsonb": ['{"a": null}', "123456789012345678901234567890", "1.10", "1e400", "null"],
    "date": ["infinity", "-infinity", "0044-03-15 BC", "10000-01-01"],
    "time": ["24:00:00"],
    "timetz": ["24:00:00+00", "01:02:03.000004-15:59"],
    "timestamp": ["infinity", "-infinity", "0044-03-15 12:00:00 BC", "10000-01-01 00:00:00"],
    "timestamptz": ["infinity", "-infinity", "0044-03-15 12:00:00+00 BC"],
    "interval": [
        "1 mon",
        "1 year 2 mons 3 days 04:05:06.789",
        "178000000 years",
        "-1 days +01:00:00",
    ],
    "inet": ["10.0.0.1/32", "::ffff:1.2.3.4", "10.1.2.3/8"],
    "point": ["(NaN,Infinity)", "(0.1,1e+300)"],
    "circle": ["<(0.1,0),5.5>"],
    "bit(3)": ["000"],
    "varbit": ["0" * 65 + "1"],
    "int4range": ["[1,5)", "empty", "(,)"],
    "daterange": ["[2024-01-01,infinity)", "[2024-01-01,infinity]"],
    "numrange": ["[NaN,NaN]"],
    "xml": ['<a b="c">é</a>'],
    "record": [],
}

# More texts of arrays: of one type in full, since an array is decoded alike whatever it holds.
ARRAYS: dict[str, list[str]] = {
    "int4": ["{}", "{{1,2},{3,NULL}}", "[0:1]={1,2}"],
    "text": ['{NULL,"NULL",""}', '{"a \\"b\\" {c}, d\\\\"}'],
}
