"""A span of OpenTelemetry for each statement, made of what `Database.on_statement` tells.

The spans are children of the one that is current where the statement is run, which a framework's
instrumentation has begun for the request. Attributes are named as OpenTelemetry's semantic
conventions for databases have it. Parameter values are in none of them: the hook is not told any.
"""

from __future__ import annotations

import time

from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, TracerProvider

from hypern.database import Database


def trace_statements(provider: TracerProvider | None = None) -> None:
    """Begin: from now on each statement of this process becomes a span.

    provider: whose spans; None: the global one, as opentelemetry-instrument sets it up.
    """
    tracer = trace.get_tracer("hypern", tracer_provider=provider)

    @Database.on_statement
    def record(sql: str, seconds: float, rows: int, sqlstate: str | None) -> None:
        ended = time.time_ns()  # the hook is called at once when a statement has ended
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
