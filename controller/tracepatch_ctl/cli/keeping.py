"""Where finished traces go besides the screen: the store and the files of `-o`."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from tracepatch_shared.errors import StoreError, TracepatchError

from ..export import document
from ..store import Entry, Store, location
from .output import Output

if TYPE_CHECKING:
    from tracepatch_shared.tree import Trace

    from ..events import TraceFinished


class Keeper:
    """Files the traces of one command in the store, as far as there is one.

    A store that the user named must work, before anything is armed; the default one may fail: then the reason is
    said once, traces are shown, and the agents keep them because nobody acknowledges.
    """

    def __init__(self, out: Output, *, save: bool, what: str, tag: str | None = None) -> None:
        self._out = out
        self._save = save
        self._tag = tag
        self._what = what
        self._store: Store | None = None
        self._arm = 0
        self._named = False
        self._said = False
        self.failed = False
        """A store that the user named took no more traces."""
        if not save:
            return
        try:
            path, self._named = location()
            self._store = Store.open(path)
        except StoreError as error:
            if self._named or os.environ.get("TRACEPATCH_STORE"):
                raise
            self._say(error)

    def __enter__(self) -> Keeper:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        if self._store is not None:
            self._store.close()

    def keep(self, finished: TraceFinished, trace: Trace) -> bool:
        """File a trace; return whether it is safe here. Where it is not, say why, once."""
        if self._store is None:
            return False
        try:
            if not self._arm:
                self._arm = self._store.begin_arm(self._what)
            self._store.add(self._entry(finished, trace), finished.data, arm=self._arm)
        except StoreError as error:
            self.failed |= self._named
            self._say(error)
            return False
        return True

    @property
    def acknowledges_unsaved(self) -> bool:
        """The user wants no trace kept, so what was shown is done with."""
        return not self._save

    def _say(self, error: StoreError) -> None:
        if not self._said:
            self._said = True
            self._out.say(
                f"traces are shown but not kept, and stay in the agents until they are collected: {error}"
            )

    def _entry(self, finished: TraceFinished, trace: Trace) -> Entry:
        agent = finished.agent
        task = str(trace.task.get("name") or "")
        return Entry(
            trace_id=finished.trace_id,
            probe_id=finished.probe_id,
            target=_text(trace.target or (finished.meta.target if finished.meta else "")),
            task=_text(task),
            service=_text(agent.service),
            host=_text(agent.host),
            pid=agent.pid,
            started_at_ns=_integer(trace.started_at_ns),
            duration_ns=_integer(trace.duration_ns),
            status=_text(finished.status or trace.status),
            reason=None if finished.reason is None else _text(finished.reason),
            calls=trace.calls,
            tag=self._tag or (finished.meta.tag if finished.meta else None),
        )


def _text(text: str) -> str:
    """Return text that SQLite can take: lone surrogates are escaped."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _integer(number: int) -> int:
    """Return a number that SQLite can take: 64 bits."""
    return max(-(1 << 63), min(number, (1 << 63) - 1))


class Files:
    """The files of `-o DIR|FILE`: made before anything is armed, 0600."""

    def __init__(self, path: str) -> None:
        self._folder: Path | None = None
        self._descriptor = -1
        self._path = path
        try:
            if path.endswith(("/", os.sep)) or os.path.isdir(path):
                self._folder = Path(path)
                self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                if not os.access(self._folder, os.W_OK | os.X_OK):
                    raise PermissionError(13, "Permission denied", path)
            else:
                self._descriptor = create(path)
        except OSError as error:
            raise _unwritable(path, error) from None

    def __enter__(self) -> Files:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)

    def write(self, trace: Trace) -> None:
        """Write a trace as JSON: a file of its own in a folder, else a further line."""
        try:
            if self._folder is None:
                self._write(self._descriptor, trace)
                return
            name = "".join(char for char in trace.trace_id if char.isalnum()) or "trace"
            descriptor = create(str(self._folder / f"{name}.json"))
            try:
                self._write(descriptor, trace)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise _unwritable(self._path, error) from None

    def _write(self, descriptor: int, trace: Trace) -> None:
        with os.fdopen(os.dup(descriptor), "w", encoding="utf-8", errors="backslashreplace") as file:
            file.writelines(document(trace))


def create(path: str) -> int:
    """Return a descriptor of a new, empty file that only its owner can read."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_CLOEXEC", 0), 0o600)
    try:
        if hasattr(os, "fchmod") and stat.S_ISREG(os.fstat(descriptor).st_mode):
            # A file that was there before may be open to others.
            os.fchmod(descriptor, 0o600)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _unwritable(path: str, error: OSError) -> TracepatchError:
    return TracepatchError(f"{path} cannot be written: {error.strerror or error}")
