"""Where there is no memory for a record the trace ends there and says so: nothing crashes, and no stream is broken."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

if sys.version_info < (3, 12):
    pytest.skip("there is no native core", allow_module_level=True)
pytest.importorskip(
    "tracepatch.cores._native", reason="installed where no C compiler is", exc_type=ImportError
)
pytest.importorskip("_testcapi", reason="this Python has no allocations that fail")


def test_allocations_that_fail_end_the_trace_or_change_nothing() -> None:
    ran = subprocess.run(
        [sys.executable, "native_hungry.py", "0", "100", "1"],
        cwd=Path(__file__).parent,
        env={**os.environ, "TRACEPATCH_CORE": "native"},
        capture_output=True,
        timeout=100,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr.decode(errors="replace")
    found = ast.literal_eval(ran.stdout.decode())
    assert sum(found.values()) == 100
    assert {text.partition(",")[0] for text in found} <= {
        "complete None",
        "tripped internal",
        "tripped interrupted",
    }
    assert found["tripped internal"] > 5
