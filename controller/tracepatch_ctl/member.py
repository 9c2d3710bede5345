"""One agent's part in an armed session: what it was sent, what it said, and how it ended there."""

from __future__ import annotations

from dataclasses import dataclass, field

from .assembly import Intake
from .choice import tally
from .connection import Line
from .events import Outcome
from .reports import Agent, Counters, Ended

GREETING = "greeting"
"""Its answer to `hello` is awaited."""
ARMING = "arming"
ARMED = "armed"
ENDED = "ended"
REFUSED = "refused"
LOST = "lost"


@dataclass(eq=False)
class Member:
    """What a session knows of one agent; used by the session's thread only."""

    line: Line
    state: str = GREETING
    attached: bool = False
    """The line is open."""
    intake: Intake = field(default_factory=Intake)
    joined: bool = False
    """It was found after the session was armed."""
    hello: int = 0
    arm: int = 0
    """Number of the request whose answer is awaited, 0 for none."""
    answer_by: float = 0.0
    """Monotonic time until which the answer to `hello` or `arm` may take."""
    heard_at: float = 0.0
    watch_until: float = 0.0
    """The connection broke: until this time the socket is looked at, to tell an ended process from a hiccup."""
    fetch_until: float = 0.0
    """Traces that the agent holds were asked for; they are waited for until this time."""
    collect: int = 0
    """Number of that request, 0 when it was not made."""
    owed: set[str] | None = None
    """Traces that it answered with."""
    was_armed: bool = False
    kept: int = 0
    """Traces of this agent that count."""
    counters: Counters | None = None
    ended: Ended | None = None
    reason: str = ""
    message: str = ""
    faults: int = 0

    @property
    def agent(self) -> Agent:
        return self.line.agent

    @property
    def lives(self) -> bool:
        """Whether the probe lives there, or may do so in a moment."""
        return self.state in (ARMING, ARMED)

    def settled(self, now: float) -> bool:
        """Return whether nothing more is expected of it."""
        if self.lives:
            return False
        if self.state != ENDED:
            return True
        fetched = self.owed is not None and self.owed <= self.intake.done
        return not self.intake.open and (fetched or now >= self.fetch_until)

    def end(self, state: str, reason: str, message: str) -> None:
        """Note how it ended; the first reason stands."""
        self.state, self.reason, self.message = state, reason, message
        self.arm = self.hello = 0

    def outcome(self) -> Outcome:
        """Return its line of the final account."""
        last = self.ended.counters if self.ended else self.counters
        return Outcome(
            agent=self.agent,
            result=LOST if self.state == GREETING else self.state,
            reason=self.reason or ("silent" if self.state == GREETING else ""),
            message=self.message,
            kept=self.kept,
            seen=last.seen if last else 0,
            passed_over=last.passed_over if last else 0,
            where_false=last.where_false if last else 0,
            where_errors=last.where_errors if last else 0,
            where_error=last.where_error if last else None,
            errors=last.errors if last else 0,
            tally=tally([last]),
            ended=self.ended,
        )
