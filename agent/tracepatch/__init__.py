"""Remote-triggered production tracing for Python: what an application imports.

    import tracepatch
    tracepatch.start(service="shop")

Importing this package starts nothing and loads neither pyzmq nor msgpack; `start` does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from tracepatch_shared import VERSION

from .block import job

if TYPE_CHECKING:
    from .agent import Agent
    from .scope import TraceNode, trace

__all__ = ["TraceNode", "__version__", "asgi", "job", "start", "stop", "trace", "wsgi"]

__version__ = VERSION
AppT = TypeVar("AppT")
_LAZY = frozenset({"TraceNode", "trace"})
"""From `scope`, loaded on first use."""


def start(
    service: str | None = None, *, labels: Mapping[str, str] | None = None, packages: Iterable[str] = ()
) -> Agent:
    """Start this process's agent and return it; a second call returns the one that runs.

    Nothing that can be put right later raises: a directory that cannot be written is one line in the log, and
    the application runs on. Environment variables (`TRACEPATCH_SERVICE`, ...) win over the arguments.

    Args:
        service: the name operators choose processes by; the main script's or module's name by default.
        labels: further names to choose by, such as `{"env": "prod"}`.
        packages: packages that count as the application's own code although they are installed as libraries.

    Raises:
        TypeError, ValueError: an argument is of the wrong type or form.
        tracepatch_shared.errors.TracepatchError: `TRACEPATCH_CORE` forces a core that is not available here.
    """
    from . import agent

    return agent.start(service=service, labels=labels, packages=packages)


def stop() -> None:
    """Undo `start`: every probe ends, what it set is taken back, socket and files go, the thread ends.

    Waits up to 2 s; does nothing when no agent runs.
    """
    import sys

    agent = sys.modules.get(f"{__name__}.agent")
    if agent is not None:
        agent.stop()


def asgi(app: AppT) -> AppT:
    """Return an ASGI 3 application as one whose requests `http:` targets find; no framework's needs it.

    Attributes are those of `app`, and so are exceptions, lifespan and websockets; `__wrapped__` is `app` itself.
    """
    from . import gateway

    return cast("AppT", gateway.Asgi(app))


def wsgi(app: AppT) -> AppT:
    """Return a WSGI application as one whose requests `http:` targets find; no framework's needs it.

    Attributes are those of `app`, what it returns is passed on as it is; `__wrapped__` is `app` itself.
    """
    from . import gateway

    return cast("AppT", gateway.Wsgi(app))


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        from . import scope

        if name in vars(scope):
            return vars(scope)[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
