"""Serving the application: uvicorn in this process, or gunicorn over several processes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import uvicorn

if TYPE_CHECKING:
    from hypern.web.asgi import ASGIApp


def serve(app: ASGIApp, host: str, port: int, workers: int, *, log_requests: bool) -> None:
    """Serve until SIGINT or SIGTERM. Several workers are forked from this process and replaced when
    they die; each has its own pools.
    """
    if isinstance(workers, bool) or not isinstance(workers, int) or workers < 1:
        raise ValueError(f"workers must be a whole number from 1, not {workers!r}")
    if workers == 1:
        uvicorn.run(app, host=host, port=port, access_log=log_requests)
    else:
        _serve_in_workers(app, host, port, workers, log_requests)


def _serve_in_workers(app: ASGIApp, host: str, port: int, workers: int, log_requests: bool) -> None:
    from gunicorn.app.base import BaseApplication

    class Loaded(BaseApplication):
        """The application for gunicorn: already loaded, with its settings."""

        def load_config(self) -> None:
            address = f"[{host}]" if ":" in host else host
            self.cfg.set("bind", f"{address}:{port}")
            self.cfg.set("workers", workers)
            self.cfg.set("worker_class", "uvicorn_worker.UvicornWorker")
            self.cfg.set("accesslog", "-" if log_requests else None)
            if "control_socket_disable" in self.cfg.settings:  # gunicorn 25 and later
                self.cfg.set("control_socket_disable", True)

        def load(self) -> Any:
            return app

    Loaded().run()
