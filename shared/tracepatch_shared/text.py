"""Durations and sizes as people type and read them."""

from __future__ import annotations

import re

from .errors import UsageError

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(us|µs|ms|s|m|h|d)")
_SECONDS = {"us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(B|KiB|MiB|GiB|KB|MB|kB)?")
_BYTES = {
    None: 1,
    "B": 1,
    "KiB": 1 << 10,
    "MiB": 1 << 20,
    "GiB": 1 << 30,
    "KB": 1000,
    "kB": 1000,
    "MB": 1000_000,
}


def parse_duration(text: str) -> float:
    """Return the seconds that `250ms`, `5s`, `2m` or `1h` stand for."""
    found = _DURATION.fullmatch(text.strip())
    if not found:
        raise UsageError(f"{text!r} is not a duration: write a number and a unit, as in 250ms, 5s, 2m or 1h")
    return float(found[1]) * _SECONDS[found[2]]


def parse_size(text: str) -> int:
    """Return the bytes that `64KiB`, `8MiB` or a bare number stand for."""
    found = _SIZE.fullmatch(text.strip())
    if not found:
        raise UsageError(f"{text!r} is not a size: write a number and a unit, as in 64KiB or 8MiB")
    return int(float(found[1]) * _BYTES[found[2]])


def duration(ns: float) -> str:
    """Return nanoseconds for people: `0ns`, `740ns`, `12.3µs`, `5.21ms`, `1.50s`, `3m12s`."""
    if ns < 1_000:
        return f"{ns:.0f}ns"
    if ns < 1_000_000:
        return f"{ns / 1e3:.1f}µs"
    if ns < 1_000_000_000:
        return f"{ns / 1e6:.2f}ms"
    if ns < 120_000_000_000:
        return f"{ns / 1e9:.2f}s"
    minutes, seconds = divmod(round(ns / 1e9), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02}m" if hours else f"{minutes}m{seconds:02}s"


def size(count: float) -> str:
    """Return bytes for people: `812 B`, `64.0 KiB`, `8.0 MiB`."""
    if count < 1024:
        return f"{count:.0f} B"
    for unit in ("KiB", "MiB"):
        count /= 1024
        if count < 1024:
            return f"{count:.1f} {unit}"
    return f"{count / 1024:.1f} GiB"
