"""`hypern_guard = error`: a test that would leave something in a database fails instead.

A test that has neither `db_session` nor its marker gets sessions whose transactions are read only
unless it asks for others. So the server refuses what would stay, and reads are free. Fixtures of a
wider scope than a test, which make the schema for instance, are not guarded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from hypern.testing import MARKER

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

_REFUSED = pytest.StashKey[list[str]]()  # a test's statements that the server has refused


@pytest.fixture(autouse=True)
def _hypern_guard(request: pytest.FixtureRequest) -> Iterator[None]:
    """Guard a test that neither undoes what it does nor says that its commits are real."""
    item = request.node
    if "db_session" in request.fixturenames or item.get_closest_marker(MARKER) is not None:
        yield
        return
    from hypern import _native
    from hypern.pool import registry
    from hypern.testing.guarded import GuardedPools

    refused: list[str] = []
    item.stash[_REFUSED] = refused
    pools = GuardedPools(refused)

    def open_session(alias: str, request_id: str, *options: Any) -> Any:
        registry.status(alias)  # raises if it is not configured
        return pools.session(alias, request_id, *options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "open_session", open_session)
        patch.setattr(_native, "sessions", pools.find)
        try:
            yield
        finally:
            pools.close()
    _fail(item)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Have the test itself fail, whatever it has made of the server's refusal."""
    try:
        return (yield)
    finally:
        _fail(item)


def _fail(item: pytest.Item) -> None:
    refused = item.stash.get(_REFUSED, [])
    if not refused:
        return
    first = " ".join(refused[0].split())[:200]
    refused.clear()
    pytest.fail(
        f"the test writes to a database, where what it commits would stay: {first}\n"
        "Give it the fixture db_session, which undoes that, or mark it with "
        f"@pytest.mark.{MARKER} (hypern_guard = error)",
        pytrace=False,
    )
