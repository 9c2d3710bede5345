"""A probe as it is asked for: what was given, checked before anybody is reached."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tracepatch_shared.conditions import parse
from tracepatch_shared.errors import MessageError, UsageError
from tracepatch_shared.limits import (
    ATTACHED_TTL_S,
    LEASE_S,
    MAX_COUNT,
    MAX_TTL_S,
    Capture,
    Limits,
    capture_from_wire,
    limits_from_wire,
    to_wire,
)
from tracepatch_shared.targets import parse_targets

from .choice import requested


@dataclass(frozen=True, kw_only=True)
class Scope:
    """What is recorded below a target, as globs of module names; by default the application and the border to libraries."""

    all: bool = False
    lib: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()


def probe(
    targets: Sequence[str],
    *,
    operator: str,
    count: int,
    ttl_s: float | None,
    detach: bool,
    limits: Limits | Mapping[str, Any] | None,
    capture: Capture | Mapping[str, Any] | None,
    scope: Scope | None,
    where: str | None = None,
    live: bool = False,
    args: bool = True,
    keep: str | None = None,
    sample: int | None = None,
    rate: float | None = None,
    having: Sequence[str] = (),
    mode: str = "safe",
    traceparent: str | None = None,
    **others: Any,
) -> dict[str, Any]:
    """Return the map that an `arm` message carries, with a fresh id; raise `UsageError` for what cannot be meant."""
    if isinstance(targets, str):
        targets = [targets]
    parse_targets(targets)
    if where is not None:
        parse(where, kind="where")
    if not targets:
        raise UsageError("nothing to arm: give a target, as in app.views:Cart.checkout")
    if detach and ttl_s is None:
        raise UsageError("a detached probe needs a time to live: give --ttl, as in --ttl 10m")
    if mode not in ("safe", "repr"):
        raise UsageError(f"{mode!r} is no way to read values: write safe, or repr")
    choice, ttl_s = requested(
        keep=keep,
        having=having,
        traceparent=traceparent,
        sample=sample,
        rate=rate,
        live=live,
        args=args,
        ttl_s=ttl_s,
    )
    return {
        "probe_id": secrets.token_hex(4),
        "targets": list(targets),
        "count": checked_count(count),
        "ttl_s": checked_ttl(ATTACHED_TTL_S if ttl_s is None else ttl_s),
        "lease_s": None if detach else LEASE_S,
        "operator": operator,
        "limits": _options(limits, limits_from_wire),
        "capture": _options(capture, capture_from_wire),
        "scope": {
            key: value if key == "all" else list(value) for key, value in asdict(scope or Scope()).items()
        },
        "live": live,
        "args": args,
        **choice,
        **({} if where is None else {"where": where}),
        **({} if mode == "safe" else {"mode": mode}),
        **others,
    }


def checked_count(count: int) -> int:
    """Return a count of traces that is possible."""
    if not 1 <= count <= MAX_COUNT:
        raise UsageError(f"{count} is not a count of traces: write 1 to {MAX_COUNT}")
    return count


def checked_ttl(ttl_s: float) -> float:
    """Return a time to live that is possible, in seconds."""
    if not 0 < ttl_s <= MAX_TTL_S:
        raise UsageError(
            f"a time to live of {ttl_s:g} s is not possible: write more than 0 and at most {MAX_TTL_S / 3600:g}h"
        )
    return float(ttl_s)


def _options(
    options: Limits | Capture | Mapping[str, Any] | None, check: Callable[[object], object]
) -> dict[str, Any]:
    """Return only what was given, checked: the agent's defaults stand for the rest."""
    if options is None:
        return {}
    wire = dict(options) if isinstance(options, Mapping) else to_wire(options)
    try:
        check(wire)
    except MessageError as problem:
        raise UsageError(str(problem)) from None
    return wire
