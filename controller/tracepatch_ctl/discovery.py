"""Where local agents are found: a socket and a file of particulars for each, in a few directories.

Looked in, in this order: our own directory (`TRACEPATCH_RUNTIME_DIR`, else `/tmp/tracepatch-<euid>`), each
`/tmp/tracepatch-*` that may be read, and on Linux the same places of every other mount namespace through
`/proc/PID/root`. A socket whose `connect()` is refused is stale; stale files are removed when they are ours, in our own
mount namespace, and nothing else is ever removed.

Everything in those directories was written by somebody else: names are matched, files are opened without following
links and without blocking, read to a bound, and checked.
"""

from __future__ import annotations

import json
import os
import re
import stat
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from .namespaces import Namespaces
from .sockets import knock

PREFIX = "tracepatch-"
_SOCKET = re.compile(r"([0-9a-f]{12})\.sock")
_MAX_CARD_BYTES = 64 << 10
_MAX_SOCKETS = 10_000
_YOUNG_S = 2.0
"""A socket younger than this is asked twice before it counts as stale: zmq binds first and listens a moment later."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """A socket that accepts connections, and what the file beside it says."""

    agent_id: str
    directory: str
    card: Mapping[str, Any]
    """`<id>.json`: agent_id, pid, pid_ns, start_time, service, host, version, created; empty when it cannot be read."""

    @property
    def path(self) -> str:
        """Path of the socket, as seen from here."""
        return os.path.join(self.directory, f"{self.agent_id}.sock")

    @property
    def endpoint(self) -> str:
        """The endpoint to show and to pass to `--connect`; connect through `Address`, which also takes long paths."""
        return f"ipc://{self.path}"


@dataclass(frozen=True, kw_only=True)
class Unreadable:
    """A directory or socket that exists and may not be read by us."""

    path: str
    owner: str

    def __str__(self) -> str:
        return f"{self.path} of {self.owner}"


def runtime_directory() -> str:
    """Return the directory of this user's agents; nothing else in the environment moves it."""
    chosen = os.environ.get("TRACEPATCH_RUNTIME_DIR")
    if chosen:
        return os.path.abspath(chosen)
    return f"/tmp/{PREFIX}{os.geteuid() if hasattr(os, 'geteuid') else 0}"


class Search:
    """Looks for agents; keep one to look again cheaply.

    Not thread-safe. One look costs about 20 µs per process of the machine the first time, and a listing of the
    directories afterwards.
    """

    def __init__(self, *, tmp: str = "/tmp", proc: str = "/proc") -> None:
        self.looked_in: list[str] = []
        self.unreadable: list[Unreadable] = []
        self.readable: list[str] = []
        """Directories that are there and could be read, each once."""
        self._tmp = tmp
        self._namespaces = Namespaces(proc)
        self._seen_directories: set[tuple[int, int]] = set()

    def places(self, *, skip: Collection[str] = (), proc_budget_s: float = 1.0) -> list[Place]:
        """Return the sockets that accept connections, each agent once; agents in `skip` are not touched.

        Processes that are new since the last look get at most `proc_budget_s`; the rest of them comes the next time.
        """
        self.looked_in, self.unreadable, self.readable = [], [], []
        self._seen_directories.clear()
        found: dict[str, Place] = {}
        if os.name != "posix":
            return []
        own = runtime_directory()
        self._look(own, found, skip, follow=True)
        for directory in self._shared(self._tmp):
            if directory != own:
                self._look(directory, found, skip)
        self._namespaces.refresh(budget_s=proc_budget_s)
        for root, directories in self._namespaces.roots():
            for directory in (*self._shared(f"{root}/tmp"), *(root + named for named in directories)):
                self._look(directory, found, skip, foreign=True)
        self.looked_in.extend(self._namespaces.notes())
        return list(found.values())

    def _shared(self, parent: str) -> list[str]:
        try:
            names = os.listdir(parent)
        except OSError:
            return []
        return [f"{parent}/{name}" for name in sorted(names) if name.startswith(PREFIX)]

    def _look(
        self,
        directory: str,
        found: dict[str, Place],
        skip: Collection[str],
        *,
        follow: bool = False,
        foreign: bool = False,
    ) -> None:
        """Add what one directory holds; `follow` allows the directory itself to be a symbolic link."""
        if directory not in self.looked_in:
            self.looked_in.append(directory)
        flags = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | (0 if follow else getattr(os, "O_NOFOLLOW", 0))
        try:
            folder = os.open(directory, flags)
        except PermissionError:
            self._refused(directory)
            return
        except OSError:
            return
        try:
            state = os.fstat(folder)
            if (state.st_dev, state.st_ino) in self._seen_directories:
                return
            self._seen_directories.add((state.st_dev, state.st_ino))
            self.readable.append(directory)
            ours = not foreign and hasattr(os, "geteuid") and state.st_uid == os.geteuid()
            for name in os.listdir(folder)[:_MAX_SOCKETS]:
                match = _SOCKET.fullmatch(name)
                if match and match[1] not in skip and match[1] not in found:
                    self._consider(directory, folder, match[1], found, removable=ours)
        except PermissionError:
            self._refused(directory)
        except OSError:
            return
        finally:
            os.close(folder)

    def _consider(
        self, directory: str, folder: int, agent_id: str, found: dict[str, Place], *, removable: bool
    ) -> None:
        name = f"{agent_id}.sock"
        try:
            state = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except OSError:
            return
        if not stat.S_ISSOCK(state.st_mode):
            return
        place = Place(agent_id=agent_id, directory=directory, card=_card(folder, agent_id))
        answer = knock(place.path)
        if answer == "refused" and time.time() - state.st_mtime < _YOUNG_S:
            time.sleep(0.02)
            answer = knock(place.path)
        if answer == "open":
            found[agent_id] = place
        elif answer == "denied":
            self._refused(place.path)
        elif answer == "refused" and removable and state.st_uid == os.geteuid():
            _remove(folder, name)
            _remove(folder, f"{agent_id}.json")

    def _refused(self, path: str) -> None:
        try:
            owner = _user(os.stat(path, follow_symlinks=False).st_uid)
        except OSError:
            owner = "another user"
        self.unreadable.append(Unreadable(path=path, owner=owner))


def place_of(endpoint: str) -> Place | None:
    """Return the place of an `ipc://` endpoint that somebody named, or None for another kind of endpoint."""
    if not endpoint.startswith("ipc://") or endpoint.startswith("ipc://@"):
        return None
    directory, name = os.path.split(os.path.abspath(endpoint[len("ipc://") :]))
    match = _SOCKET.fullmatch(name)
    if not match:
        return None
    try:
        folder = os.open(directory, os.O_RDONLY)
    except OSError:
        return None
    try:
        return Place(agent_id=match[1], directory=directory, card=_card(folder, match[1]))
    finally:
        os.close(folder)


def _card(folder: int, agent_id: str) -> dict[str, Any]:
    """Return what the file beside a socket says; empty when it is missing, foreign in kind, too large or malformed."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        file = os.open(f"{agent_id}.json", flags, dir_fd=folder)
    except OSError:
        return {}
    try:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            return {}
        text = os.read(file, _MAX_CARD_BYTES)
    except OSError:
        return {}
    finally:
        os.close(file)
    try:
        card = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return card if type(card) is dict else {}


def _remove(folder: int, name: str) -> None:
    try:
        os.unlink(name, dir_fd=folder)
    except OSError:
        pass


def _user(uid: int) -> str:
    try:
        import pwd

        return pwd.getpwuid(uid).pw_name
    except (ImportError, KeyError):
        return f"uid {uid}"
