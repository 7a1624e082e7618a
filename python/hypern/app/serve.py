"""Serving the application: uvicorn in this process, or gunicorn's arbiter over several."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import uvicorn

if TYPE_CHECKING:
    from hypern.app.application import Hypern


def serve(app: Hypern, host: str, port: int, workers: int) -> None:
    """Serve until SIGINT or SIGTERM. With more than one worker, those are forked from this process
    and replaced when they die; each has pools of its own.
    """
    if isinstance(workers, bool) or not isinstance(workers, int) or workers < 1:
        raise ValueError(f"workers must be a whole number from 1, not {workers!r}")
    if workers == 1:
        uvicorn.run(app, host=host, port=port, access_log=app.debug)
    else:
        _arbitrate(app, host, port, workers)


def _arbitrate(app: Hypern, host: str, port: int, workers: int) -> None:
    from gunicorn.app.base import BaseApplication

    class Arbitrated(BaseApplication):
        """The application as gunicorn wants it: already loaded, settings given."""

        def load_config(self) -> None:
            address = f"[{host}]" if ":" in host else host
            self.cfg.set("bind", f"{address}:{port}")
            self.cfg.set("workers", workers)
            self.cfg.set("worker_class", "uvicorn_worker.UvicornWorker")
            self.cfg.set("accesslog", "-" if app.debug else None)
            if "control_socket_disable" in self.cfg.settings:  # gunicorn 25 and later
                self.cfg.set("control_socket_disable", True)

        def load(self) -> Any:
            return app

    Arbitrated().run()
