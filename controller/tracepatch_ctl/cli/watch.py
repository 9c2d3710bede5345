"""What the operator sees of an armed session or a collection, and what becomes of its traces."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from tracepatch_shared.errors import TracepatchError
from tracepatch_shared.tree import Trace

from ..events import (
    AgentFault,
    AgentJoined,
    AgentLost,
    AgentRefused,
    Armed,
    End,
    Event,
    Progress,
    TraceChunk,
    TraceFinished,
    TraceStarted,
)
from ..export import document
from ..trace_file import ended
from ..view import advice, words
from ..view.growing import Growing
from ..view.tree import TERMINAL_LINES, painter, tree
from .forms import armed_form, end_form, error_form
from .interruption import Interruption
from .keeping import Files, Keeper
from .output import Output, PipeClosed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..saved import Value
    from ..session import Session

POLL_S = 0.2
FAILED = 1


class Traces:
    """Keeps and shows finished traces, in this order: the store, the files, the screen, the acknowledgement."""

    def __init__(self, out: Output, keeper: Keeper, files: Files | None, *, open: bool = False) -> None:
        """`open`: they still record, so they are shown and neither kept nor acknowledged."""
        self._open = open
        self._failed = False
        self._out = out
        self._keeper = keeper
        self._files = files
        self._paint = painter(out.colour)
        self._shown = 0

    def take(self, event: TraceFinished, source: Any) -> None:
        """Show a trace and acknowledge it to `source` when it is stored, or when the user wants none stored."""
        try:
            trace = ended(Trace.read(event.data), event.status, event.reason)
        except TracepatchError as error:
            self._out.say(f"a trace of {event.agent.name} cannot be read, it stays there: {error}")
            self._failed = True
            return
        trace.trace_id = trace.trace_id or event.trace_id
        if self._open:
            self._write(trace)
            self._show(trace, False)
            return
        stored = self._keeper.keep(event, trace)
        self._write(trace)
        shown = False
        try:
            self._show(trace, stored)
            shown = not self._out.closed
        finally:
            if stored or (shown and self._keeper.acknowledges_unsaved):
                source.acknowledge(event.trace_id)

    @property
    def failed(self) -> bool:
        """Something that the user asked for could not be done with a trace."""
        return self._failed or self._keeper.failed

    def _write(self, trace: Trace) -> None:
        if self._files is None:
            return
        try:
            self._files.write(trace)
        except TracepatchError as error:
            self._files = None
            self._failed = True
            self._out.say(f"tracepatch-ctl: {error}")

    def _show(self, trace: Trace, stored: bool) -> None:
        out = self._out
        if out.as_json:
            out.pieces(document(trace))
            return
        if self._shown:
            out.line()
        self._shown += 1
        how = f"`tracepatch-ctl show {trace.trace_id} --lines all`" if stored else "a pipe, or -o FILE,"
        lines = tree(
            trace,
            paint=self._paint,
            ascii=out.ascii,
            max_lines=TERMINAL_LINES if out.terminal else None,
            rest=f"{how} shows the rest",
        )
        out.pieces(lines)


class Watch:
    """Consumes the events of one armed session."""

    def __init__(
        self,
        out: Output,
        traces: Traces,
        targets: tuple[str, ...],
        interruption: Interruption,
        typed: Mapping[str, Value] | None = None,
    ) -> None:
        """`typed`: the options, by their long names."""
        self._typed = typed or {}
        self._all_armed: list[Armed] = []
        self._out = out
        self._traces = traces
        self._targets = targets
        self._interruption = interruption
        self._armed: list[Armed] = []
        self._armed_at = 0.0
        self._growing = Growing(out)
        self._progress: Progress | None = None
        self._left_until = 0.0
        self._stopped = False
        self._told_where = False

    def run(self, session: Session) -> int:
        """Follow the session to its end and return the exit code."""
        failed = 0
        while True:
            event = session.event(POLL_S)
            if self._interruption.signal and not self._stopped:
                self._stopped = True
                self._out.say("disarming; what has come is still shown")
                session.stop()
            try:
                if isinstance(event, End):
                    return self._end(event) or failed
                self._take(event, session)
            except (PipeClosed, TracepatchError) as error:
                # Nobody reads any more, or the disk is full: stop there, as Ctrl-C does, and let the rest be stored.
                if isinstance(error, TracepatchError):
                    failed = FAILED
                    self._out.say(f"tracepatch-ctl: {error}")
                if isinstance(event, End):
                    return event.exit_code or failed
                if not self._stopped:
                    self._stopped = True
                    session.stop()

    def _take(self, event: Event | None, session: Session) -> None:
        out = self._out
        if isinstance(event, Armed):
            if not self._armed:
                self._armed_at = time.monotonic()
            self._armed.append(event)
            self._all_armed.append(event)
            if out.as_json:
                out.object(armed_form(event))
            return
        gathering = isinstance(event, (AgentRefused, AgentJoined, Progress, TraceStarted))
        if not gathering or time.monotonic() - self._armed_at > POLL_S:
            self._tell_armed()
        if event is None:
            self._stand(changed=False)
        elif isinstance(event, Progress):
            changed = self._progress is None or _counts(self._progress) != _counts(event)
            self._progress = event
            self._left_until = time.monotonic() + event.expires_in_s
            self._tell_where_error(event)
            self._stand(changed=changed)
        elif isinstance(event, TraceChunk):
            if not out.as_json:
                self._growing.feed(event)
        elif isinstance(event, TraceFinished):
            self._growing.clear(event.trace_id)
            if not event.surplus:
                self._traces.take(event, session)
        elif isinstance(event, AgentRefused):
            self._problem(event.code, f"{event.agent.name} refused: {event.message}", event)
        elif isinstance(event, AgentLost):
            self._problem(event.reason, f"{event.agent.name}: {event.message or event.reason}", event)
        elif isinstance(event, AgentFault):
            self._problem("bad-message", f"{event.agent.name}: {event.message}", event)

    def _tell_armed(self) -> None:
        """Say what matched, once all that answered at the same time are there: equal answers are one line."""
        if self._armed:
            self._growing.clear()
            for line in words.armed(self._armed, self._targets):
                self._out.say(line)
            self._armed.clear()

    def _tell_where_error(self, counts: Progress | End) -> None:
        if counts.where_error and not self._told_where:
            self._told_where = True
            self._growing.clear()
            self._out.say(words.where_error(counts))

    def _stand(self, *, changed: bool) -> None:
        progress = self._progress
        if progress is None or self._stopped or self._armed:
            return
        self._out.status(words.standing(progress, self._left_until - time.monotonic()), changed=changed)

    def _problem(self, code: str, sentence: str, event: AgentRefused | AgentLost | AgentFault) -> None:
        self._growing.clear()
        if self._out.as_json:
            self._out.object(error_form(code, event.message, event.agent))
        self._out.say(sentence)

    def _end(self, end: End) -> int:
        out = self._out
        self._tell_armed()
        self._growing.clear()
        code = end.exit_code
        number = self._interruption.signal
        if number:
            code = 128 + number
        elif self._traces.failed and code == 0:
            code = FAILED
        if out.as_json:
            out.object(end_form(end, code))
        if end.reason == "detached":
            out.say(f"detached: {end.message} (`tracepatch-ctl collect {end.probe_id}`)")
            return code
        if end.reason not in ("count", "refused") and not (number and end.reason == "disarm"):
            option = f" ({end.option} raises it)" if end.option and end.option not in end.message else ""
            out.say(f"ended: {end.message or end.reason}{option}")
        self._tell_where_error(end)
        ids = {event.agent.agent_id for event in self._all_armed}
        outcomes = [outcome for outcome in end.per_agent if outcome.agent.agent_id in ids]
        if end.kept < end.asked and len(outcomes) > 1:
            for outcome in outcomes:
                out.say(f"  {words.outcome(outcome, self._all_armed)}")
        following = None if number else advice.command(end, self._all_armed, self._targets, self._typed)
        if following is not None:
            out.say(f"next ({following[0]}): {following[1]}")
        out.say(words.proof(end))
        return code


def _counts(progress: Progress) -> tuple[int, ...]:
    counts = progress.tally
    left_out = (
        progress.passed_over,
        progress.where_false,
        progress.where_errors,
        counts.sampled_out + counts.rate_limited + counts.throttled + counts.unmatched + counts.not_kept,
    )
    return (progress.kept, progress.seen, *left_out, progress.live, progress.agents)
