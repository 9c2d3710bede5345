"""A trace while it grows (`--live`): the end of its tree, redrawn on standard error, or a line now and then."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

from tracepatch_shared.render import render
from tracepatch_shared.text import duration
from tracepatch_shared.tree import TraceReader

if TYPE_CHECKING:
    from ..cli.output import Output
    from ..events import TraceChunk

REDRAW_S = 0.25
PLAIN_EVERY_S = 2.0
REST = 9
"""Drawing takes at most one part in ten of the time: a large tree is redrawn less often."""


class Growing:
    """The traces that are being recorded; the last one that something came for is shown."""

    def __init__(self, out: Output) -> None:
        self._out = out
        self._readers: dict[str, TraceReader] = {}
        self._height = 0
        self._next = 0.0

    def feed(self, chunk: TraceChunk) -> None:
        """Take a piece of a stream and redraw when it is time."""
        reader = self._readers.setdefault(chunk.trace_id, TraceReader())
        reader.feed(chunk.data)
        begun = time.monotonic()
        if begun < self._next:
            return
        from ..cli.output import columns, rows

        trace = reader.trace
        if self._out.rewrites:
            lines = render(trace, ascii=self._out.ascii, width=columns() - 1)
            self._height = self._out.screen(list(deque(lines, maxlen=max(rows() - 2, 3))), self._height)
        else:
            opened = [node for node in trace.nodes() if node.open]
            where = f", now in {opened[-1].module}.{opened[-1].function}" if opened else ""
            if opened and opened[-1].at_line is not None:
                where += f", line {opened[-1].at_line}"
            self._out.say(
                f"trace {chunk.trace_id}: {trace.calls} calls, {duration(trace.duration_ns)}{where}"
            )
        now = time.monotonic()
        self._next = now + max(REDRAW_S if self._out.rewrites else PLAIN_EVERY_S, REST * (now - begun))

    def clear(self, trace_id: str | None = None) -> None:
        """Take the drawing away before something else is printed; forget a trace that has ended."""
        if self._height:
            self._out.screen([], self._height)
            self._height = 0
        if trace_id is not None:
            self._readers.pop(trace_id, None)
