"""What runs in the box of test_acceptance_minimal: an application and the command line beside it, and nothing more.

Standard library only. Prints one JSON line: what the command line did, and what of the box is not as it should be.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

PYTHON = (sys.executable, "-S", "-u")
TOO_MUCH = ("rich", "fastapi", "uvicorn", "pytest", "textual", "sqlalchemy")


def wrong() -> list[str]:
    """Return how this box is not the one that was meant."""
    found = [name for name in TOO_MUCH if find_spec(name)]
    found += [name for name in os.environ if name in ("HOME", "USER", "LOGNAME")]
    for folder in ("/", "/dev/shm", "/var/tmp", "/etc", os.path.dirname(sys.executable)):
        try:
            with open(f"{folder}/written", "w"):
                found.append(f"{folder} can be written")
        except OSError:
            pass
    try:
        import pwd

        found.append(pwd.getpwuid(os.getuid()).pw_name)
    except KeyError:
        pass
    return found


def main() -> None:
    app = subprocess.Popen([*PYTHON, str(Path(__file__).with_name("acceptance_worker.py")), "boxed"],
                           stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # fmt: skip
    try:
        assert app.stdout is not None
        app.stdout.readline()
        done = subprocess.run(
            [*PYTHON, "-m", "tracepatch_ctl", *sys.argv[1:]],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    finally:
        app.kill()
        app.wait()
    print(json.dumps({"code": done.returncode, "out": done.stdout, "err": done.stderr, "wrong": wrong()}))


if __name__ == "__main__":
    main()
