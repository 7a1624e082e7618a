"""`timeout=` while much is encoded and sent: one large parameter, or many short statements."""

from __future__ import annotations

import time

import pytest
from either import db, scope
from reliability.fault_proxy import allowed_delay
from reliability.own_server import PASSWORD, OwnServer

from hypern import errors
from hypern.database import Database

pytestmark = pytest.mark.usefixtures("kind")


@pytest.mark.parametrize("ssl", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize(
    "value",
    ["x" * 300_000_000, b"x" * 300_000_000, list(range(5_000_000))],
    ids=["str", "bytes", "list"],
)
def test_a_parameter_of_hundreds_of_megabytes(
    request: pytest.FixtureRequest, own_server: OwnServer, value: str | bytes | list[int], ssl: bool
) -> None:
    """The clock is watched while it is encoded and sent; unsent, it costs no connection."""
    server = request.getfixturevalue("tls_server") if ssl else own_server
    sslmode = "require" if ssl else "disable"
    Database.configure(server.url(sslmode=sslmode), alias="large", password=PASSWORD)
    kind = "text" if isinstance(value, str) else "bytea" if isinstance(value, bytes) else "int[]"
    sql = f"SELECT $1::{kind} IS NULL"
    with scope():
        session = db(alias="large")
        pid = session.query_value("SELECT pg_backend_pid()")
        for timeout in (0.02, 0.02, 0.4):  # described first, then known
            began = time.monotonic()
            try:
                assert session.query_value(sql, [value], timeout=timeout) is False
            except (errors.QueryCanceled, errors.ConnectionLost) as error:
                raised: errors.Error | None = error
            else:
                raised = None
            took = time.monotonic() - began
            before, pid = pid, session.query_value("SELECT pg_backend_pid()")
            if "were encoded" in str(raised):
                assert (pid, raised is not None and raised.safe_to_retry) == (before, True)
            assert took < timeout + 0.35 + allowed_delay(began), (took, timeout)
    Database.close("large")


def test_execute_many_of_short_statements_keeps_its_connection(own_server: OwnServer) -> None:
    """A request to cancel between two statements has no effect, so others follow at once."""
    Database.configure(own_server.url(sslmode="disable"), alias="many", password=PASSWORD)
    rows = [[n] for n in range(300_000)]
    lost = 0
    with scope():
        session = db(alias="many")
        session.execute("CREATE TABLE IF NOT EXISTS short (n int)")
        for n in range(20):
            with pytest.raises((errors.QueryCanceled, errors.ConnectionLost)) as caught:
                session.execute_many("INSERT INTO short VALUES ($1)", rows, timeout=0.2 + 0.003 * n)
            lost += isinstance(caught.value, errors.ConnectionLost)
        assert session.query_value("SELECT count(*) FROM short") == 0
    assert lost <= 3, lost  # with one request every 50 ms it is 6
    Database.close("many")
