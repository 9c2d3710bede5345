"""A service with OpenTelemetry's instrumentation, or without: `python spanned.py FRAMEWORK on|off`, prints its port.

Each response says which span was current in the view.
"""

from __future__ import annotations

import socket
import sys
from typing import Any

from servers import serve

import tracepatch


def here() -> str:
    """Return the ids of the current span, nothing without the library."""
    trace = sys.modules.get("opentelemetry.trace")
    if trace is None:
        return ""
    span = trace.get_current_span().get_span_context()
    return f"{span.trace_id:032x}-{span.span_id:016x}"


def fastapi(instrumented: bool) -> Any:
    from fastapi import FastAPI

    app = FastAPI()

    @app.get("/")
    async def view() -> str:
        return here()

    if instrumented:
        from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor

        FastAPIInstrumentor.instrument_app(app, tracer_provider=provider())
    return app


def flask(instrumented: bool) -> Any:
    from flask import Flask

    app = Flask("spanned")

    @app.get("/")
    def view() -> str:
        return f'"{here()}"'

    if instrumented:
        from opentelemetry.instrumentation.flask import FlaskInstrumentor

        FlaskInstrumentor().instrument_app(app, tracer_provider=provider())
    return app


def provider() -> Any:
    from opentelemetry.sdk.trace import TracerProvider

    return TracerProvider()


def main() -> None:
    framework, on = sys.argv[1:]
    tracepatch.start(service="spanned")
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", 0))
    listener.listen(128)
    app = {"fastapi": fastapi, "flask": flask}[framework](on == "on")
    if framework == "flask":  # FastAPI itself imports the API where it is installed
        assert (on == "on") == ("opentelemetry.context" in sys.modules)
    print(listener.getsockname()[1], flush=True)
    serve(app, {"fastapi": "uvicorn", "flask": "waitress"}[framework], listener)


if __name__ == "__main__":
    main()
