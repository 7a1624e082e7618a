"""Odyssey, that of tools/poolers.py."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from poolers.pooler import PORT, SERVER_CONNECTIONS, Kind, Pooler, running

from tools import poolers

_CONFIGURATION = """
daemonize no
log_format "%p %t %l [%i %s] (%c) %m\\n"
log_to_stdout yes
unix_socket_dir "{room}"
unix_socket_mode "0777"
workers 1
coroutine_stack_size 24
listen {{
    port {port}
}}
storage "server" {{
    type "remote"
    {address}
}}
database default {{
    user default {{
        authentication "none"
        storage "server"
        storage_db "{dbname}"
        storage_user "{user}"
        {password}
        pool "{mode}"
        pool_size {size}
        {settings}
    }}
}}
"""


@contextmanager
def start(database: str, kind: Kind, settings: str) -> Iterator[Pooler]:
    """An Odyssey with these lines in its rule."""

    def prepare(room: Path, server: dict[str, str]) -> list[str]:
        host, port = server.get("host", "localhost"), server.get("port", "5432")
        if host.startswith("/"):  # it looks for the server's socket where its own is
            (room / f".s.PGSQL.{port}").symlink_to(f"{host}/.s.PGSQL.{port}")
            address = f"port {port}"
        else:
            address = f'host "{host}"\n    port {port}'
        password = f'storage_password "{server["password"]}"' if "password" in server else ""
        (room / "odyssey.conf").write_text(
            _CONFIGURATION.format(
                room=room,
                port=PORT,
                address=address,
                dbname=server["dbname"],
                user=server.get("user", "postgres"),
                password=password,
                mode=kind.mode,
                size=SERVER_CONNECTIONS,
                settings=settings,
            )
        )
        return [*poolers.command("odyssey"), str(room / "odyssey.conf")]

    with running(kind, database, prepare, "bounced") as pooler:
        yield pooler
