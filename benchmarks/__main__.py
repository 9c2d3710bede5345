"""Run all parts on this Python, print their tables, and keep the figures for the summary."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from pathlib import Path

from . import bystander, quiet, recording
from .tables import lines, say


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few rounds: does it work?")
    parser.add_argument("--save", type=Path, help="the file that the summary reads")
    options = parser.parse_args()
    quick = options.quick
    began = time.monotonic()
    say(
        f"CPython {platform.python_version()}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}"
    )
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        os.environ["TRACEPATCH_RUNTIME_DIR"] = os.path.join(scratch, "run")
        os.environ["TRACEPATCH_STORE"] = os.path.join(scratch, "traces.db")
        figures = {
            **quiet.measure(6 if quick else 120),
            **recording.measure(2 if quick else 11),
            **bystander.measure(3 if quick else 41),
            **bystander.left_out(2 if quick else 15),
        }
    print(f"({time.monotonic() - began:.0f} s)")
    if options.save is not None:
        version = "{}.{}".format(*sys.version_info)
        options.save.write_text(json.dumps({"python": version, "lines": lines, "figures": figures}))


if __name__ == "__main__":
    main()
