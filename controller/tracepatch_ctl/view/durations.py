"""Durations in sentences."""

from __future__ import annotations


def milliseconds(ns: float) -> str:
    """Return `14 ms`, `0.4 ms`, `2.1 s`."""
    if ns >= 1e9:
        return f"{ns / 1e9:.1f} s"
    return f"{ns / 1e6:.{0 if ns >= 1e7 or ns == 0 else 1 if ns >= 1e5 else 3}f} ms"
