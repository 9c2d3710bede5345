"""The servers that tests put in front of applications."""

from __future__ import annotations

import asyncio
import inspect
import socket
from typing import Any


def serve(app: Any, server: str, listener: socket.socket, workers: int = 1) -> None:
    """Serve until killed; `workers` are processes, where the server has them."""
    if server == "uvicorn":
        import uvicorn

        uvicorn.Server(uvicorn.Config(app, log_level="critical")).run(sockets=[listener])
    elif server == "waitress":
        import waitress

        waitress.serve(app, sockets=[listener], threads=50)
    elif server.startswith("gunicorn"):
        gunicorn(app, server.removeprefix("gunicorn").lstrip("-") or "gthread", listener, workers)
    elif server == "granian":
        granian(app, listener, workers)
    elif server == "hypercorn":
        from hypercorn.asyncio import serve as hypercorn
        from hypercorn.config import Config

        config = Config()
        config.bind = [f"fd://{listener.fileno()}"]
        asyncio.run(hypercorn(app, config))
    elif server == "sanic":
        app.run(sock=listener, single_process=True, access_log=False, motd=False)
    elif server == "aiohttp":
        from aiohttp import web

        web.run_app(app, sock=listener, print=None, access_log=None)
    else:
        from tornado.httpserver import HTTPServer

        async def forever() -> None:
            HTTPServer(app).add_socket(listener)
            await asyncio.Event().wait()

        listener.setblocking(False)
        asyncio.run(forever())


def gunicorn(app: Any, worker: str, listener: socket.socket, workers: int) -> None:
    """Serve with workers of this class, forked when the application is there."""
    from gunicorn.app.base import BaseApplication

    class Served(BaseApplication):  # type: ignore[misc]
        def load_config(self) -> None:
            self.cfg.set("bind", f"fd://{listener.fileno()}")
            self.cfg.set("worker_class", {"uvicorn": "uvicorn.workers.UvicornWorker"}.get(worker, worker))
            if worker == "gthread":
                self.cfg.set("threads", 50)
            self.cfg.set("workers", workers)
            self.cfg.set("loglevel", "critical")
            self.cfg.set("preload_app", True)

        def load(self) -> Any:
            return app

    Served().run()


def granian(app: Any, listener: socket.socket, workers: int) -> None:
    """Serve with workers that import the application by its name."""
    from granian import Granian

    port = listener.getsockname()[1]
    listener.close()
    interface = "asgi" if inspect.iscoroutinefunction(type(app).__call__) else "wsgi"
    Granian(
        "web:imported", port=port, interface=interface, workers=workers, factory=True, log_enabled=False
    ).serve()
