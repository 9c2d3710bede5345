"""Running the command line in tests: as a process, in a terminal, or in this process."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from tracepatch_ctl.cli import cli

COMMAND = (sys.executable, "-m", "tracepatch_ctl")
GOLDEN = Path(__file__).resolve().parent / "golden"
PLAIN = {"PYTHONUTF8": "1", "TZ": "UTC", "COLUMNS": "110", "TERM": "xterm"}


def environment(**changes: str | None) -> dict[str, str]:
    """Return this process's environment with changes; None takes a variable away."""
    env = {**os.environ, **PLAIN}
    for name in ("NO_COLOR", "TRACEPATCH_STORE", *changes):
        env.pop(name, None)
    env.update({name: value for name, value in changes.items() if value is not None})
    return env


def ctl(
    *words: str, env: dict[str, str] | None = None, stdin: bytes = b"", timeout: float = 60, **options: Any
) -> subprocess.CompletedProcess[str]:
    """Run a command line as a process and return what it printed."""
    done = subprocess.run(
        [*COMMAND, *words],
        env=environment() if env is None else env,
        input=stdin,
        capture_output=True,
        timeout=timeout,
        check=False,
        **options,
    )
    out, err = (part.decode("utf-8", "surrogateescape") for part in (done.stdout, done.stderr))
    assert "Traceback" not in err, err
    return subprocess.CompletedProcess(done.args, done.returncode, out, err)


def terminal(
    *words: str, env: dict[str, str] | None = None, command: Sequence[str] = COMMAND
) -> tuple[int, str]:
    """Run a command line with a terminal as its standard output and error; return the code and what came there."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [*command, *words],
        env=environment() if env is None else env,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    ) as child:
        os.close(theirs)
        shown = b""
        while True:
            try:
                piece = os.read(ours, 65536)
            except OSError:  # EIO: the other end has closed
                break
            if not piece:
                break
            shown += piece
        os.close(ours)
    return child.returncode, shown.decode().replace("\r\n", "\n")


def invoke(*words: str, **options: Any) -> Result:
    """Run a command line in this process."""
    return CliRunner().invoke(cli, list(words), prog_name="tracepatch-ctl", **options)


def golden(name: str, text: str) -> None:
    """Compare with the file in tests/golden; `TRACEPATCH_WRITE_GOLDEN=1` writes it instead."""
    path = GOLDEN / name
    if os.environ.get("TRACEPATCH_WRITE_GOLDEN") == "1":
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")
