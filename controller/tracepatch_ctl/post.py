"""Commands to the session's thread and events from it.

*Concurrency*: `put` and `commands` belong to the session's thread, the rest to the caller's; a lock guards both queues
and is never held for longer than an append. The session's thread waits in a poller, so a byte through `wake` wakes it.
"""

from __future__ import annotations

import select
import socket
import threading
import time
from collections import deque

from .events import Event, Progress

Command = tuple[str, str]


class Post:
    """Two queues between a caller and the thread that owns the sockets."""

    def __init__(self) -> None:
        self.wake, self._bell = socket.socketpair()
        self.wake.setblocking(False)
        self._bell.setblocking(False)
        self._changed = threading.Condition()
        self._events: deque[Event] = deque()
        self._commands: deque[Command] = deque()
        self._problem: BaseException | None = None
        self._closed = False
        self.closing = False
        """The caller will not come back: what it ordered before is to be done, then the thread may end."""

    # -- the session's thread

    def put(self, event: Event) -> None:
        """Add an event; of several `Progress` in a row only the newest stays."""
        with self._changed:
            if isinstance(event, Progress) and self._events and isinstance(self._events[-1], Progress):
                self._events[-1] = event
            else:
                self._events.append(event)
            self._changed.notify_all()

    def fail(self, problem: BaseException) -> None:
        """Let the caller's next wait raise: the thread is dead."""
        with self._changed:
            self._problem = problem
            self._changed.notify_all()

    def commands(self) -> list[Command]:
        """Return the commands that came since the last time."""
        try:
            while self.wake.recv(512):
                pass
        except (BlockingIOError, InterruptedError):
            pass
        with self._changed:
            commands = list(self._commands)
            self._commands.clear()
        return commands

    def wait(self) -> None:
        """Wait for the next command."""
        select.select([self.wake], [], [])

    # -- the caller

    def order(self, command: str, trace_id: str = "") -> None:
        """Give a command: `stop`, `acknowledge` or `close`; without effect when the thread is gone."""
        with self._changed:
            if self._closed:
                return
            if command == "close":
                self.closing = True
            else:
                self._commands.append((command, trace_id))
            try:
                self._bell.send(b"!")
            except (BlockingIOError, InterruptedError):
                pass

    def get(self, timeout_s: float | None) -> Event | None:
        """Return the next event, or None after `timeout_s`; raise what the thread died of."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        with self._changed:
            while not self._events:
                if self._problem is not None:
                    raise self._problem
                left = 1.0 if deadline is None else deadline - time.monotonic()
                if left <= 0:
                    return None
                self._changed.wait(min(left, 1.0))
            return self._events.popleft()

    def close(self) -> None:
        """Close the bell, once the thread has ended."""
        with self._changed:
            self._closed = True
            self._bell.close()
            self.wake.close()
