"""The bounds of a probe and of its traces, their defaults and the ceilings that hold without any policy.

A *pruning* limit leaves something out, counts it on the node and goes on; an *ending* limit trips. docs/design.md
has the table.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from .errors import MessageError
from .text import duration, size

MIB = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one probe may use; times in seconds, sizes in bytes held in the process."""

    max_depth: int = 200
    """Calls deeper than this below the root are counted on their parent (pruning)."""
    max_calls: int = 20_000
    """Nodes of one trace (ending)."""
    max_bytes: int = 8 * MIB
    """Bytes that one trace may hold in the process (ending)."""
    max_duration_s: float = 60.0
    """Recording time of one trace (ending; the trace goes out as it stands)."""
    total_bytes: int = 32 * MIB
    """Bytes that all traces of the process may hold; finished ones that nobody acknowledged count (ends the probe: `full`)."""
    concurrent: int = 2
    """Traces of one probe that record at the same time; further tasks are passed over."""
    budget: float = 0.05
    """Part of one core that recording may cost tasks that are not traced (ends the probe: `budget`)."""


@dataclass(frozen=True, kw_only=True)
class Capture:
    """How much of a value is kept; beyond it the real size is kept and the rest left out."""

    depth: int = 2
    items: int = 20
    text: int = 120


CEILINGS = Limits(
    max_depth=10_000,
    max_calls=1_000_000,
    max_bytes=64 * MIB,
    max_duration_s=3600.0,
    total_bytes=128 * MIB,
    concurrent=16,
    budget=0.25,
)
CAPTURE_CEILINGS = Capture(depth=8, items=1000, text=10_000)
MAX_COUNT = 1_000
KEEP_CONCURRENT = 8
"""`concurrent` of a probe with a keep-condition, where it is not given: most candidates are dropped."""
MAX_SAMPLE = 1_000_000
MAX_RATE = 1_000
"""Recordings that `--rate` may let begin in a second."""
MAX_TTL_S = 24 * 3600.0
MAX_TARGETS = 50
"""Functions that the targets of one probe may match without `--force`."""


@dataclass(frozen=True, kw_only=True)
class Ceilings:
    """What nobody gets more than, whatever a controller asks for: these without a policy, and a policy may lower each."""

    count: int = MAX_COUNT
    """Traces that one probe keeps."""
    ttl_s: float = MAX_TTL_S
    functions: int = 10_000
    """Functions that the targets of one probe match, with `--force`."""
    limits: Limits = CEILINGS
    capture: Capture = CAPTURE_CEILINGS


HIGHEST = Ceilings()

STACKS = 500
"""Tasks, and threads, that one look shows by default."""
MAX_STACKS = 10_000
OUTER_FRAMES = 30
INNER_FRAMES = 70
"""Frames of one stack that are shown: its outermost and its innermost ones."""

ATTACHED_TTL_S = 300.0
LEASE_S = 10.0
RENEW_S = 3.0

OPTIONS = {
    "max_depth": "--max-depth",
    "max_calls": "--max-calls",
    "max_bytes": "--max-bytes",
    "max_duration_s": "--max-duration",
    "concurrent": "--concurrent",
    "budget": "--budget",
    "count": "-n",
    "ttl": "--ttl",
}
"""The option that raises a limit, by the name that an end reason carries."""


def to_wire(options: Limits | Capture) -> dict[str, Any]:
    """Return the map that a message carries."""
    return asdict(options)


def limits_from_wire(wire: object, ceilings: Limits = CEILINGS) -> tuple[Limits, list[str]]:
    """Return the limits in `wire` within the ceilings, and a sentence for each that was lowered.

    Fields that are missing take their default; unknown ones are ignored.
    """
    return _from_wire(Limits(), ceilings, wire)


def capture_from_wire(wire: object, ceilings: Capture = CAPTURE_CEILINGS) -> tuple[Capture, list[str]]:
    """Like `limits_from_wire`, for the capture options."""
    return _from_wire(Capture(), ceilings, wire)


def _from_wire(defaults: Any, ceilings: Any, wire: object) -> tuple[Any, list[str]]:
    if not isinstance(wire, dict):
        raise MessageError(f"limits must be a map, not {type(wire).__name__}")
    chosen: dict[str, Any] = {}
    lowered: list[str] = []
    for field in fields(defaults):
        value = wire.get(field.name, getattr(defaults, field.name))
        number = type(getattr(defaults, field.name))
        if type(value) not in (int, number) or not (value > 0 or (value == 0 and field.name == "depth")):
            raise MessageError(f"limit {field.name} must be a positive number, not {value!r}")
        ceiling = getattr(ceilings, field.name)
        if value > ceiling:
            lowered.append(
                f"{field.name} {_shown(field.name, value)} is above the ceiling: {_shown(field.name, ceiling)} holds"
            )
            value = ceiling
        chosen[field.name] = number(value)
    return replace(defaults, **chosen), lowered


def _shown(name: str, value: float) -> str:
    if name.endswith("bytes"):
        return size(value)
    if name == "budget":
        return f"{value:.4g}"
    return duration(value * 1e9) if name.endswith("_s") else str(value)
