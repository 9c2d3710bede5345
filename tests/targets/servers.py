"""The servers that tests put in front of applications."""

from __future__ import annotations

import asyncio
import socket
from typing import Any


def serve(app: Any, server: str, listener: socket.socket) -> None:
    """Serve until killed."""
    if server == "uvicorn":
        import uvicorn

        uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off")).run(sockets=[listener])
    elif server == "waitress":
        import waitress

        waitress.serve(app, sockets=[listener], threads=50)
    elif server == "gunicorn":
        from gunicorn.app.base import BaseApplication

        class Served(BaseApplication):  # type: ignore[misc]
            def load_config(self) -> None:
                self.cfg.set("bind", f"fd://{listener.fileno()}")
                self.cfg.set("worker_class", "gthread")
                self.cfg.set("threads", 8)
                self.cfg.set("loglevel", "critical")

            def load(self) -> Any:
                return app

        Served().run()
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
