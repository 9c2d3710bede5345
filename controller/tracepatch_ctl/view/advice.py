"""The one command to try next where nothing was kept, to be pasted as it stands."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from tracepatch_shared.limits import ATTACHED_TTL_S, MAX_TTL_S
from tracepatch_shared.text import parse_duration

from ..choice import literal
from ..saved import Value, words

if TYPE_CHECKING:
    from ..events import Armed, End

LONGER = 5
"""How many times as long is waited next where nothing came."""

_TARGETS = "tracepatch-ctl targets"
_KEEPING = ("slower-than", "keep", "errors")
_LOST_TO = {
    "slower-than": "the slowest would have been kept",
    "keep": "the nearest one would have been kept",
    "concurrent": "others were being traced",
    "sample": "the sample left them out",
    "rate": "the rate left them out",
    "ttl": "none ended so in time",
}
"""By the option that is changed: what most of the tasks were lost to."""
_KIND = re.compile(r"(http|task|job|thread):(.*)", re.DOTALL)


def quoted(target: str) -> str:
    """Return a target as it is typed: `http:'POST /items*'`, `'app.*:*'`, `app.views:cart`."""
    kind = _KIND.fullmatch(target)
    return f"{kind[1]}:{shlex.quote(kind[2])}" if kind else shlex.quote(target)


def shown(targets: Sequence[str], options: Mapping[str, Value]) -> str:
    """Return what is typed behind `arm`."""
    return " ".join(map(quoted, words(targets, options)))


def command(
    end: End, armed: Sequence[Armed], targets: Sequence[str], options: Mapping[str, Value]
) -> tuple[str, str] | None:
    """Return why nothing came, and the command to try next; None where something came or nothing is known."""
    if end.kept or not armed:
        return None
    changed = dict(options)
    if end.seen == 0 and all(target.startswith("http:") for target in targets):
        if end.tally.unmatched:
            return "requests came, and none that is named", f"{_TARGETS} http:'*'"
        if not any(event.matched_total for event in armed):
            return "no framework that is known is loaded", f"{_TARGETS} http:'*'"
    if not any(event.matched_total for event in armed):
        near = next((event.near[0] for event in armed if event.near), None)
        if near is not None:
            return "nothing that is loaded has this name", _arm([near], changed)
        word = re.split(r"[.:/ ]", targets[0].rstrip("*"))[-1].strip("*?[]@0123456789") or "*:*"
        return "nothing that is loaded has this name", f"{_TARGETS} {quoted(word)}"
    if end.seen == 0:
        changed["ttl"] = _longer(options)
        return "it was not called", _arm(targets, changed)
    if end.where_false + end.where_errors >= max(end.passed_over, end.tally.not_kept, 1):
        changed.pop("where", None)
        why = "could not be evaluated" if end.where_errors > end.where_false else "held for none"
        return f"--where {why}; one without it shows the values", _arm(targets, {**changed, "count": "1"})
    if end.tally.throttled > max(end.passed_over, end.tally.not_kept):
        return "the budget was used up", _arm(targets, {**changed, "budget": "20"})
    if end.next is None:
        if not end.tally.not_kept:
            return None
        for name in _KEEPING:
            changed.pop(name, None)
        return "none ended so; one without the conditions shows how they end", _arm(
            targets, {**changed, "count": "1"}
        )
    option, _, value = end.next.partition(" ")
    name = option.lstrip("-")
    if name in ("slower-than", "keep"):
        for other in _KEEPING:
            changed.pop(other, None)
    changed[name] = shlex.split(value)[0] if value else _longer(options)
    return _LOST_TO.get(name, "most were left out by it"), _arm(targets, changed)


def _arm(targets: Sequence[str], options: Mapping[str, Value]) -> str:
    return f"tracepatch-ctl arm {shown(targets, options)}"


def _longer(options: Mapping[str, Value]) -> str:
    given = options.get("ttl")
    before = parse_duration(given) if isinstance(given, str) else ATTACHED_TTL_S
    return literal(min(LONGER * before, MAX_TTL_S))
