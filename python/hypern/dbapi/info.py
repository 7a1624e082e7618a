"""`Connection.info`: where a connection leads, and what its server reports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypern.session.steps import later

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from hypern.dbapi.base import BaseConnection
    from hypern.session.steps import Steps


class BaseInfo:
    """What is known without a question to the server. It has no password."""

    def __init__(self, connection: BaseConnection) -> None:
        self._connection = connection

    @property
    def host(self) -> str:
        """The host, or the directory of the socket; several are separated by commas."""
        return self._keyword("host")

    @property
    def port(self) -> int:
        """The port, the first of several."""
        return int(self._keyword("port").partition(",")[0])

    @property
    def dbname(self) -> str:
        """The name of the database."""
        return self._keyword("dbname")

    @property
    def user(self) -> str:
        """The name of the role that has logged in."""
        return self._keyword("user")

    @property
    def encoding(self) -> str:
        """Always "utf-8"."""
        return "utf-8"

    def get_parameters(self) -> dict[str, str]:
        """The keywords of the connection string as they were resolved, without the password."""
        keywords = self._connection._pool.settings.conninfo
        return {name: value for name, value in keywords.items() if name not in _SECRET}

    @property
    def dsn(self) -> str:
        """The same in the form key=value."""
        return conninfo(self.get_parameters())

    def _keyword(self, name: str) -> str:
        return self._connection._pool.settings.conninfo[name]

    def _asking(self, sql: str, params: list[str] | None = None) -> Steps[Any]:
        """A question that opens no transaction."""
        result = yield self._connection._usable().result(sql, params)
        return result.rows[0][0]


_SECRET = frozenset({"password", "sslpassword", "passfile"})
_VERSION = "SELECT pg_catalog.current_setting('server_version_num')::pg_catalog.int4"
_PID = "SELECT pg_catalog.pg_backend_pid()"
_SETTING = "SELECT pg_catalog.current_setting($1, true)"


class ConnectionInfo(BaseInfo):
    """Made by `Connection`. The properties below ask the server."""

    def __init__(self, connection: BaseConnection, run: Callable[[Steps[Any]], Any]) -> None:
        super().__init__(connection)
        self._run = run

    @property
    def server_version(self) -> int:
        """The server's version as a number: 180001 is 18.1."""
        return int(self._ask(_VERSION))

    @property
    def backend_pid(self) -> int:
        """The number of the server's process."""
        return int(self._ask(_PID))

    def parameter_status(self, name: str) -> str | None:
        """The value of a setting of the server; None if it has none of that name."""
        value: str | None = self._ask(_SETTING, [name])
        return value

    def _ask(self, sql: str, params: list[str] | None = None) -> Any:
        return self._run(self._asking(sql, params))


class AsyncConnectionInfo(BaseInfo):
    """Made by `AsyncConnection`. What asks the server is awaited."""

    async def server_version(self) -> int:
        """The server's version as a number: 180001 is 18.1."""
        return int(await self._ask(_VERSION))

    async def backend_pid(self) -> int:
        """The number of the server's process."""
        return int(await self._ask(_PID))

    async def parameter_status(self, name: str) -> str | None:
        """The value of a setting of the server; None if it has none of that name."""
        value: str | None = await self._ask(_SETTING, [name])
        return value

    async def _ask(self, sql: str, params: list[str] | None = None) -> Any:
        return await later(self._connection._noting(self._asking(sql, params)))


def conninfo(keywords: Mapping[str, str]) -> str:
    """A connection string in the form key=value."""
    return " ".join(f"{name}={_quoted(value)}" for name, value in sorted(keywords.items()))


def _quoted(value: str) -> str:
    if value and not any(character in " '\\" or character.isspace() for character in value):
        return value
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
