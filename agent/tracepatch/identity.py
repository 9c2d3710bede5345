"""Who an agent is: what `hello` answers and the file beside the socket says."""

from __future__ import annotations

import os
import platform
import re
import socket
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tracepatch_shared import VERSION

from .config import Config

IMPLEMENTATION = "tracepatch"
"""Says in `hello` which implementation speaks; others may come."""


@dataclass(frozen=True, kw_only=True)
class Identity:
    """One process as operators see it; a fork child has another one."""

    service: str
    host: str
    pid: int
    ppid: int
    python: str
    labels: Mapping[str, str]
    version: str | None
    """The application's own version."""
    agent_id: str
    start_ticks: int | None
    """The process's start in clock ticks since boot (field 22 of /proc/PID/stat); None where there is no /proc."""
    pid_namespace: str | None
    """What /proc/self/ns/pid points at; containers share pids, not namespaces."""
    created: float = field(default_factory=time.time)
    """Unix seconds."""
    began_s: float = field(default_factory=time.monotonic)
    """Monotonic seconds when the process, or where that is not known the agent, began."""

    @classmethod
    def here(cls, config: Config) -> Identity:
        """Return the identity of this process, with a fresh random id."""
        ticks = process_start_ticks()
        return cls(
            service=config.service or main_name(),
            host=socket.gethostname(),
            pid=os.getpid(),
            ppid=os.getppid(),
            python=platform.python_version(),
            labels=dict(config.labels),
            version=config.version,
            agent_id=os.urandom(6).hex(),
            start_ticks=ticks,
            pid_namespace=_pid_namespace(),
            began_s=time.monotonic() - (_age_s(ticks) or 0.0),
        )

    def to_wire(self) -> dict[str, Any]:
        """Return the fields of AGENT that do not change."""
        return {
            "service": self.service,
            "host": self.host,
            "pid": self.pid,
            "ppid": self.ppid,
            "python": self.python,
            "labels": {**self.labels, **({"version": self.version} if self.version else {})},
            "agent_id": self.agent_id,
            "version": VERSION,
            "implementation": IMPLEMENTATION,
            "uptime_s": round(time.monotonic() - self.began_s, 3),
        }

    def to_file(self) -> dict[str, Any]:
        """Return what `<agent_id>.json` says."""
        return {
            "agent_id": self.agent_id,
            "pid": self.pid,
            "pid_ns": self.pid_namespace,
            "start_time": self.start_ticks,
            "service": self.service,
            "host": self.host,
            "version": VERSION,
            "created": self.created,
        }


def main_name() -> str:
    """Return the name of what this process runs: `-m` module, script, or the interpreter's own name."""
    main = sys.modules.get("__main__")
    spec = getattr(main, "__spec__", None)
    if spec is not None and spec.name and spec.name != "__mp_main__":
        name = spec.name.removesuffix(".__main__")
    else:
        path = sys.argv[0] if sys.argv else ""
        name = os.path.splitext(os.path.basename(path))[0] if path not in ("", "-c", "-m", "-") else ""
    name = re.sub(r"[^\w.@+-]+", "-", name).strip("-")[:200]
    return name or "python"


def process_start_ticks(pid: int | str = "self") -> int | None:
    """Return field 22 of /proc/PID/stat, or None where it cannot be read."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            # The second field is the command in parentheses and may hold anything, parentheses too.
            return int(stat.read().rpartition(b")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return None


def _age_s(start_ticks: int | None) -> float | None:
    """Return the seconds since the process began, or None where the system does not say."""
    if start_ticks is None or not hasattr(time, "CLOCK_BOOTTIME"):
        return None
    try:
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - start_ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError):
        return None
    return age if age >= 0 else None


def _pid_namespace() -> str | None:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return None
