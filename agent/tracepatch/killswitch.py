"""The ways to keep the agent off without a network: a variable at start, and a file while the process runs.

`TRACEPATCH_DISABLE=1` is read by `config`. The file is `off` in the agent's folder: it is looked at on every arm
and every second while a probe lives; whoever may write there may create it (`touch DIR/off`).
"""

from __future__ import annotations

import os

from tracepatch_shared.errors import Disabled

FILE = "off"


def path(folder: str) -> str:
    """Return where the file would be."""
    return os.path.join(folder, FILE)


def is_on(folder: str) -> bool:
    """Return whether the file is there, of whatever kind; one system call."""
    return os.path.lexists(path(folder))


def check(folder: str) -> None:
    """Raise `Disabled` when the kill switch is on."""
    if is_on(folder):
        raise Disabled(f"tracing is switched off here by the file {path(folder)}: remove it to arm again")
