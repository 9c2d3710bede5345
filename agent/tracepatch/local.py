"""A recording without an agent: what `trace()` is built on.

Runs on the caller's thread from beginning to end; loads the standard library only.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextvars import Token
from types import FrameType
from typing import Any

from tracepatch_shared import records
from tracepatch_shared.limits import Capture, Limits
from tracepatch_shared.reader import RecordReader

from .capture import Capturer
from .codes import HIDDEN, CodeTable, Scope
from .cores import core
from .recording import Recording, current
from .redaction import Redactor
from .stream import LogWriter, Writer


class LocalRecording:
    """Records what runs below the code that calls `start`, until `stop`."""

    def __init__(
        self, limits: Limits, capture: Capture, mode: str, ignore_modules: Sequence[str], threads: bool
    ) -> None:
        outer = current.get()
        self._core = core()
        self._scope = Scope(everything=True, skip_prefixes=tuple(ignore_modules))
        self._recording = Recording(
            limits=limits,
            codes=CodeTable(self._scope, self._core.prepare),
            capturer=Capturer(capture, Redactor(), mode=mode),
            watch=self._core.watch,
            wake=lambda: None,
            outer=None if outer is None or outer.done else outer,
            local=True,
            threads=threads,
            log=self._core.log,
        )
        self._writer = _writer(self._recording)
        self._reader = RecordReader([]) if self._recording.native else None
        self._records: list[list[Any]] = []
        self._token: Token[Recording | None] | None = None
        self._before = outer
        self._frame_id = 0

    def start(self, host: FrameType | None = None) -> None:
        """Record from here on what `host` calls, by default the innermost frame that is not ours.

        Raise `Conflict`, nothing changed, when another tool prevents it.
        """
        frame = host or self._caller()
        try:
            self._core.acquire(self)
            self._core.begin_inside(self._recording, frame)
            self._token = current.set(self._recording)
        except BaseException:
            self._recording.restore()
            self._recording.end(records.TRIPPED, "interrupted")
            self._core.end_inside(self._recording, frame)
            self._core.release(self)
            raise

    def stop(self) -> None:
        """Record nothing more; idempotent, also after a signal handler has raised in the middle of it."""
        if self._token is None:
            return
        recording = self._recording
        try:
            if current.get() is recording:
                # Not when it ends in another Context than it began in, or before a block that began inside it.
                before = self._before
                while before is not None and before.done:
                    before = before.outer
                current.set(before)
        finally:
            try:
                recording.end(records.TRIPPED if recording.full else records.COMPLETE, recording.reason)
                self._core.end_inside(recording, self._caller())
            finally:
                recording.end(records.TRIPPED, "interrupted")
                self._core.release(self)
        self._token = None

    def pause(self) -> None:
        """Let go of the Context: a generator that records itself hands out an item."""
        if self._token is not None:
            current.set(self._before)

    def resume(self) -> None:
        """The generator runs on, in whatever Context its caller has."""
        if self._token is not None:
            self._before = current.get()
            current.set(self._recording)

    @property
    def calls(self) -> int:
        return self._recording.calls

    @property
    def limit(self) -> str | None:
        """The ending limit that has tripped, if any."""
        return self._recording.reason if self._recording.full else None

    def records(self) -> list[list[Any]]:
        """Return all records so far; the last one is END once `stop` was called."""
        recording = self._recording
        ended = recording.done
        taken = list(self._taken())
        if not self._records:
            head = {
                "trace_id": "",
                "probe_id": "",
                "target": "",
                "started_at_ns": recording.started_at_ns,
                "task": {"kind": "scope"},
            }
            self._records.append(self._writer.head(head))
        if self._records[-1][0] != records.END:
            self._records.extend(taken)
            if ended:
                fields = {
                    "calls": recording.calls,
                    "lost": recording.lost,
                    "unstarted": recording.unstarted,
                    "option": recording.option,
                }
                nodes = recording.open_nodes()
                self._records.append(
                    self._writer.end(recording.ended_ns, recording.status, recording.reason, fields, nodes)
                )
        return self._records

    def _taken(self) -> Iterator[list[Any]]:
        """Yield the records of what was recorded since last time."""
        events = self._recording.events
        if self._reader is not None:
            while events:
                yield from self._reader.own(events.take())
            return
        waiting = []
        while events:
            waiting.append(events.popleft())
        yield from self._writer.records(waiting)

    def _caller(self) -> FrameType:
        """Return the innermost frame that is not ours."""
        frame: FrameType | None = sys._getframe(2)
        while frame is not None and self._scope.action("", frame.f_code.co_filename) == HIDDEN:
            frame = frame.f_back
        return frame or sys._getframe(2)


def _writer(recording: Recording) -> Writer:
    if recording.native:
        return LogWriter(recording.events, intern=False)
    return Writer(recording.started_ns, intern=False)


def local_recording(
    limits: Limits,
    capture: Capture,
    capture_mode: str,
    ignore_modules: Sequence[str] = (),
    *,
    threads: bool = False,
) -> LocalRecording:
    """Return a recording that is not started yet."""
    return LocalRecording(limits, capture, capture_mode, ignore_modules, threads)
