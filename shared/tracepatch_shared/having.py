"""What `--having` says: a call that has to occur in a trace, and what its arguments have to be.

    app.auth:load_user                   any call of it
    app.auth:load_user(user_id == 42)    one with such arguments: bare names are its arguments, as in --where

Controller and agent read it alike; where a call is one of these is known by the agent alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from .conditions import Expression, parse
from .errors import UsageError
from .targets import Target, parse_target

MAX_HAVING: Final = 8
"""Calls that one probe may ask for."""

_CALL = re.compile(r"(.*?\.pyw?:\d+|[^(]*)\((.*)\)", re.DOTALL)
_CALLED = ("function", "file", "dotted")


@dataclass(frozen=True, kw_only=True)
class Having:
    """One parsed `--having`."""

    text: str
    target: Target
    condition: Expression | None = None
    """On the call's arguments; None: any call will do."""


def parse_having(text: str) -> Having:
    """Return what one `--having` means; raise `UsageError`, for its condition `ConditionError`."""
    text = text.strip()
    call = _CALL.fullmatch(text)
    name, condition = (call[1], call[2].strip()) if call else (text, "")
    if not call and "(" in name and not name.endswith(")") and ".py" not in name:
        raise UsageError(f"--having {text!r}: the bracket ( is never closed")
    target = parse_target(name)
    if target.kind not in _CALLED:
        raise UsageError(
            f"--having {text!r}: a call is of a function: write for example 'app.auth:load_user(user_id == 42)'"
        )
    return Having(text=text, target=target, condition=parse(condition, kind="where") if condition else None)


def several(texts: list[str]) -> list[Having]:
    """Return what all of a probe's mean."""
    if len(texts) > MAX_HAVING:
        raise UsageError(f"{len(texts)} --having are more than the {MAX_HAVING} allowed")
    return [parse_having(text) for text in texts]
