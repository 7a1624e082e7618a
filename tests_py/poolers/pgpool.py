"""Pgpool-II, that of tools/poolers.py, in front of one server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from poolers.pooler import PORT, Kind, Pooler, running

from hypern.config.parse import parse
from tools import poolers

# A child process serves one client, or one request to cancel, at a time.
_CONFIGURATION = """
backend_clustering_mode = 'streaming_replication'
backend_hostname0 = '{host}'
backend_port0 = {server_port}
backend_flag0 = 'ALWAYS_PRIMARY|DISALLOW_TO_FAILOVER'
backend_weight0 = 1
listen_addresses = ''
unix_socket_directories = '{room}'
port = {port}
pcp_listen_addresses = ''
pcp_socket_dir = '{room}'
pcp_port = {pcp_port}
num_init_children = 24
process_management_mode = static
pid_file_name = '{room}/pid'
work_dir = '{room}'
pool_passwd = ''
sr_check_period = 0
health_check_period = 0
"""


@contextmanager
def start(database: str, kind: Kind, settings: str) -> Iterator[Pooler]:
    """A Pgpool-II with these lines in its configuration."""

    def prepare(room: Path, server: dict[str, str]) -> list[str]:
        (room / "pcp.conf").touch()
        (room / "pgpool.conf").write_text(
            _CONFIGURATION.format(
                room=room,
                host=server.get("host", "localhost"),
                server_port=server.get("port", "5432"),
                port=PORT,
                pcp_port=PORT + 1,
            )
            + settings
        )
        files = ["-n", "-f", str(room / "pgpool.conf"), "-F", str(room / "pcp.conf")]
        return [*poolers.command("pgpool"), *files]

    # It has clients log in to the server itself, so they name what is there.
    server = parse(database)
    with running(kind, database, prepare, server["dbname"]) as pooler:
        keywords = {"user": server.get("user", "postgres"), "password": server.get("password")}
        pooler.url = pooler.url.replace("//app@", f"//{keywords['user']}@")
        if keywords["password"]:
            pooler.url += f"&password={keywords['password']}"
        yield pooler
