"""Finding the agents that are meant, and a line to each that answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import zmq

from tracepatch_shared.errors import NobodyReached, TracepatchError, UsageError

from .connection import Line, ask
from .discovery import Place, Search, place_of
from .events import AgentRefused
from .reports import Agent, agent_from_wire
from .selection import Selection, globs

Globs = Sequence[str | int] | str | int | None
_MAX_SOCKETS = 8192
_FORM = "not an endpoint: write ipc:///path/to/ID.sock or tcp://host:port"


class Reach:
    """Opens lines to the agents that a selection names, each time anew; for one thread at a time.

    `connect` names endpoints (`ipc://…`, `tcp://…`) and turns discovery off.
    """

    def __init__(
        self,
        *,
        connect: Sequence[str] | str = (),
        service: Globs = None,
        host: Globs = None,
        pid: Globs = None,
        label: Globs = None,
        agent: Globs = None,
    ) -> None:
        self.connect = tuple(_endpoint(str(url)) for url in globs(connect))
        self.selection = Selection(
            service=globs(service), host=globs(host), pid=globs(pid), label=globs(label), agent=globs(agent)
        )
        self.looked_in: list[str] = []
        """Where the last operation looked."""
        self.unreadable: list[str] = []
        """What it could not read, each with its owner."""
        self.unreached: list[Agent] = []
        """Chosen agents that did not answer it, or nothing that can be understood."""
        self.refusals: list[AgentRefused] = []
        """Errors with which agents answered it."""
        self._found = 0
        self._search = Search()
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._context.set(zmq.MAX_SOCKETS, _MAX_SOCKETS)

    def nobody(self) -> NobodyReached:
        """Return the error that says what the last operation found instead of an agent, and where it looked."""
        if self.unreached:
            told = "; ".join(f"{agent.name} is {agent.state}: {agent.reason}" for agent in self.unreached[:5])
            return NobodyReached(f"no agent answered: {told}")
        if self.connect:
            return NobodyReached(f"no agent answered at {', '.join(self.connect)}")
        found = (
            f"none of the {self._found} agents found matches {self.selection}"
            if self._found
            else "no agents found"
        )
        told = f"{found}; looked in {', '.join(self.looked_in)}"
        if self.unreadable:
            told += f"; could not read {', '.join(self.unreadable)}"
        if not self._found:
            told += "; does the application call tracepatch.start()?"
        return NobodyReached(told)

    def reach(self, *, keep_silent: bool = False) -> list[Line]:
        """Return open lines to the chosen agents that answer `hello`; note the others."""
        self.unreached, self.refusals = [], []
        lines = self._lines()
        self._found = len(lines)
        chosen: list[Line] = []
        for line, answer in ask(lines, {"type": "hello"}).items():
            try:
                if isinstance(answer, TracepatchError):
                    raise answer
                line.agent = agent_from_wire(answer.get("agent"), endpoint=line.endpoint)
            except NobodyReached:
                pass
            except TracepatchError as problem:
                line.agent = unreached(line.agent, problem)
            if not self.selection.matches(line.agent):
                line.close()
            elif line.agent.answers:
                chosen.append(line)
            else:
                self.unreached.append(line.agent)
                if keep_silent and line.agent.state == "silent":
                    chosen.append(line)
                else:
                    line.close()
        return chosen

    def reached(self, *, keep_silent: bool = False) -> list[Line]:
        """Like `reach`; raise `NobodyReached` when no agent answers."""
        lines = self.reach(keep_silent=keep_silent)
        if not any(line.agent.answers for line in lines):
            close(lines)
            raise self.nobody()
        return lines

    def _lines(self) -> list[Line]:
        if self.connect:
            return [self._named(endpoint) for endpoint in self.connect]
        places = self._search.places()
        self.looked_in = self._search.looked_in
        self.unreadable = [str(one) for one in self._search.unreadable]
        return _open(self._context, places)

    def _named(self, endpoint: str) -> Line:
        try:
            return Line(self._context, endpoint, place_of(endpoint))
        except (OSError, zmq.ZMQError) as problem:
            raise UsageError(f"{endpoint!r} is {_FORM} ({problem})") from None

    def _scout(self, search: Search) -> Callable[[set[str]], list[Line]]:
        """Return what a session's thread calls to find agents that started meanwhile."""

        def scout(known: set[str]) -> list[Line]:
            return _open(self._context, search.places(skip=known, proc_budget_s=0.1))

        return scout


def _open(context: zmq.Context[zmq.Socket[bytes]], places: Sequence[Place]) -> list[Line]:
    lines = []
    for place in places:
        try:
            lines.append(Line(context, place.endpoint, place))
        except (OSError, zmq.ZMQError):
            continue  # it went away between the look and now
    return lines


def close(lines: Sequence[Line]) -> None:
    for line in lines:
        line.close()


def unreached(agent: Agent, problem: TracepatchError) -> Agent:
    state = "silent" if isinstance(problem, NobodyReached) else "misbehaving"
    return replace(agent, state=state, reason=str(problem))


def _endpoint(url: str) -> str:
    """Return the endpoint that was named; a path to a socket counts as one."""
    if url.startswith("/"):
        return f"ipc://{url}"
    scheme, sep, rest = url.partition("://")
    if not sep or scheme not in ("ipc", "tcp") or not rest:
        raise UsageError(f"{url!r} is {_FORM}")
    return url
