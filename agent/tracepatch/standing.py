"""Where the open nodes of a trace stand now: looked up, when that is asked, among all stacks and chains there are.

A node knows its frame by identity only, so nothing of the application's is kept for this. Of the tasks those are looked
at whose Context carries a recording. Agent thread only; takes at most the time it is given, and what is not found by
then, or stands at a `yield`, has no line.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextvars import Context
from itertools import chain, starmap
from time import perf_counter

from . import frames
from .frames import Frame
from .recording import current
from .runners import Node
from .slices import Slices
from .tasks import Asyncio, Trio, Unlisted, references

QUIET_S = 1.0
"""A trace that is watched and brings nothing for so long says where it stands; then after twice the time, and so on."""
MOST_QUIET_S = 60.0


def lines(nodes: Iterable[Node], *, within_s: float) -> dict[str, int]:
    """Return the line at which each of these nodes stands, by its number in the stream, as far as it is found."""
    wanted = {node.frame_id: node for node in nodes if node.number >= 0}
    found: dict[str, int] = {}
    until = perf_counter() + within_s
    for stack in _stacks():
        for frame in stack:
            node = wanted.get(frame.frame_id)
            if node is not None and _same(node, frame):
                found[str(node.number)] = frame.line
                del wanted[frame.frame_id]
        if not wanted or perf_counter() > until:
            break
    return found


def _stacks() -> Iterator[list[Frame]]:
    """Yield the frames of each thread, then those of each task that is traced."""
    breathe = Slices().breathe
    idents = list(chain.from_iterable(starmap(sys._current_frames, ((),))))
    for ident in idents:
        yield frames.stack(ident)
    for library in (Asyncio(), Trio()):
        try:
            known = references(library, idents)
        except Unlisted:
            continue
        for reference in known:
            breathe()
            task = reference()
            context = None if task is None else library.context(task)
            if type(context) is Context and context.get(current) is not None:
                brief = library.brief(task)
                if brief is not None and brief.coroutine is not None:
                    yield frames.awaits(brief.coroutine).frames
            del task


def _same(node: Node, frame: Frame) -> bool:
    """Tell whether it is the node's frame, and not another one at an address that is free again."""
    ours, its = node.entry.code, frame.code
    return (ours.co_filename, ours.co_firstlineno, ours.co_name) == (
        its.co_filename,
        its.co_firstlineno,
        its.co_name,
    )


class Watch:
    """When a trace that records is to say where it stands."""

    __slots__ = ("_live", "_next_s", "_wait_s", "asked")

    def __init__(self, *, live: bool) -> None:
        """`live`: somebody looks at it while it grows."""
        self.asked = False
        """Say it next time, whatever happens."""
        self._live = live
        self._wait_s = QUIET_S
        self._next_s = 0.0

    def due(self, *, quiet: bool) -> bool:
        """Tell whether it is time; `quiet`: nothing has come since this was asked last."""
        asked, self.asked = self.asked, False
        if not self._live:
            return asked
        now_s = perf_counter()
        if not quiet or not self._next_s:
            self._wait_s = QUIET_S
        elif now_s >= self._next_s:
            self._wait_s = min(2 * self._wait_s, MOST_QUIET_S)
            asked = True
        else:
            return asked
        self._next_s = now_s + self._wait_s
        return asked
