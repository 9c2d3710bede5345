"""A limit in bytes is what the process's memory grows by, not a figure of our own book-keeping."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from acceptance_helpers import arming
from ctl import environment
from processes import TARGETS, python_process

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")

MIB = 1 << 20
FACTOR = 1.5


def resident(pid: int, name: str) -> int:
    """Return VmRSS (now) or VmHWM (the most since it was reset) in bytes."""
    (kib,) = re.findall(rf"^{name}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.M)
    return int(kib) << 10


@pytest.mark.parametrize("limit", [8, 16])
def test_a_tripped_probe(runtime_dir, tmp_path, limit: int) -> None:
    env = environment(XDG_STATE_HOME=str(tmp_path / "state"))
    bounds = ("--max-bytes", f"{limit}MiB", "--max-calls", "1000000")
    with python_process(TARGETS / "acceptance_loop.py", "loop") as app:
        app.expect("up")
        app.tell("1000")
        app.expect("done")
        before = resident(app.pid, "VmRSS")
        Path(f"/proc/{app.pid}/clear_refs").write_text("5")
        with arming(app, "__main__:crunch", *bounds, env=env) as arm:
            app.tell("500000")
            app.expect("done", 60)
            arm.wait()
        grown = resident(app.pid, "VmHWM") - before
        print(f"{limit} MiB: VmHWM grew by {grown / MIB:.1f} MiB")
    assert f"tripped: max_bytes of {limit}.0 MiB reached" in arm.lines[-2], arm.lines[-2:]
    assert grown <= FACTOR * limit * MIB, f"{grown / MIB:.1f} MiB"
