"""Traces whose root is a generator, while it is suspended.

A generator runs in the Context of whoever takes from it, so a trace that is rooted in one is current only between its
resume and its yield. In between it is parked, by the identity of the root's frame, and of the frames that the root
delegates to: what is thrown in arrives from the inside out.

Concurrency: called on application threads inside callbacks; each change is one operation of a dictionary.
"""

from __future__ import annotations

from dis import opmap
from types import FrameType

from ..codes import SUSPENDS
from ..frame_ids import frame_id as id_of
from ..recording import Recording

_DELEGATES = frozenset(opmap[name] for name in ("SEND", "YIELD_FROM") if name in opmap)
_CACHE = opmap.get("CACHE", -1)


class Parking:
    """All parked traces of the process."""

    def __init__(self) -> None:
        self.parked: dict[int, Recording] = {}
        """By the frames of their roots."""
        self._inner: dict[int, int] = {}
        """Frames that a parked root delegates to, and the root's; of one root the innermost is first."""

    def root_of(self, frame_id: int) -> int:
        """Return the frame of the parked root that this one is part of, itself where it is part of none."""
        return self._inner.get(frame_id, frame_id)

    def yielded(self, recording: Recording, frame: FrameType, *, suspended: bool) -> None:
        """A frame has yielded, which has `suspended` a runner or not: park the trace if it was its root."""
        root = recording.root_node
        if root is None or root.entry.coroutine or not root.entry.suspends:
            return
        inner = recording.delegates
        frame_id = id_of(frame)
        answers = frame_id in recording.woken and root.frame_id != frame_id
        if suspended and (answers or root.frame_id == frame_id):
            # The Context is its caller's again.
            self.parked[root.frame_id] = recording
            outwards = recording.woken[recording.woken.index(frame_id) :] if answers else inner
            for delegate in outwards:
                self._inner[delegate] = root.frame_id
            inner.clear()
            recording.woken.clear()
            recording.restore()
        elif _delegates(frame.f_back):
            inner.append(frame_id)
        else:
            inner.clear()

    def unpark(self, root: int, frame_id: int) -> Recording | None:
        """The root, or what it delegates to, goes on with this frame: return its trace, current again unless it is done."""
        recording = self.parked.pop(root, None)
        inner = [delegate for delegate, outer in self._inner.items() if outer == root]
        for delegate in inner:
            self._inner.pop(delegate, None)
        if recording is not None and not recording.done:
            recording.go_on()
            if frame_id in inner:
                recording.woken[:] = inner[inner.index(frame_id) :]
                recording.resume_inside(recording.woken)
        return recording

    def reused(self, frame_id: int) -> None:
        """Another frame has this identity now: the generator that had it is dead."""
        self.parked.pop(frame_id, None)
        self._inner.pop(frame_id, None)

    def clear(self) -> None:
        """Forget all of them."""
        self.parked.clear()
        self._inner.clear()


def _delegates(frame: FrameType | None) -> bool:
    """Tell whether a generator's frame waits in a `yield from`, not in a call of `next()` or in a loop."""
    if frame is None or not frame.f_code.co_flags & SUSPENDS:
        return False
    code = frame.f_code.co_code
    at = frame.f_lasti
    while at > 0 and code[at] == _CACHE:  # 3.12 stands behind the instruction
        at -= 2
    return at >= 0 and code[at] in _DELEGATES
