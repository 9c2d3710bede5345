"""Everything that can be refused, with a stable code and the CLI's exit code.

    TracepatchError            failure              1
    ├── UsageError             usage                2   an option, target, duration or size is malformed
    │   └── ConditionError     condition            2   a condition of --where, --keep, --having is none
    ├── MessageError           bad-message          1   a message is malformed, too large or unknown
    │   └── VersionError       version              1   the peer speaks another protocol version
    ├── NobodyReached          nobody               3   no agent was found or answered
    ├── Refused                refused              4   an agent will not do it
    │   ├── TooWide            too-wide             4   a target matches more functions than is safe
    │   ├── NoSuchProbe        no-such-probe        4
    │   ├── Disabled           disabled             4   a kill switch is on
    │   ├── Forbidden          policy               4   the policy of the process's owner does not allow it, or is broken
    │   ├── Conflict           conflict             4   another tool occupies what tracing needs
    │   ├── NotTraceable       not-traceable        4   compiled function, class without a body, ...
    │   ├── NoRoom             no-room              4   memory, ceilings, probes already armed
    │   └── InternalError      internal             4   a bug of ours; everything was disarmed
    └── StoreError             store                1   the trace store cannot be opened or written

A message says what, with which value, and what to do next, in one sentence.
"""

from __future__ import annotations

from typing import ClassVar, Final

MAX_SHOWN: Final = 100
"""Characters of a condition that stand above the caret."""


class TracepatchError(Exception):
    """Base of all errors that tracepatch raises on purpose."""

    code: ClassVar[str] = "failure"
    exit_code: ClassVar[int] = 1


class UsageError(TracepatchError):
    """What the caller typed cannot be understood; the message shows the right form."""

    code = "usage"
    exit_code = 2


class ConditionError(UsageError):
    """A condition cannot be understood; `str` of it has a line with a caret under the mistake."""

    code = "condition"

    def __init__(self, sentence: str, text: str = "", at: int = 0, length: int = 1) -> None:
        self.sentence = sentence
        self.text = text
        self.at = at
        """Where in `text` the mistake begins."""
        super().__init__(f"{sentence}{pointed(text, at, length)}" if text else sentence)


class MessageError(TracepatchError):
    """A message from the other side is malformed, too large or of an unknown type."""

    code = "bad-message"


class VersionError(MessageError):
    """The other side speaks a protocol version that is not understood."""

    code = "version"


class NobodyReached(TracepatchError):
    """No agent was found, or none that was chosen answered; the message says where was looked."""

    code = "nobody"
    exit_code = 3


class Refused(TracepatchError):
    """An agent refused; the process is unchanged."""

    code = "refused"
    exit_code = 4


class TooWide(Refused):
    """A target matches more functions than is safe without `--force`."""

    code = "too-wide"


class NoSuchProbe(Refused):
    """The probe does not live in this agent (any more)."""

    code = "no-such-probe"


class Disabled(Refused):
    """A kill switch is on: `TRACEPATCH_DISABLE=1`, or the file `off` in the agent's directory."""

    code = "disabled"


class Forbidden(Refused):
    """The policy of the process's owner does not allow it, or its file cannot be used and nothing is allowed."""

    code = "policy"


class Conflict(Refused):
    """Another tool (debugger, coverage, profiler) occupies what tracing needs."""

    code = "conflict"


class NotTraceable(Refused):
    """The interpreter emits no events for this function (compiled code, for example)."""

    code = "not-traceable"


class NoRoom(Refused):
    """A ceiling, the memory left or the number of probes does not allow it."""

    code = "no-room"


class InternalError(Refused):
    """A bug of ours; the agent disarmed everything. Please report it."""

    code = "internal"


class StoreError(TracepatchError):
    """The trace store cannot be opened, read or written."""

    code = "store"


def pointed(text: str, at: int, length: int) -> str:
    """Return two lines: a text of which at most `MAX_SHOWN` characters are shown, and carets under a part of it."""
    start = max(0, min(at - MAX_SHOWN // 2, len(text) - MAX_SHOWN))
    before = "…" if start else ""
    after = "…" if start + MAX_SHOWN < len(text) else ""
    caret = " " * (len(before) + at - start) + "^" * max(1, min(length, MAX_SHOWN // 2))
    return f"\n    {before}{text[start : start + MAX_SHOWN]}{after}\n    {caret}"


def by_code(code: str, message: str) -> TracepatchError:
    """Return the error of the class with this code, `Refused` for a code that is not known here."""
    todo: list[type[TracepatchError]] = [TracepatchError]
    while todo:
        kind = todo.pop()
        if kind.code == code:
            return kind(message)
        todo.extend(kind.__subclasses__())
    return Refused(f"{code}: {message}")
