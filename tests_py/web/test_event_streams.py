"""The examples of server-sent events over HTTP: many clients on one connection that listens."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from reliability.own_server import OwnServer
from support import wait_until
from web.serving import Client, serving

from hypern.database import Database, db, scope

# The command, and how many clients it is tried with: Flask's own server has a thread for each.
EXAMPLES = {
    "FastAPI": ("-m uvicorn --port {port} examples.fastapi_events:app", 1000),
    "Flask": ("-m flask --app examples.flask_events run -p {port}", 60),
}
LISTENING = (
    "SELECT pid FROM pg_stat_activity "
    "WHERE application_name = 'hypern listen' AND datname = current_database()"
)


@pytest.fixture(scope="module")
def own_server() -> Iterator[OwnServer]:
    """A server that can be restarted."""
    server = OwnServer()
    yield server
    server.remove()


class Stream:
    """A client of GET /events."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, port: int) -> Stream:
        """Connect, and wait until the endpoint listens."""
        stream = cls(*await asyncio.open_connection("127.0.0.1", port))
        stream._writer.write(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await stream.until("event: ready")
        return stream

    async def until(self, line: str) -> list[str]:
        """Read up to this line; the lines of events before it."""
        before: list[str] = []
        while True:
            read = (await asyncio.wait_for(self._reader.readline(), 60)).decode().rstrip("\r\n")
            assert read or not self._reader.at_eof(), "the stream has ended"
            if read == line:
                return before
            if read.startswith(("data: ", "event: ")):
                before.append(read)

    async def close(self) -> None:
        """Disconnect."""
        self._writer.close()
        await self._writer.wait_closed()


@pytest.mark.parametrize("name", EXAMPLES)
def test_all_clients_get_each_event_through_losses_and_a_restart(
    name: str, own_server: OwnServer, tmp_path: Path
) -> None:
    command, clients = EXAMPLES[name]
    url = own_server.url(user="postgres")
    Database.close()
    Database.configure(url, alias="default", max_size=2)

    def order(text: str) -> None:
        with Client(server.port) as client:
            assert client.request("POST", "/orders", {"text": text})[0] == 201

    def listening() -> list[int]:
        with scope():
            return db().query_values(LISTENING)

    async def each_gets(streams: list[Stream], text: str) -> None:
        await asyncio.to_thread(order, text)
        for before in await asyncio.gather(*(stream.until(f"data: {text}") for stream in streams)):
            assert before == []

    async def run() -> None:
        streams = []
        for begin in range(0, clients, 50):
            some = range(begin, min(begin + 50, clients))
            streams += await asyncio.gather(*(Stream.open(server.port) for _ in some))
        assert len(listening()) == 1
        await each_gets(streams, "first")
        with scope():
            db().query("SELECT pg_terminate_backend(pid) FROM unnest($1::int[]) pid", [listening()])
        await asyncio.gather(*(stream.until("event: reload") for stream in streams))
        await each_gets(streams, "second")
        await asyncio.to_thread(own_server.stop, "fast")
        await asyncio.to_thread(own_server.start)
        await asyncio.gather(*(stream.until("event: reload") for stream in streams))
        await each_gets(streams, "third")
        await asyncio.gather(*(stream.close() for stream in streams))

    with serving(command, url, tmp_path / "log") as server:
        asyncio.run(run())
        if name == "FastAPI":  # uvicorn notices that its clients have gone
            wait_until(lambda: listening() == [], 20)
    wait_until(lambda: listening() == [], 20)
    Database.close()
    assert "Traceback" not in (tmp_path / "log").read_text()
