"""What the agent thread does, from the first bind to the last file removed, in one process.

    dormant   blocked in poll without a timeout: no timer, no wake-up
    waiting   wakes for leases, ttls and, every second, for the kill switch
    tracing   wakes every 100 ms to pack and send what was recorded

A fork child never goes on with an inherited `Loop`; it makes its own (see `fork`).

Concurrency: all of it runs on the agent thread but `__init__`, `close_soon` and the waits.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import chain
from typing import Any

from tracepatch_shared import VERSION
from tracepatch_shared.messages import FLUSH_S

from . import containment, journal, spool
from .awake import wait
from .config import Config
from .desk import Desk
from .endpoint import REQUESTS_AT_ONCE, Endpoint, Unreachable, Waker, default_folder
from .held import Held
from .identity import Identity
from .post import Post
from .primitives import Flag
from .roster import Resolver, Roster, Tracing

HAND_OVER_S = 0.8
"""When the process ends: how long controllers have to acknowledge what they were sent."""

LAST_POLL_S = 0.05

MAX_FAILURES = 5
"""Turns that may fail one after the other before the agent gives up."""


class Loop:
    """The agent of one process, as its thread sees it."""

    def __init__(
        self,
        *,
        config: Config,
        tracing: Tracing,
        waker: Waker,
        resolver: Resolver,
        delay_s: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.identity = Identity.here(config)
        self.endpoint = Endpoint(self.identity, config.runtime_dir or default_folder())
        self.ready = Flag()
        """Set when the agent can be reached, or never will be."""
        self.done = Flag()
        """Set when nothing of the agent is left."""
        self.reachable = False
        self.problem: str | None = None
        """Why the agent cannot be reached."""
        self._config = config
        self._tracing = tracing
        self._waker = waker
        self._delay_s = delay_s
        self._clock = clock
        self._closing: str | None = None
        self._again_s: float | None = None
        self._recording = False
        self._waiting: list[tuple[bytes, list[bytes]]] = []
        """Requests that came while a probe's end was being packed."""
        self._held = Held()
        self._post = Post(self.endpoint)
        self._roster = Roster(
            tracing=tracing,
            post=self._post,
            held=self._held,
            folder=self.endpoint.folder,
            resolver=resolver,
            packages=config.packages,
            clock=clock,
            between=self._answer_hellos,
        )
        self._desk = Desk(
            identity=self.identity,
            tracing=tracing,
            endpoint=self.endpoint,
            roster=self._roster,
            held=self._held,
            post=self._post,
            resolver=resolver,
        )

    @property
    def state(self) -> str:
        """`dormant`, `waiting`, `tracing` or `disabled`; any thread, a moment's picture."""
        if not self.reachable:
            return "disabled"
        if self._recording:
            return "tracing"
        return "waiting" if self._roster.probes else "dormant"

    def close_soon(self, why: str) -> None:
        """Ask the thread to hand over what it holds and end (any thread)."""
        self._closing = why
        self._waker.wake()

    def run(self) -> None:
        """Be the agent until `close_soon`; never raises."""
        try:
            if self._open():
                self._serve()
        except Exception as error:  # noqa: BLE001 - the thread's last line: nothing may reach the application
            containment.note(error)
        finally:
            self._close()

    # ---- inside -------------------------------------------------------------------------------------------------

    def _open(self) -> bool:
        """Make the endpoint; where that cannot be, say so once."""
        if self._delay_s:
            # A fork child that execs, exits or closes all its descriptors does so right away: it gets no socket.
            self._wait_for_exec()
            if self._closing is not None:
                return False
        for problem in self._config.problems:
            journal.warning("%s", problem)
        try:
            self.endpoint.open(self._waker)
        except Unreachable as error:
            self.problem = str(error)
            journal.warning(
                "the tracing agent cannot be reached, the application runs on without it: %s", error
            )
            self.ready.set()
            return False
        self.reachable = True
        self._tracing.identity = self._stream_identity()
        self.ready.set()
        journal.info(
            "tracepatch %s: agent %s of %s (pid %d) is dormant at %s, core %s",
            VERSION, self.identity.agent_id, self.identity.service, self.identity.pid,
            self.endpoint.address, self._tracing.core_name,
        )  # fmt: skip
        return True

    def _wait_for_exec(self) -> None:
        try:
            wait(self._waker.fileno(), self._waker.fileno(), int(self._delay_s * 1000))  # awake from here on
        except OSError:
            pass  # it has closed them

    def _stream_identity(self) -> dict[str, Any]:
        agent = self._desk.agent()
        names = ("service", "host", "pid", "python", "core", "labels", "version", "agent_id")
        return {name: agent[name] for name in names}

    def _serve(self) -> None:
        failures = 0
        while self._closing is None:
            try:
                self._turn()
                failures = 0
            except Exception as error:  # noqa: BLE001 - agent thread: disarm, report, stay reachable
                containment.note(error)
                failures += 1
            if failures > MAX_FAILURES:
                journal.warning("the tracing agent gives up after %d failures in a row", failures)
                return

    def _turn(self) -> None:
        """Wait for something to do, and do it."""
        self._report()
        asked = self.endpoint.poll(0 if self._waiting else self._timeout_s())
        self._waker.clear()
        self._roster.expire()
        self._roster.drain()
        self._roster.settle()
        if asked or self._waiting:
            waiting, self._waiting = self._waiting, []
            for sender, frames in chain(waiting, self.endpoint.requests() if asked else ()):
                # Before each message: one that waited while the process was stopped, or while this thread did not get
                # the GIL between two messages, must not revive a lease that is over.
                self._roster.expire()
                self._desk.answer(sender, frames, self._clock())
        self._send()
        self._write_down_early()
        self._roster.tell_counters()

    def _answer_hellos(self) -> None:
        """Say that there is somebody, while a probe's end takes its time; all else that is asked waits for it."""
        if len(self._waiting) < REQUESTS_AT_ONCE and self.endpoint.poll(0):
            for sender, frames in self.endpoint.requests():
                if self._desk.is_hello(frames):
                    self._desk.answer(sender, frames, self._clock())
                else:
                    self._waiting.append((sender, frames))

    def _report(self) -> None:
        """Disarm everything after an exception of ours, wherever it was, and say so once."""
        problem = containment.report()
        if problem is not None:
            journal.warning("a bug in tracepatch; everything is disarmed. Please report it: %s", problem)
            self._roster.end_all("internal")
            containment.report()
            self._send()

    def _send(self) -> None:
        self._again_s = self._post.send(self._clock())
        self._roster.forget_gone()

    def _timeout_s(self) -> float | None:
        """Return how long to sleep at most; None, for ever, when dormant."""
        waits = [wait for wait in (self._roster.wait_s(), self._again_s) if wait is not None]
        self._recording = self._tracing.live > 0
        if self._recording:
            waits.append(FLUSH_S)
        return min(waits, default=None)

    def _close(self) -> None:
        """Hand over, write down, give back; whatever fails, the rest is still done."""
        for step in (
            self._end_probes,
            self._hand_over,
            self._write_down,
            self._give_back,
            self.endpoint.close,
        ):
            try:
                step()
            except Exception as error:  # noqa: BLE001 - agent thread
                containment.note(error)
        problem = containment.report()
        if problem is not None:
            journal.warning("a bug in tracepatch while it ended; please report it: %s", problem)
        self.reachable = False
        self.ready.set()
        self.done.set()

    def _end_probes(self) -> None:
        self._desk.closing = True
        self._roster.end_all("process-exit" if self._closing else "internal")

    def _hand_over(self) -> None:
        """Send what is promised to controllers and wait a bounded time for their acknowledgements."""
        if not self.reachable:
            return
        until_s = self._clock() + HAND_OVER_S
        self._send()
        while self._post.owes() and self._clock() < until_s:
            if self.endpoint.poll(min(LAST_POLL_S, self._again_s or LAST_POLL_S)):
                for sender, frames in self.endpoint.requests():
                    self._desk.answer(sender, frames, self._clock())
            self._send()

    def _write_down(self) -> None:
        traces = [trace for trace in self._held.finished() if not trace.spooled]
        if traces and not self._tracing.policy.spool:
            journal.warning("%d traces are lost: the policy allows no spool", len(traces))
        elif traces and self.reachable:
            try:
                left_out = spool.write(self.endpoint.folder, self._desk.agent(), traces)
            except (OSError, Unreachable) as error:
                journal.warning("the spool cannot be written, %d traces are lost: %s", len(traces), error)
                return
            if left_out:
                journal.warning("%d traces found no room in the spool and are lost", left_out)

    def _write_down_early(self) -> None:
        """Write down what ended and is on its way to nobody: a process that is killed has no time for it."""
        traces = [
            trace
            for trace in self._held.traces.values()
            if trace.ended and trace.spooled is None and not self._post.brings(trace.trace_id)
        ]
        if traces and self._tracing.policy.spool:
            try:
                spool.write(self.endpoint.folder, self._desk.agent(), traces)
            except (OSError, Unreachable):  # tried again at exit, and said then
                for trace in traces:
                    trace.spooled = bool(trace.spooled)

    def _give_back(self) -> None:
        if self.reachable:
            self._tracing.release()
