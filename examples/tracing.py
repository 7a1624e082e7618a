"""A span of OpenTelemetry for each statement, made by the hook of `Database.on_statement`.

The spans are children of the current span, which a framework's instrumentation has begun for the
request. Their attributes follow OpenTelemetry's semantic conventions for databases. They contain no
parameter values, since the hook does not receive any.
"""

from __future__ import annotations

import time

from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, TracerProvider

from hypern.database import Database


def trace_statements(provider: TracerProvider | None = None) -> None:
    """Make a span of each statement of this process from now on.

    provider: of the spans; None is the global one, which opentelemetry-instrument sets.
    """
    tracer = trace.get_tracer("hypern", tracer_provider=provider)

    @Database.on_statement
    def record(sql: str, seconds: float, rows: int, sqlstate: str | None) -> None:
        ended = time.time_ns()  # the hook is called as soon as a statement has ended
        operation = sql.split(maxsplit=1)[0].upper() if sql.strip() else "QUERY"
        span = tracer.start_span(
            operation,
            kind=SpanKind.CLIENT,
            start_time=ended - int(seconds * 1e9),
            attributes={
                "db.system.name": "postgresql",
                "db.operation.name": operation,
                "db.query.text": sql,
                "db.response.returned_rows": rows,
            },
        )
        if sqlstate is not None:
            _failed(span, sqlstate)
        span.end(ended)


def _failed(span: Span, sqlstate: str) -> None:
    span.set_attribute("db.response.status_code", sqlstate)
    span.set_attribute("error.type", sqlstate)
    span.set_status(Status(StatusCode.ERROR))
