"""The HTTP server of one worker: the standard library's, with a request scope per request."""

from __future__ import annotations

import json
import os
import uuid
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from demo.app import JSON, ROUTES, Request
from demo.databases import ALIASES
from hypern.database import Database, scope
from hypern.errors import IntegrityError


class Server(ThreadingHTTPServer):
    """Listens on a free port of this machine from the moment it is made."""

    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)


class Handler(BaseHTTPRequestHandler):
    """One connection of a client: a thread, which answers one request after the other."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """Tell how this worker's pools are."""
        self._send(HTTPStatus.OK, pools_of_this_process())

    def do_POST(self) -> None:
        """Run the application's function for the path."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        request = Request(id=uuid.uuid4().hex, body=body)
        status, answer = run(self.path, request)
        self._send(status, {**answer, "request_id": request.id, "written": request.written})

    def _send(self, status: HTTPStatus, answer: JSON) -> None:
        data = json.dumps(answer, default=str).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_request(self, code: Any = "-", size: Any = "-") -> None:
        """Keep quiet: the summary tells of every request."""


def run(path: str, request: Request) -> tuple[HTTPStatus, JSON]:
    """Run a request in a scope of its own. Its transactions are over when this returns."""
    if path not in ROUTES:
        return HTTPStatus.NOT_FOUND, {"error": f"no such path: {path}"}
    try:
        with scope(request.id):
            answer = ROUTES[path](request)
    except IntegrityError as error:
        return HTTPStatus.CONFLICT, {"error": str(error), "constraint": error.constraint}
    except Exception as error:
        return HTTPStatus.INTERNAL_SERVER_ERROR, {"error": f"{type(error).__name__}: {error}"}
    return HTTPStatus.OK, answer


def pools_of_this_process() -> JSON:
    """The status of each pool, as this worker sees it."""
    return {"pid": os.getpid(), "pools": {alias: _status(alias) for alias in ALIASES}}


def _status(alias: str) -> JSON:
    status = Database.status(alias)
    return {
        name: getattr(status, name)
        for name in ("size", "available", "in_use", "waiting", "max_size")
    }
