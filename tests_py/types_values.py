"""Values of every built-in type that can be stored, edge values first among them.

The tests here send each, read it back, and ask the server for its text.
"""

from __future__ import annotations

import math
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from ipaddress import ip_address, ip_interface, ip_network
from typing import Any
from uuid import UUID

from hypern import Range

UTC = timezone.utc
NOON = datetime(2024, 2, 29, 12, tzinfo=UTC)
OFFSET = timezone(timedelta(hours=-3, minutes=-30))
SECONDS_OFFSET = timezone(timedelta(hours=1, minutes=2, seconds=3))

# Type name, then values that come back equal and of the same type.
VALUES: dict[str, list[Any]] = {
    "bool": [True, False],
    "bytea": [b"", b"\0\x01\xff\\", bytes(range(256)) * 100],
    '"char"': ["x"],
    "name": ["a_name", "ünïcode"],
    "int2": [0, 1, -(2**15), 2**15 - 1],
    "int4": [0, 1, -(2**31), 2**31 - 1],
    "int8": [0, 1, -(2**63), 2**63 - 1],
    "int2vector": [[1, -2, 3], []],
    "oidvector": [[1, 2**32 - 1], []],
    "oid": [0, 2**32 - 1],
    "xid": [5, 2**32 - 1],
    "cid": [5],
    "xid8": [0, 2**64 - 1],
    "tid": ["(1,2)"],
    "float4": [0.0, -1.5, math.inf, -math.inf],
    "float8": [0.1, 1 / 3, 1.7976931348623157e308, 5e-324, math.inf, -math.inf],
    "numeric": [
        Decimal(0),
        Decimal("0.00"),
        Decimal("-0.00010"),
        Decimal("1.50"),
        Decimal("9999.9999"),
        Decimal("100000000.00000001"),
        Decimal("9" * 131_072),
        Decimal("1e-16383"),
        Decimal("Infinity"),
        Decimal("-Infinity"),
    ],
    "money": ["$1,234.50", "-$0.01"],
    "text": ["", "plain", "Grüße, 世界 😀", "x" * 100_000, "NULL", '"quoted" \\ and {braces}'],
    "varchar": ["", "x"],
    "bpchar": ["x"],
    "refcursor": ["cursor name"],
    "json": [{}, {"b": 1, "a": [1, 2.5, None, True, "é"]}, "[1]", 5, {"big": 10**40}],
    "jsonb": [{}, [], {"a": [{"b": None}], "big": 10**40}, 5, -2.5, True],
    "jsonpath": ['$."a"[*]'],
    "uuid": [UUID(int=0), UUID(int=2**128 - 1), UUID("12345678-1234-5678-1234-567812345678")],
    "date": [date.min, date(1999, 12, 31), date(2000, 2, 29), date.max],
    "time": [time(0), time(23, 59, 59, 999_999)],
    "timetz": [time(0, tzinfo=UTC), time(1, 2, 3, 4, OFFSET), time(5, tzinfo=SECONDS_OFFSET)],
    "timestamp": [datetime.min, datetime(1999, 12, 31, 23, 59, 59, 999_999), datetime.max],
    "timestamptz": [datetime.min.replace(tzinfo=UTC), NOON, datetime.max.replace(tzinfo=UTC)],
    "interval": [
        timedelta(0),
        timedelta(days=-1, microseconds=1),
        timedelta(days=400, hours=5, microseconds=7),
        timedelta.min,
        timedelta.max,
    ],
    "inet": [
        ip_address("10.0.0.1"),
        ip_interface("10.0.0.1/8"),
        ip_address("::1"),
        ip_interface("fe80::1/64"),
    ],
    "cidr": [ip_network("10.0.0.0/8"), ip_network("10.0.0.1/32"), ip_network("2001:db8::/32")],
    "macaddr": ["08:00:2b:01:02:03"],
    "macaddr8": ["08:00:2b:01:02:03:04:05"],
    "bit(3)": ["101"],
    "varbit": ["", "10101"],
    "point": ["(1,-2.5)"],
    "line": ["{1,-1,0}"],
    "lseg": ["[(0,0),(1,1)]"],
    "box": ["(3,4),(1,2)"],
    "path": ["[(0,0),(1,1)]", "((0,0),(1,1))"],
    "polygon": ["((0,0),(1,0),(1,1))"],
    "circle": ["<(0,0),5>"],
    "tsvector": ["'a':1 'fat':2A"],
    "tsquery": ["'fat' & 'rat'"],
    "pg_lsn": ["16/B374D848"],
    "pg_snapshot": ["10:20:10,14,15"],
    "txid_snapshot": ["10:20:10,14,15"],
    "aclitem": ["pg_monitor=r/pg_monitor"],
    "regclass": ["pg_class"],
    "regtype": ["integer"],
    "regproc": ["now"],
    "regprocedure": ["sum(integer)"],
    "regoper": ["||/"],
    "regoperator": ["*(integer,integer)"],
    "regnamespace": ["pg_catalog"],
    "regrole": ["pg_monitor"],
    "regconfig": ["english"],
    "regdictionary": ["simple"],
    "regcollation": ['"C"'],
    "int4range": [Range(1, 5), Range(None, 5), Range(1, None), Range(), Range(empty=True)],
    "int8range": [Range(-(2**63), 2**62)],
    "numrange": [
        Range(Decimal("1.50"), Decimal(2), "[]"),
        Range(Decimal("-Infinity"), Decimal(0), "()"),
    ],
    "daterange": [Range(date(2024, 1, 1), date(2024, 2, 1))],
    "tsrange": [Range(datetime(2024, 1, 1), None), Range(datetime.min, datetime.max, "(]")],
    "tstzrange": [Range(NOON, None), Range(None, NOON, "(]")],
    "int4multirange": [[], [Range(1, 2), Range(5, None)]],
    "int8multirange": [[Range(1, 2)]],
    "nummultirange": [[Range(Decimal(1), Decimal(2), "[]")]],
    "datemultirange": [[Range(None, date(2024, 2, 1))]],
    "tsmultirange": [[Range(datetime(2024, 1, 1), None)]],
    "tstzmultirange": [[Range(NOON, None)]],
}
# What a str means here: JSON's own text.
AS_PARSED = {("json", "[1]"): [1]}
