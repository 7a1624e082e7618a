"""What differs from Django's PostgreSQL backend: how values are sent."""

from __future__ import annotations

import contextlib
import sys
from typing import Any, Final

from django.db import DataError
from django.db.backends.postgresql.creation import DatabaseCreation as BaseCreation
from django.db.backends.postgresql.features import DatabaseFeatures as BaseFeatures
from django.db.backends.postgresql.operations import DatabaseOperations as BaseOperations
from django.db.backends.postgresql.operations import get_json_dumps
from django.db.backends.postgresql.schema import DatabaseSchemaEditor as BaseSchemaEditor
from django.utils.functional import cached_property

from hypern.django import driver
from hypern.django.binding import MAX_PARAMETERS, composed
from hypern.django.casts import literal
from hypern.django.values import Int2, Int8
from hypern.errors import DuplicateDatabase, Error


class DatabaseFeatures(BaseFeatures):
    """Parameters are sent beside the text."""

    uses_server_side_binding = True
    max_query_params = MAX_PARAMETERS
    django_test_expected_failures: Any = cached_property(lambda self: set())  # they pass here
    prohibits_null_characters_in_text_exception = (
        DataError,
        "parameter $1: this str has a NUL character",
    )


_WIDTHS: Final[dict[str, type[int]]] = {
    "SmallIntegerField": Int2,
    "PositiveSmallIntegerField": Int2,
    "BigIntegerField": Int8,
    "PositiveBigIntegerField": Int8,
}


class DatabaseOperations(BaseOperations):
    """Values are hypern's."""

    def compose_sql(self, sql: str, params: Any) -> str:
        return composed(sql, params)

    def bulk_batch_size(self, fields: Any, objs: Any) -> int:
        return MAX_PARAMETERS // len(fields) if fields else len(objs)

    def last_executed_query(self, cursor: Any, sql: str, params: Any) -> Any:
        if params is None:
            return sql
        with contextlib.suppress(Error, TypeError):
            return composed(sql, params)
        return None

    def adapt_integerfield_value(self, value: Any, internal_type: str) -> Any:
        width = _WIDTHS.get(internal_type)
        if width is None or value is None or hasattr(value, "resolve_expression"):
            return value
        return width(value)

    def adapt_ipaddressfield_value(self, value: Any) -> Any:
        return str(value) if value else None

    def adapt_json_value(self, value: Any, encoder: Any) -> Any:
        return driver.Jsonb(value, dumps=get_json_dumps(encoder))


class DatabaseSchemaEditor(BaseSchemaEditor):
    """Literals are hypern's."""

    def quote_value(self, value: Any) -> str:
        return literal(value)


class DatabaseCreation(BaseCreation):
    """Errors are hypern's."""

    def _execute_create_test_db(self, cursor: Any, parameters: Any, keepdb: bool = False) -> None:
        try:
            if keepdb and self._database_exists(  # type: ignore[attr-defined]
                cursor, parameters["dbname"]
            ):
                return
            super(BaseCreation, self)._execute_create_test_db(  # type: ignore[misc]
                cursor, parameters, keepdb
            )
        except Exception as error:
            if not isinstance(error.__cause__, DuplicateDatabase):
                self.log(f"Got an error creating the test database: {error}")
                sys.exit(2)
            if not keepdb:
                raise
