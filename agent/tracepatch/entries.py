"""Which of the requests that enter a framework a probe wants.

An entry may call another one: an application that is mounted in another, a class that inherits its call. A request is
judged where it enters first, so that it is counted once and its tree begins there.

Concurrency: filled by the agent thread (or a thread that imports); the rest runs on application threads inside
callbacks, about 5 µs a request.
"""

from __future__ import annotations

from collections.abc import Iterable
from inspect import CO_OPTIMIZED
from types import CodeType, FrameType

from tracepatch_shared.targets import Target

from . import pyversion
from .frameworks import Reader
from .request import Request
from .resolve import Function, original_of

MAX_FRAMES = 200
"""How far up another entry is looked for."""


class Entries:
    """The entries at which one probe waits for requests."""

    def __init__(self, targets: Iterable[Target]) -> None:
        self._wanted = tuple(target for target in targets if target.kind == "http")
        self._readers: dict[int, Reader] = {}

    def add(self, function: Function) -> None:
        """Take a function in if it is an entry."""
        if function.request is not None:
            self._readers[id(function.code)] = function.request

    def clear(self) -> None:
        """Forget all of them."""
        self._readers.clear()

    def __contains__(self, code: CodeType) -> bool:
        return id(code) in self._readers

    def request(self, code: CodeType, frame: FrameType) -> Request | None:
        """Return the request that enters with this frame; None where there is none, or it has entered before."""
        back = frame.f_back
        for _ in range(MAX_FRAMES):
            if back is None:
                break
            if id(original_of(back.f_code)) in self._readers:
                return None
            back = back.f_back
        values = frame.f_locals
        request = self._readers[id(code)](values)
        if pyversion.MONITORING and not pyversion.LIVE_LOCALS and code.co_flags & CO_OPTIMIZED:
            values.clear()  # the frame keeps this copy (3.12)
        return request

    def wants(self, request: Request) -> bool:
        """Tell whether a target names this request."""
        return any(target.matches_request(request.method, request.path) for target in self._wanted)
