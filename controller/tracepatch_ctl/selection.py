"""Which of the agents that are found an operation is for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from tracepatch_shared.errors import UsageError

from .reports import Agent


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Globs for what agents say of themselves; none means every agent.

    Several of one option are alternatives, the options must all hold; labels (`key=glob`, or `key` for any value) must
    hold each. An agent is also named by the beginning of its id.
    """

    service: tuple[str, ...] = ()
    host: tuple[str, ...] = ()
    pid: tuple[str, ...] = ()
    label: tuple[str, ...] = ()
    agent: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for label in self.label:
            if not label.partition("=")[0]:
                raise UsageError(
                    f"{label!r} is not a label: write key=value, as in env=prod; globs are allowed in the value"
                )

    def matches(self, agent: Agent) -> bool:
        """Return whether the agent is chosen; what a silent one did not say is taken as it would suit."""
        silent = not agent.answers
        return (
            _one_of(self.service, agent.service, unknown=silent)
            and _one_of(self.host, agent.host, unknown=silent)
            and _one_of(self.pid, str(agent.pid or ""), unknown=silent)
            and _one_of(tuple(f"{name}*" for name in self.agent), agent.agent_id, unknown=silent)
            and (silent or all(_label(label, agent) for label in self.label))
        )

    def __str__(self) -> str:
        named = (
            ("service", self.service),
            ("host", self.host),
            ("pid", self.pid),
            ("label", self.label),
            ("agent", self.agent),
        )
        return " ".join(f"--{name} {glob}" for name, globs in named for glob in globs)


def globs(given: Sequence[str | int] | str | int | None) -> tuple[str, ...]:
    """Return globs as a tuple; one alone may be given as it is."""
    if given is None:
        return ()
    if isinstance(given, (str, int)):
        return (str(given),)
    return tuple(str(glob) for glob in given)


def _one_of(globs: tuple[str, ...], text: str, *, unknown: bool) -> bool:
    if not globs or (unknown and not text):
        return True
    return any(fnmatchcase(text, glob) for glob in globs)


def _label(label: str, agent: Agent) -> bool:
    key, equals, glob = label.partition("=")
    return key in agent.labels and (not equals or fnmatchcase(agent.labels[key], glob))
