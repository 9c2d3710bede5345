"""A subinterpreter, as mod_wsgi has them: it traces without the native core, whose parts are the process's."""

from __future__ import annotations

import subprocess
import sys

import pytest

from processes import TARGETS


@pytest.mark.skipif(
    (3, 12) <= sys.version_info < (3, 14), reason="zoneinfo alone breaks a process with subinterpreters there"
)
def test_both_interpreters_trace_side_by_side() -> None:
    command = [sys.executable, str(TARGETS / "interpreters.py")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["inside 1", "outside 1"]
