"""The example that turns the statement hook into OpenTelemetry spans."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from examples.tracing import trace_statements
from hypern import errors
from hypern.database import Database, adb, db, scope


@pytest.fixture
def provider() -> TracerProvider:
    return TracerProvider()


@pytest.fixture
def spans(provider: TracerProvider, configured: str) -> Iterator[InMemorySpanExporter]:
    """Where the spans of all statements go while the test runs."""
    exporter = InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace_statements(provider)
    yield exporter
    Database.on_event(None)


def test_each_statement_is_a_child_of_the_requests_span(
    spans: InMemorySpanExporter, provider: TracerProvider
) -> None:
    with provider.get_tracer("test").start_as_current_span("GET /users"), scope():
        assert len(db().query("SELECT generate_series(1, $1::int) AS n", [3])) == 3
        with pytest.raises(errors.DivisionByZero):
            db().query("\n  select 1 / 0")
        db().query("SELECT pg_sleep(0.1)")
    good, bad, slow, request = spans.get_finished_spans()
    assert good.name == "SELECT"
    assert good.kind is SpanKind.CLIENT
    assert good.attributes is not None
    attributes = dict(good.attributes)
    assert isinstance(attributes.pop("hypern.wait_secs"), float)
    assert isinstance(attributes.pop("server.port"), int)
    assert attributes.pop("server.address")
    assert str(attributes.pop("db.namespace")).startswith("hypern_test_")
    assert attributes == {
        "db.system.name": "postgresql",
        "db.operation.name": "SELECT",
        "db.query.text": "SELECT generate_series(1, $1::int) AS n",
        "db.response.returned_rows": 3,
    }
    assert good.status.status_code is StatusCode.UNSET
    assert bad.attributes is not None
    assert bad.name == "SELECT"
    assert bad.attributes["db.response.status_code"] == "22012"
    assert bad.status.status_code is StatusCode.ERROR
    for span in (good, bad, slow):
        assert span.parent is not None
        assert span.parent.span_id == request.context.span_id
        assert request.start_time is not None
        assert span.start_time is not None
        assert span.end_time is not None
        assert request.start_time <= span.start_time < span.end_time
    assert slow.end_time is not None
    assert slow.start_time is not None
    assert slow.end_time - slow.start_time >= 100_000_000


def test_awaited_statements_belong_to_the_span_of_their_task(
    spans: InMemorySpanExporter, provider: TracerProvider
) -> None:
    async def request(name: str) -> None:
        with provider.get_tracer("test").start_as_current_span(name):
            async with scope():
                await adb().query(f"SELECT '{name}', pg_sleep(0.05)")

    async def main() -> None:
        await asyncio.gather(*(request(f"request {n}") for n in range(4)))

    asyncio.run(main())
    finished = spans.get_finished_spans()
    requests = {s.context.span_id: s.name for s in finished if s.name != "SELECT"}
    statements = [s for s in finished if s.name == "SELECT"]
    assert len(statements) == len(requests) == 4
    for span in statements:
        assert span.parent is not None
        assert span.attributes is not None
        assert requests[span.parent.span_id] in str(span.attributes["db.query.text"])
