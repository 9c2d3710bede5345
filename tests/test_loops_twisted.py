"""Twisted: its reactor runs once in a process, so each test is a program of its own."""

from __future__ import annotations

from loops_helpers import run_target


def test_deferreds_coroutines_and_threads() -> None:
    run_target("loops_twisted.py")
