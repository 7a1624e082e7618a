"""The classes of hypern.errors: their places, what they carry, how they read and pickle."""

from __future__ import annotations

import json
import logging
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from hypern import errors

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize(
    ("sqlstate", "name", "base"),
    [
        ("23505", "UniqueViolation", errors.IntegrityError),
        ("23503", "ForeignKeyViolation", errors.IntegrityError),
        ("23502", "NotNullViolation", errors.IntegrityError),
        ("23514", "CheckViolation", errors.IntegrityError),
        ("40001", "SerializationFailure", errors.OperationalError),
        ("40P01", "DeadlockDetected", errors.OperationalError),
        ("57014", "QueryCanceled", errors.OperationalError),
        ("42P01", "UndefinedTable", errors.ProgrammingError),
        ("42601", "SyntaxError", errors.ProgrammingError),
        ("25P02", "InFailedSqlTransaction", errors.InternalError),
        ("22003", "NumericValueOutOfRange", errors.DataError),
        ("0A000", "FeatureNotSupported", errors.NotSupportedError),
        ("38002", "ModifyingSqlDataNotPermittedExt", errors.OperationalError),
        ("39004", "NullValueNotAllowedExt", errors.OperationalError),
        ("XX000", "InternalError_", errors.InternalError),
        ("72000", "SnapshotTooOld", errors.DatabaseError),
        ("25P04", "TransactionTimeout", errors.InternalError),
    ],
)
def test_a_sqlstate_has_the_class_of_its_condition(
    sqlstate: str, name: str, base: type[errors.Error]
) -> None:
    cls = errors.for_sqlstate(sqlstate)
    assert cls.__name__ == name
    assert getattr(errors, name) is cls
    assert cls.sqlstate == sqlstate
    assert issubclass(cls, base)
    assert cls.__module__ == "hypern.errors"


@pytest.mark.parametrize(
    ("sqlstate", "cls"),
    [
        ("23ZZZ", errors.IntegrityError),
        ("22ZZZ", errors.DataError),
        ("HV999", errors.OperationalError),
        ("ZZ123", errors.DatabaseError),
        ("", errors.DatabaseError),
    ],
)
def test_an_unknown_sqlstate_is_judged_by_its_class(sqlstate: str, cls: type[errors.Error]) -> None:
    assert errors.for_sqlstate(sqlstate) is cls


def test_everything_is_a_runtime_error_below_error() -> None:
    assert issubclass(errors.Error, RuntimeError)
    for name in errors.__all__:
        value = getattr(errors, name)
        if isinstance(value, type):
            assert issubclass(value, errors.Error)


@pytest.mark.parametrize(
    ("cls", "base"),
    [
        (errors.InterfaceError, errors.Error),
        (errors.DatabaseError, errors.Error),
        (errors.ConfigurationError, errors.InterfaceError),
        (errors.SessionClosed, errors.InterfaceError),
        (errors.ParameterTypeError, errors.DataError),
        (errors.ParameterValueError, errors.DataError),
        (errors.ParameterOverflowError, errors.DataError),
        (errors.TransactionAborted, errors.InFailedSqlTransaction),
        (errors.NoRows, errors.DatabaseError),
        (errors.PoolTimeout, errors.OperationalError),
        (errors.PoolClosed, errors.OperationalError),
        (errors.ConnectionLost, errors.OperationalError),
        (errors.CoreUnavailable, errors.OperationalError),
    ],
)
def test_our_own_errors_have_their_place(cls: type[errors.Error], base: type[errors.Error]) -> None:
    assert cls.__base__ is base


SERVER = {
    "sqlstate": "23505",
    "severity": "ERROR",
    "message": 'duplicate key value violates unique constraint "users_email_key"',
    "detail": "Key (email)=(alice@example.com) already exists.",
    "constraint": "users_email_key",
    "schema": "public",
    "table": "users",
    "position": 0,
    "sql": "INSERT INTO users (email) VALUES ($1)",
    "row": 0,
}


def test_a_server_error_reads_and_carries_what_the_server_said() -> None:
    error = errors.from_core(json.dumps(SERVER).encode())
    assert isinstance(error, errors.UniqueViolation)
    assert str(error) == (
        'PostgreSQL error: duplicate key value violates unique constraint "users_email_key" '
        "(SQLSTATE 23505)"
    )
    assert error.message == SERVER["message"]
    assert error.detail == SERVER["detail"]
    assert (error.constraint, error.schema, error.table) == ("users_email_key", "public", "users")
    assert error.column is None
    assert error.hint is None
    assert error.position is None
    assert error.row == 0
    assert error.sql == SERVER["sql"]
    assert error.safe_to_retry is False
    assert "alice" not in str(error)


def test_kind_names_the_class_and_cause_is_chained() -> None:
    error = errors.from_core(
        json.dumps(
            {"kind": "TransactionAborted", "message": "rolled back", "cause": SERVER}
        ).encode()
    )
    assert type(error) is errors.TransactionAborted
    assert str(error) == "rolled back (SQLSTATE 25P02)"
    assert isinstance(error.__cause__, errors.UniqueViolation)


def test_an_error_of_our_own_reads_as_its_message() -> None:
    error = errors.from_core(
        b'{"kind": "ConnectionLost", "message": "the server went away", "safe_to_retry": true}'
    )
    assert type(error) is errors.ConnectionLost
    assert str(error) == "the server went away"
    assert error.safe_to_retry is True
    assert error.sqlstate is None


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_errors_pickle_with_everything_they_carry(protocol: int) -> None:
    error = errors.from_core(json.dumps(SERVER).encode())
    copy = pickle.loads(pickle.dumps(error, protocol))
    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert vars(copy) == vars(error)


def test_every_class_can_be_raised_and_pickled() -> None:
    for name in errors.__all__:
        cls = getattr(errors, name)
        if isinstance(cls, type):
            assert type(pickle.loads(pickle.dumps(cls("x")))) is cls


def test_duplicate_columns_are_logged_with_their_names(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="hypern"):
        errors.duplicate_columns("SELECT 1 AS a, 2 AS a", ["a"])
    assert '"a"' in caplog.text
    assert "SELECT 1 AS a, 2 AS a" in caplog.text


def test_the_generated_classes_are_those_of_the_table() -> None:
    subprocess.run([sys.executable, ROOT / "tools" / "gen_sqlstate.py", "--check"], check=True)
