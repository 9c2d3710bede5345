"""Other mount namespaces of this machine, seen through `/proc/PID/root`: how a host shell looks into containers."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

_VARIABLE = b"TRACEPATCH_RUNTIME_DIR="
_MAX_ENVIRON_BYTES = 1 << 20
_FORGET_S = 30.0
"""Process ids are looked at again after this time: they are recycled, and a process may enter another namespace."""

_Root = tuple[str, int, int]


class Namespaces:
    """The roots that differ from ours, one process for each, and the runtime directories that processes there name.

    A root is told by its mount namespace and the identity of its directory, so a chroot counts too. Elsewhere than on
    Linux there are none. Not thread-safe.
    """

    def __init__(self, proc: str = "/proc") -> None:
        self._proc = proc
        self._seen: set[str] = set()
        self._seen_since = time.monotonic()
        self._denied: set[str] = set()
        self._left = 0
        self._members: dict[_Root, list[str]] = {}
        self._named: dict[_Root, set[str]] = {}
        self._ours = self._root_of("self")

    def refresh(self, *, budget_s: float) -> None:
        """Look at the processes that are new since the last time, within the budget; the rest comes next time."""
        if self._ours is None:
            return
        now = time.monotonic()
        if now - self._seen_since > _FORGET_S:
            self._seen.clear()
            self._members.clear()
            self._named.clear()
            self._seen_since = now
        try:
            present = {name for name in os.listdir(self._proc) if name.isdigit()}
        except OSError:
            return
        self._seen &= present
        self._denied &= present
        fresh = sorted(present - self._seen, key=int, reverse=True)
        self._left = len(fresh)
        for pid in fresh:
            if time.monotonic() - now > budget_s:
                break
            self._left -= 1
            self._seen.add(pid)
            root = self._root_of(pid)
            if root is not None and root != self._ours:
                self._members.setdefault(root, []).append(pid)
                named = self._runtime_directory(pid)
                if named:
                    self._named.setdefault(root, set()).add(named)

    def roots(self) -> Iterator[tuple[str, set[str]]]:
        """Yield the path of each other root through a process that lives, with the directories named there."""
        for root, pids in list(self._members.items()):
            while pids and self._root_of(pids[0]) != root:
                pids.pop(0)
            if pids:
                yield f"{self._proc}/{pids[0]}/root", self._named.get(root, set())
            else:
                del self._members[root]

    def notes(self) -> list[str]:
        """Return what to add to the places looked in: how many roots, and what could not be looked at."""
        if self._ours is None:
            return []
        told = [f"{self._proc}/PID/root/tmp/tracepatch-* of {len(self._members)} other mount namespaces"]
        if self._denied:
            told.append(f"not in {len(self._denied)} processes of other users under {self._proc}")
        if self._left:
            told.append(f"not in {self._left} processes under {self._proc}, for lack of time")
        return told

    def _root_of(self, pid: str) -> _Root | None:
        try:
            namespace = os.readlink(f"{self._proc}/{pid}/ns/mnt")
            state = os.stat(f"{self._proc}/{pid}/root")
        except PermissionError:
            self._denied.add(pid)
            return None
        except OSError:
            return None
        return namespace, state.st_dev, state.st_ino

    def _runtime_directory(self, pid: str) -> str | None:
        """Return the runtime directory that the process was started with, as an absolute path in its root."""
        try:
            with open(f"{self._proc}/{pid}/environ", "rb") as file:
                environ = file.read(_MAX_ENVIRON_BYTES)
        except OSError:
            return None
        for entry in environ.split(b"\0"):
            if entry.startswith(_VARIABLE):
                named = os.fsdecode(entry[len(_VARIABLE) :])
                return os.path.normpath(named) if named.startswith("/") else None
        return None
