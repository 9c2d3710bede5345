"""Which exception leaves a frame, on 3.10 and 3.11.

The trace hook is told of an exception where it is raised or comes out of a call; not where a handler raises again, nor
where one is thrown into a coroutine from outside. So what a frame has caught is kept until the frame ends, and while
it handles something its lines and instructions are told: the next line says that a handler runs, and an instruction
that raises again says what it has in hand.

Concurrency: called on application threads inside the hook; tables by the identity of a frame or of a strand, each
written by the thread that runs there. No exception is kept, but what was captured of it.
"""

from __future__ import annotations

import sys
from dis import opmap
from types import FrameType
from typing import Any

from .. import pyversion
from ..codes import COROUTINE, SUSPENDS
from ..frame_ids import frame_id as id_of
from ..recording import Recording
from ..strand import here

Raised = tuple[str, Any]
"""Type name and captured message."""

_RERAISES = (opmap["RERAISE"], opmap["RAISE_VARARGS"])
_PUSH_EXC_INFO = opmap.get("PUSH_EXC_INFO", -1)
_ITERATES = tuple(opmap[name] for name in ("FOR_ITER", "SEND", "YIELD_FROM") if name in opmap)


class Unwinding:
    """What the frames that are followed have raised and caught."""

    def __init__(self) -> None:
        self.raised: dict[int, Raised] = {}
        """By frames: what was raised there, and not caught so far."""
        self.caught: dict[int, Raised] = {}
        """By frames: what a handler there may raise again."""
        self.leaving: dict[int, Raised] = {}
        """By strands: what has left the last frame, and not arrived in another one so far."""
        self._again: set[int] = set()
        """Frames whose last instruction raised again: `with` does so, and the frame then stands where its body raised,
        which is a yield where something was thrown in there."""
        self._before: dict[int, int] = {}
        """By frames: the identity of what was handled before; when it is again, no handler of the frame runs."""

    def clear(self) -> None:
        """Forget everything."""
        for table in (self.raised, self.caught, self.leaving, self._before, self._again):
            table.clear()

    def forget(self, frame_id: int) -> None:
        """The frame has ended."""
        self.raised.pop(frame_id, None)
        self.caught.pop(frame_id, None)
        self._before.pop(frame_id, None)
        self._again.discard(frame_id)

    def handles(self, frame_id: int) -> bool:
        """Tell whether a handler of the frame runs, so that its instructions are told."""
        return frame_id in self._before

    def unwinds(self, frame_id: int) -> bool:
        """Tell whether an exception was on its way out of the frame when it was told of last."""
        return frame_id in self.raised or frame_id in self._again

    def arrived(self) -> None:
        """What leaves frames on this strand goes no further."""
        self.leaving.pop(here(), None)

    @property
    def on_its_way(self) -> bool:
        """Something has left a frame on this strand: what is resumed now may have it thrown in."""
        return here() in self.leaving

    def resumed(self, frame: FrameType) -> None:
        """Something may be thrown into the frame: a handler shows by the next line."""
        if not self.handles(id_of(frame)):  # else the handler may raise again what it has in hand
            self.caught.pop(id_of(frame), None)
        frame.f_trace_lines = True

    def event(self, recording: Recording, frame: FrameType, event: str, value: Any) -> None:
        """Take in an `exception`, `line` or `opcode` event."""
        if event == "opcode":
            self._steps(recording, frame)
        elif event == "line":
            self._goes_on(recording, frame)
        elif event == "exception":
            if value[0] is StopIteration and recording.entry(frame).opcodes[frame.f_lasti] in _ITERATES:
                return  # the end of an iteration or an await: it is not this frame's
            self.raised[id_of(frame)] = recording.raised(value[1])
            self.arrived()
            frame.f_trace_lines = True
            if not frame.f_trace_opcodes:
                self._before[id_of(frame)] = id(sys.exc_info()[1])
                frame.f_trace_opcodes = True

    def leaves(self, recording: Recording, frame: FrameType, thrown: Raised | None) -> Raised:
        """Return what unwinds a frame; `thrown` is what the loop has thrown into its task, if that is known."""
        frame_id = id_of(frame)
        raised = self.raised.get(frame_id) or self._unseen(recording, frame, thrown)
        self.forget(frame_id)
        self.leaving[here()] = raised
        return raised

    def _goes_on(self, recording: Recording, frame: FrameType) -> None:
        """A line begins where something was raised: a handler runs, and may raise it again without telling."""
        raised = self.raised.pop(id_of(frame), None)
        self.arrived()
        handled = sys.exc_info()[1]
        if raised is None and handled is not None:
            raised = recording.raised(handled)
        if raised is not None:  # a `with` handles it from here on, too, but is not at it yet
            self.caught[id_of(frame)] = raised
        frame.f_trace_lines = False

    def _steps(self, recording: Recording, frame: FrameType) -> None:
        """An instruction is about to run in a frame that has caught something: one that raises again tells what.

        With an argument, 3.11 goes on with what its own handlers have in hand, which was told when it was raised.
        """
        frame_id = id_of(frame)
        opcodes = recording.entry(frame).opcodes
        at = frame.f_lasti
        handled = sys.exc_info()[1]
        self._again.discard(frame_id)
        if opcodes[at] in _RERAISES:
            self._again.add(frame_id)
            if handled is not None and (opcodes[at + 1] == 0 or not pyversion.RESUME_OPCODE):
                self.caught[frame_id] = recording.raised(handled)
        elif (
            opcodes[at] != _PUSH_EXC_INFO
            and frame_id not in self.raised
            and id(handled) == self._before.get(frame_id)
        ):
            frame.f_trace_opcodes = False
            self._before.pop(frame_id, None)

    def _unseen(self, recording: Recording, frame: FrameType, thrown: Raised | None) -> Raised:
        """Return what was raised again, or thrown in from outside: no event told."""
        known = self.caught.get(id_of(frame)) or self.leaving.get(here()) or thrown
        if known is not None:
            return known
        handled = sys.exc_info()[1]
        if handled is not None:
            return recording.raised(handled)
        if frame.f_code.co_flags & SUSPENDS and not frame.f_code.co_flags & COROUTINE:
            return ("GeneratorExit", "")
        return ("?", None)
