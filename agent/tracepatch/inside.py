"""The recording of a block for a probe: what is called below a frame that runs already, until the block ends.

Concurrency: runs on the application thread that runs the block; the agent thread may end the recording at any moment.
"""

from __future__ import annotations

import sys
from types import FrameType

from tracepatch_shared import records
from tracepatch_shared.errors import Conflict

from .containment import take
from .cores import Core
from .recording import Recording, current


class Inside:
    """One stay in a block. Where a signal handler prevents that it is ended, it ends when the block is dropped."""

    __slots__ = ("_before", "_core", "_ended", "_recording")

    def __init__(self, core: Core, recording: Recording) -> None:
        self._core = core
        self._recording = recording
        self._before: Recording | None = None
        self._ended = True

    def begin(self, frame: FrameType) -> bool:
        """Record from here on what `frame` calls; return whether that can be."""
        self._before = current.get()
        try:
            self._core.begin_inside(self._recording, frame)
            self._ended = False
            current.set(self._recording)
        except Conflict:
            return False
        except BaseException:
            self._ended = False
            self._stop(frame)
            raise
        return True

    def is_here(self) -> bool:
        """Tell whether it records in the caller's Context."""
        recording = current.get()
        while recording is not None and recording is not self._recording:
            recording = recording.outer
        return recording is not None or self._recording.done

    def end(self, frame: FrameType, *, failed: bool) -> None:
        """The block in `frame` has ended."""
        try:
            outcome = self._recording.response
            if failed and outcome is not None:
                outcome.fails(None)
            self._stop(frame)
        except BaseException as problem:  # noqa: BLE001 - contained
            take(problem)

    def __del__(self) -> None:
        if not self._ended:
            self._stop(sys._getframe(1))

    def _stop(self, frame: FrameType) -> None:
        if self._ended:
            return
        self._ended = True
        recording = self._recording
        try:
            if current.get() is recording:
                self.pause()
        finally:
            try:
                recording.end(records.TRIPPED if recording.full else records.COMPLETE, recording.reason)
                self._core.end_inside(recording, frame)
            finally:
                recording.end(records.TRIPPED, "interrupted")

    def pause(self) -> None:
        """Let go of the Context."""
        before = self._before
        while before is not None and before.done:
            before = before.outer
        current.set(before)

    def resume(self) -> None:
        """A generator runs on, in whatever Context its caller has."""
        self._before = current.get()
        current.set(self._recording)
