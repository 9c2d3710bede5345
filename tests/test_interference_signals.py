"""What a signal handler raises while a hot loop is traced arrives, once, where it would; and nothing of ours stays.

Half of the signals come into the middle of a trace, half around its beginning and its end.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from processes import TARGETS

SIGNALS = int(os.environ.get("TRACEPATCH_SIGNALS", "500"))
"""For each way of tracing."""


@pytest.mark.parametrize("way", ["armed", "block", "decorated"])
def test_exceptions_of_signal_handlers_pass(way: str) -> None:
    seed = int.from_bytes(os.urandom(2), "little")
    command = [sys.executable, "-W", "ignore", str(TARGETS / "signalled.py"), way, str(SIGNALS), str(seed)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=170)
    assert not done.returncode, done.stderr
    seen = json.loads(done.stdout)
    outcome = seen["outcome"]
    released = outcome.pop("released")
    assert (outcome, released) == ({"arrived": SIGNALS}, 1 + (SIGNALS // 500 if way == "armed" else 0)), seed
    assert seen["places"]["ours"] > SIGNALS / 5, "most of the time is spent in callbacks"
    assert seen["statuses"]["complete"] > 0
