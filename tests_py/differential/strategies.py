"""For each type the values that Python and PostgreSQL share, as hypothesis draws them."""

from __future__ import annotations

from datetime import timedelta, timezone
from decimal import Decimal
from ipaddress import IPv4Network, IPv6Network, ip_interface
from typing import Any

from hypothesis import strategies as st

from hypern import Range

Strategy = st.SearchStrategy[Any]

# PostgreSQL stores no zero byte, and UTF-8 has no surrogates.
_text = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=60)
# A str for json is JSON's text, so that there are none outside lists and dicts.
_inner = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**40), 10**40)
    | _text
    # jsonb is made of numerics: no minus zero, and no exponent to tell a large float from an int.
    | st.floats(-1e15, 1e15).filter(lambda x: x != 0),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(_text, children, max_size=4),
    max_leaves=12,
)
_json = st.lists(_inner, max_size=4) | st.dictionaries(_text, _inner, max_size=4)
# The server keeps offsets within sixteen hours, to the second.
_offsets = st.integers(-57599, 57599).map(lambda s: timezone(timedelta(seconds=s)))
_utc = st.just(timezone.utc)


def _unfolded(moments: Strategy) -> Strategy:
    """A fold means nothing without a time zone that has summer time, and PostgreSQL has none."""
    return moments.map(lambda moment: moment.replace(fold=0))


_datetimes = _unfolded(st.datetimes())
_instants = _unfolded(st.datetimes(timezones=_utc))
_networks = st.tuples(st.ip_addresses(v=4), st.integers(0, 32)) | st.tuples(
    st.ip_addresses(v=6), st.integers(0, 128)
)


def _integers(bits: int) -> Strategy:
    return st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def _network(parts: tuple[Any, int]) -> IPv4Network | IPv6Network:
    address, length = parts
    return ip_interface(f"{address}/{length}").network


def _inet(parts: tuple[Any, int]) -> Any:
    address, length = parts
    whole = length == address.max_prefixlen
    return address if whole else ip_interface(f"{address}/{length}")


def _decimals() -> Strategy:
    finite = st.decimals(allow_nan=False, allow_infinity=False).filter(
        # Beyond the digits that the server keeps; and its numerics know neither exponents nor a
        # minus zero.
        lambda d: abs(int(d.as_tuple().exponent)) < 2000 and d != 0
    )
    return finite.map(lambda d: Decimal(format(d, "f"))) | st.sampled_from(
        [Decimal("Infinity"), Decimal("-Infinity"), Decimal("0.000")]
    )


def _ranges(bounds: Strategy) -> Strategy:
    """Ranges over a continuous type: the server leaves their bounds as they are."""
    pairs = st.lists(bounds, min_size=2, max_size=2, unique=True).map(sorted)
    kinds = st.sampled_from(["[]", "[)", "(]", "()"])
    whole = st.builds(lambda pair, kind: Range(pair[0], pair[1], kind), pairs, kinds)
    return whole | st.just(Range(empty=True)) | bounds.map(lambda low: Range(low, None, "[)"))


def _counted(bounds: Strategy) -> Strategy:
    """Ranges over a discrete type, in the form that the server gives them."""
    pairs = st.lists(bounds, min_size=2, max_size=2, unique=True).map(sorted)
    return pairs.map(lambda pair: Range(pair[0], pair[1])) | st.just(Range(empty=True))


STRATEGIES: dict[str, Strategy] = {
    "bool": st.booleans(),
    "int2": _integers(16),
    "int4": _integers(32),
    "int8": _integers(64),
    "oid": st.integers(0, 2**32 - 1),
    "xid": st.integers(0, 2**32 - 1),
    "xid8": st.integers(0, 2**64 - 1),
    "float4": st.floats(width=32, allow_nan=False),
    "float8": st.floats(allow_nan=False),
    "numeric": _decimals(),
    "text": _text,
    "varchar": _text,
    "bytea": st.binary(max_size=100),
    "json": _json,
    "jsonb": _json,
    "uuid": st.uuids(),
    "date": st.dates(),
    "time": _unfolded(st.times()),
    "timetz": _unfolded(st.times(timezones=_offsets)),
    "timestamp": _datetimes,
    "timestamptz": _instants,
    "interval": st.timedeltas(),
    "inet": _networks.map(_inet),
    "cidr": _networks.map(_network),
    "varbit": st.text("01", max_size=70),
    "int2vector": st.lists(_integers(16), max_size=5),
    "oidvector": st.lists(st.integers(0, 2**32 - 1), max_size=5),
    "int4range": _counted(_integers(32)),
    "int8range": _counted(_integers(64)),
    "daterange": _counted(st.dates()),
    "numrange": _ranges(st.decimals("-1e20", "1e20", places=3)),
    "tsrange": _ranges(_datetimes),
    "tstzrange": _ranges(_instants),
    "int4multirange": st.sets(st.integers(0, 1000), max_size=6).map(
        lambda at: [Range(n * 10, n * 10 + 5) for n in sorted(at)]
    ),
    "int4[]": st.lists(st.none() | _integers(32), max_size=5),
    "text[]": st.lists(st.none() | _text, max_size=5),
    "numeric[]": st.lists(st.none() | _decimals(), max_size=3),
    "timestamptz[]": st.lists(st.none() | _instants, max_size=3),
    "jsonb[]": st.lists(st.none() | _json, max_size=3),
}
