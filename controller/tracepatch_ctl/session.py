"""An armed probe as its caller sees it: an iterator of events."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any

from .attachment import ARM_S, DRAIN_S, Attachment
from .connection import Line
from .events import End, Event
from .post import Post
from .selection import Selection


class Session:
    """An armed probe: iterate it for events (events.py); the last one is `End`. Use it as a context manager.

    A thread of its own keeps the lease (renewed every 3 s, it lasts 10 s) and receives, so the caller may take its time
    between events. A `KeyboardInterrupt` in the loop loses nothing: call `stop()` and iterate on until `End`. Leaving
    the `with` block earlier disarms everywhere; what came until then stays with the agents, unacknowledged.
    """

    def __init__(
        self,
        probe: dict[str, Any],
        *,
        chosen: list[Line],
        silent: list[Line],
        scout: Callable[[set[str]], list[Line]] | None,
        selection: Selection,
        per_agent: bool = False,
    ) -> None:
        self.probe_id: str = probe["probe_id"]
        self.end: End | None = None
        """The last event, once it was handed out."""
        self._closed = False
        self._post = Post()
        self._attachment = Attachment(
            self._post,
            probe,
            chosen=chosen,
            silent=silent,
            scout=scout,
            selection=selection,
            per_agent=per_agent,
        )
        self._thread = threading.Thread(target=self._run, name="tracepatch-session", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._attachment.run()
        except Exception as problem:  # noqa: BLE001 - whatever it is, the caller gets it
            self._post.fail(problem)

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        event = None if self.end or self._closed else self._take(None)
        if event is None:
            raise StopIteration
        return event

    def event(self, timeout_s: float) -> Event | None:
        """Return the next event, or None when none came within `timeout_s` or the last one was handed out."""
        return None if self.end or self._closed else self._take(timeout_s)

    def stop(self) -> None:
        """Disarm everywhere; what is there still comes, then `End`, within about 3 s. May be called again."""
        self._post.order("stop")

    def acknowledge(self, trace_id: str) -> None:
        """Tell the agent that a trace is stored and may be forgotten; takes effect until `close()`."""
        self._post.order("acknowledge", trace_id)

    def close(self) -> None:
        """Stop where that was not done, hand over the acknowledgements, end the thread; takes at most about 5 s."""
        if self._closed:
            return
        self._closed = True
        self._post.order("stop")
        self._post.order("close")
        self._thread.join(ARM_S + DRAIN_S)
        if not self._thread.is_alive():
            self._post.close()

    def _take(self, timeout_s: float | None) -> Event | None:
        event = self._post.get(timeout_s)
        if isinstance(event, End):
            self.end = event
        return event
