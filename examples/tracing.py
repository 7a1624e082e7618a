"""A span of OpenTelemetry for each statement, made by the hook of `Database.on_event`.

The spans are children of the current span, which a framework's instrumentation has begun for the
request. Their attributes follow OpenTelemetry's semantic conventions for databases. They contain no
parameter values, since the hook does not receive any.
"""

from __future__ import annotations

import time

from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, TracerProvider

from hypern.database import Database, Event


def trace_statements(provider: TracerProvider | None = None) -> None:
    """Make a span of each statement of this process from now on.

    provider: of the spans; None is the global one, which opentelemetry-instrument sets.
    """
    tracer = trace.get_tracer("hypern", tracer_provider=provider)

    @Database.on_event
    def record(event: Event) -> None:
        ended = time.time_ns()  # the hook is called as soon as a statement has ended
        words = event.sql.split(maxsplit=1)
        operation = words[0].upper() if words else "QUERY"
        attributes: dict[str, str | int | float] = {
            "db.system.name": "postgresql",
            "db.namespace": event.database,
            "db.operation.name": operation,
            "db.query.text": event.sql,
            "db.response.returned_rows": event.rows,
            "hypern.wait_secs": event.wait_secs,
        }
        if event.label is not None:
            attributes["db.query.summary"] = event.label
        if event.batch_size is not None and event.batch_size > 1:
            attributes["db.operation.batch.size"] = event.batch_size
        if event.host is not None and event.port is not None:
            attributes["server.address"] = event.host
            attributes["server.port"] = event.port
        span = tracer.start_span(
            operation,
            kind=SpanKind.CLIENT,
            start_time=ended - int(event.seconds * 1e9),
            attributes=attributes,
        )
        if event.sqlstate is not None:
            _failed(span, event.sqlstate)
        span.end(ended)


def _failed(span: Span, sqlstate: str) -> None:
    span.set_attribute("db.response.status_code", sqlstate)
    span.set_attribute("error.type", sqlstate)
    span.set_status(Status(StatusCode.ERROR))
