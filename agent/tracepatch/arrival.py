"""What enters at an entry: a request, a job, whatever kind of work a target names otherwise than by a function.

Concurrency: made and asked on application threads, inside callbacks; runs nothing of the application's.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from tracepatch_shared.targets import Target
from tracepatch_shared.traceparent import Traceparent

from .spans import Span

if TYPE_CHECKING:
    from .recording import Recording


class Outcome:
    """How it went, where its root's own end does not tell: fed by calls that the trace contains (see `response`)."""

    __slots__ = ()

    goes_on: ClassVar[bool] = False
    """What the root returns may still have to be worked off by whoever called it."""
    status: int | None = None
    route: str | None = None
    span: Span | None = None
    """That of OpenTelemetry which was begun inside for it."""
    ended_ns: int = 0
    """It was over for whoever waits for it, of `perf_counter_ns`; 0: when the root ends."""

    @property
    def failed(self) -> bool:
        """It is an error, although the root may return."""
        return False

    def mounts(self, path: str) -> None:
        """An application that is mounted here goes on with the request."""

    def routed(self, path: str) -> None:
        """A route was chosen, by this template."""

    def view_raised(self) -> None:
        """A framework was given an exception out of the view, or what it had begun to send broke off."""

    def fails(self, what: object) -> None:
        """Its library says that what has this id has failed."""

    def begins(self, status: object) -> None:
        """A status is about to be sent."""

    def runs_in(self, span: Span) -> None:
        """A span of OpenTelemetry becomes current."""

    def ends(self) -> None:
        """The last byte is about to be sent."""

    def to_wire(self, started_ns: int) -> dict[str, Any]:  # noqa: ARG002 - some need it
        """Return what the task of a trace says of it."""
        return {}


class Failure(Outcome):
    """Whether work failed, where its library catches what its function raises."""

    __slots__ = ("_failed", "_identity")

    def __init__(self, identity: str | int | None) -> None:
        """`identity` is that by which the library names it."""
        self._failed = False
        self._identity = identity

    @property
    def failed(self) -> bool:
        return self._failed

    def fails(self, what: object) -> None:
        kind = type(what)
        plain = kind is str or kind is int or what is None
        if plain and kind is type(self._identity) and what == self._identity:
            self._failed = True

    def to_wire(self, started_ns: int) -> dict[str, Any]:  # noqa: ARG002 - as all outcomes
        return {"failed": self._failed}


class Arrival(ABC):
    """One unit of work as it enters, as plain data."""

    __slots__ = ()

    kind: ClassVar[str]
    """The prefix of the targets that name it."""
    known: ClassVar[tuple[str, ...]]
    """What a condition may ask of it."""
    called: ClassVar[str]
    """What it is, in a sentence: `a request`."""
    open_names: ClassVar[bool] = False
    """It may have other names besides."""
    displaces: ClassVar[bool] = False
    """Where the one before it goes on after its root (see `Outcome.goes_on`), it ends when this one comes."""
    outermost: ClassVar[bool] = True
    """Where entries call each other, the first one is meant."""

    @property
    def traceparent(self) -> Traceparent | None:
        """The distributed trace whose part it says it is."""
        return None

    @abstractmethod
    def names(self) -> Mapping[str, Any]:
        """Return the values of `known`."""

    @abstractmethod
    def matches(self, target: Target) -> bool:
        """Tell whether a target of this kind names it."""

    @abstractmethod
    def task(self, shown: Callable[[str], str]) -> dict[str, Any]:
        """Return what the head of a trace says of it; `shown` makes of a text what may be shown of it."""

    @abstractmethod
    def outcome(self) -> Outcome | None:
        """Return what takes in how it goes; None where the root's end says all."""

    def is_followed(self, recordings: Iterable[Recording]) -> bool:  # noqa: ARG002 - what has a Context says so by that
        """Tell whether one of these has started it and shows it as a branch."""
        return False

    def began(self, recording: Recording) -> None:  # noqa: B027 - most have nothing to do
        """It is recorded from here on."""
