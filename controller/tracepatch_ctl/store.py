"""The traces this operator keeps: one SQLite file, metadata in columns, each stream as it came.

A trace is acknowledged to its agent only after `Store.add` returned, which is after the commit. Nothing is
removed on its own; `Store.prune` is the user's call. The file is 0600, folders that are made for it 0700.

Concurrency: several processes may use one file (WAL, a short busy timeout); one `Store` belongs to one thread.
"""

from __future__ import annotations

import os
import re
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path

from tracepatch_shared.errors import StoreError, TracepatchError, UsageError

SCHEMA = 1
"""`user_version` of the file. A newer one is refused and left alone; an older one would be migrated here."""

BUSY_S = 2.0
"""How long a locked file is waited for."""

_TABLES = """
CREATE TABLE arms (arm INTEGER PRIMARY KEY AUTOINCREMENT, started_at REAL NOT NULL, what TEXT NOT NULL);
CREATE TABLE traces (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    trace_id TEXT NOT NULL, probe_id TEXT NOT NULL, target TEXT NOT NULL, task TEXT NOT NULL,
    service TEXT NOT NULL, host TEXT NOT NULL, pid INTEGER NOT NULL,
    started_at_ns INTEGER NOT NULL, duration_ns INTEGER, status TEXT NOT NULL, reason TEXT,
    calls INTEGER NOT NULL, tag TEXT, arm INTEGER NOT NULL, position INTEGER NOT NULL,
    stored_at REAL NOT NULL, bytes INTEGER NOT NULL, stream BLOB NOT NULL,
    UNIQUE (trace_id, probe_id)
);
CREATE INDEX traces_by_arm ON traces (arm, position);
"""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What the store knows of a trace without reading its stream; `started_at_ns` is Unix time."""

    trace_id: str
    probe_id: str
    target: str
    task: str
    service: str
    host: str
    pid: int
    started_at_ns: int
    duration_ns: int | None
    status: str
    reason: str | None
    calls: int
    tag: str | None
    number: int = 0
    """Order of arrival, given by the store."""
    arm: int = 0
    position: int = 0
    """The trace is the `position`-th of its arm, from 1."""
    bytes: int = 0
    """Size of the stream."""


_GIVEN = [field.name for field in fields(Entry) if field.name not in ("number", "arm", "position", "bytes")]
_COLUMNS = ", ".join(field.name for field in fields(Entry))


def location(environ: Mapping[str, str] = os.environ) -> tuple[Path, bool]:
    """Return the store's path and whether the user named it (`TRACEPATCH_STORE`)."""
    named = environ.get("TRACEPATCH_STORE")
    if named:
        if "://" in named:
            raise StoreError(f"TRACEPATCH_STORE={named}: only a path is understood by this version")
        return Path(named), True
    state = environ.get("XDG_STATE_HOME", "")
    if os.path.isabs(state):
        return Path(state, "tracepatch", "traces.db"), False
    return Path(_home(environ), ".local", "state", "tracepatch", "traces.db"), False


def _home(environ: Mapping[str, str]) -> str:
    """Return the home folder; `expanduser` would take an empty HOME for the root of the file system."""
    home = environ.get("HOME", "")
    if not os.path.isabs(home):
        try:
            import pwd

            home = pwd.getpwuid(os.getuid()).pw_dir
        except (ImportError, KeyError):  # Windows; a uid without a passwd entry, as containers have
            home = os.path.expanduser("~")
    if not os.path.isabs(home):
        raise StoreError("there is no home folder to keep traces in: set TRACEPATCH_STORE to a path")
    return home


class Store:
    """An open store; use `Store.open`, and as a context manager."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection

    @classmethod
    def open(cls, path: Path) -> Store:
        """Open the store for reading and writing, making it where there is none; raise `StoreError`."""
        _check_header(path)
        with _failing(path):
            folder = path.parent
            missing = [folder, *folder.parents] if not folder.exists() else []
            for parent in reversed([one for one in missing if not one.exists()]):
                parent.mkdir(mode=0o700, exist_ok=True)
            # Made here, not by SQLite, so that it is never readable by others; its -wal and -shm take its mode.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600))
            connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)
            store = cls(path, connection)
            try:
                store._prepare()
            except BaseException:
                connection.close()
                raise
        return store

    @classmethod
    def read(cls, path: Path) -> Store:
        """Open the store for reading, also where nothing can be written; raise `StoreError` when there is none."""
        _check_header(path)
        if not path.exists():
            raise StoreError(f"no traces are kept yet: there is no {path}")
        problem: Exception | None = None
        # A WAL file needs a writable folder even for readers, `immutable` does not.
        for mode in ("mode=rw", "mode=ro", "mode=ro&immutable=1"):
            try:
                connection = sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", uri=True, timeout=BUSY_S)
            except sqlite3.Error as error:
                problem = error
                continue
            connection.isolation_level = None
            try:
                with _failing(path):
                    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'traces'").fetchone():
                        raise StoreError(f"no traces are kept yet: {path} is empty")
            except StoreError as error:
                connection.close()
                problem = error
                continue
            return cls(path, connection)
        raise (
            problem
            if isinstance(problem, StoreError)
            else StoreError(f"the store {path} cannot be read: {problem}")
        )

    def _prepare(self) -> None:
        version = self._connection.execute("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA:
            raise _newer(self.path, version)
        if version == SCHEMA:
            self._connection.execute(
                "BEGIN IMMEDIATE"
            )  # a store that cannot be written is known now, not later
            self._connection.execute("ROLLBACK")
            return
        if self._connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            raise StoreError(f"{self.path} is an SQLite file, but no trace store: it is left as it is")
        self._connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        try:
            self._connection.execute("PRAGMA journal_mode = WAL").fetchone()
        except sqlite3.OperationalError:
            pass  # network file systems have no shared memory: the rollback journal does
        with self._transaction():
            if (
                self._connection.execute("PRAGMA user_version").fetchone()[0] == 0
            ):  # another process was faster
                for statement in _TABLES.split(";"):
                    self._connection.execute(statement)
                self._connection.execute(f"PRAGMA user_version = {SCHEMA}")

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with _failing(self.path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
            try:
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def begin_arm(self, what: str) -> int:
        """Return the number under which the traces of one `arm` or `collect` are filed."""
        with self._transaction():
            cursor = self._connection.execute(
                "INSERT INTO arms (started_at, what) VALUES (?, ?)", (time.time(), what)
            )
            return int(cursor.lastrowid or 0)

    def add(self, entry: Entry, stream: bytes, *, arm: int) -> Entry:
        """Keep a trace and return its entry as filed; it is committed when this returns.

        A trace that is already here (the same trace and probe id) is replaced: one that came twice because its
        acknowledgement was lost stays one, and keeps its place.
        """
        given = ", ".join(_GIVEN)
        marks = ", ".join("?" * len(_GIVEN))
        changes = ", ".join(f"{name} = excluded.{name}" for name in (*_GIVEN, "bytes", "stream"))
        with self._transaction():
            self._connection.execute(
                f"INSERT INTO traces ({given}, arm, position, stored_at, bytes, stream) VALUES ({marks}, ?,"
                " (SELECT coalesce(max(position), 0) + 1 FROM traces WHERE arm = ?), ?, ?, ?)"
                f" ON CONFLICT (trace_id, probe_id) DO UPDATE SET {changes}",
                (*(getattr(entry, name) for name in _GIVEN), arm, arm, time.time(), len(stream), stream),
            )
        return self._select("trace_id = ? AND probe_id = ?", (entry.trace_id, entry.probe_id))[0]

    def _select(self, condition: str = "1", values: Sequence[object] = (), *, limit: int = -1) -> list[Entry]:
        with _failing(self.path):
            rows = self._connection.execute(
                f"SELECT {_COLUMNS} FROM traces WHERE {condition} ORDER BY number DESC LIMIT ?",
                (*values, limit),
            ).fetchall()
        names = [field.name for field in fields(Entry)]
        return [Entry(**dict(zip(names, row, strict=True))) for row in rows]

    def entries(self, *, limit: int = -1, tag: str | None = None) -> list[Entry]:
        """Return what is kept, the newest first."""
        return self._select("1", limit=limit) if tag is None else self._select("tag = ?", (tag,), limit=limit)

    def find(self, reference: str) -> Entry:
        """Return the trace that a user means; raise `TracepatchError` when none or several fit.

        `last`, `last~N` and the empty string count back from the newest; a small number is a place in the last
        arm; anything else is an id or the unique beginning of one.
        """
        back = re.fullmatch(r"(?:last(?:~(\d{1,6}))?)?", reference)
        if back:
            steps = int(back[1] or 0)
            found = self._select(limit=steps + 1)
            if len(found) <= steps:
                raise TracepatchError(f"there is no trace {reference or 'last'}: {_kept(len(found))}")
            return found[steps]
        if re.fullmatch(r"\d{1,4}", reference):
            found = self._select("arm = (SELECT max(arm) FROM traces) AND position = ?", (int(reference),))
            if found:
                return found[0]
        reference = reference.lower()
        if not re.fullmatch(r"[0-9a-f]{1,32}", reference):
            raise UsageError(
                f"{reference!r} is no trace: give an id, last, last~2, a number of the last arm or a file"
            )
        found = self._select("substr(trace_id, 1, ?) = ?", (len(reference), reference))
        if not found:
            raise TracepatchError(
                f"no trace begins with {reference}: `tracepatch-ctl traces` lists what is kept"
            )
        if len(found) > 1:
            names = ", ".join(entry.trace_id for entry in found[:8])
            raise UsageError(f"{reference} is the beginning of {len(found)} traces: {names}")
        return found[0]

    def stream(self, entry: Entry) -> bytes:
        """Return the stream of a trace as it came."""
        with _failing(self.path):
            row = self._connection.execute(
                "SELECT stream FROM traces WHERE number = ?", (entry.number,)
            ).fetchone()
        if row is None:
            raise StoreError(f"trace {entry.trace_id} is no longer in {self.path}")
        return bytes(row[0])

    def tag(self, entry: Entry, tag: str | None) -> None:
        """Give a trace a tag, or take it away."""
        with self._transaction():
            self._connection.execute("UPDATE traces SET tag = ? WHERE number = ?", (tag, entry.number))

    def remove(self, entries: Sequence[Entry]) -> None:
        """Forget traces and give the room back to the file system."""
        with self._transaction():
            self._connection.executemany(
                "DELETE FROM traces WHERE number = ?", [(entry.number,) for entry in entries]
            )
        with _failing(self.path):
            # Frees one page for each row that is asked for, and has none to give: execute() would stop after the first.
            self._connection.executescript("PRAGMA incremental_vacuum")

    def prune(
        self, *, count: int | None = None, age_s: float | None = None, size_bytes: int | None = None
    ) -> list[Entry]:
        """Forget the oldest traces beyond a count, an age or a size of all streams; return them. Tagged ones stay."""
        gone: list[Entry] = []
        total = 0
        oldest_ns = 0 if age_s is None else time.time_ns() - int(age_s * 1e9)
        for place, entry in enumerate(self._select()):
            total += entry.bytes
            beyond = (
                (count is not None and place >= count)
                or (size_bytes is not None and total > size_bytes)
                or (age_s is not None and entry.started_at_ns < oldest_ns)
            )
            if beyond and entry.tag is None:
                gone.append(entry)
        if gone:
            self.remove(gone)
        return gone


def _kept(count: int) -> str:
    return {0: "no traces are kept yet", 1: "1 trace is kept"}.get(count, f"{count} traces are kept")


def _newer(path: Path, version: int) -> StoreError:
    return StoreError(
        f"the store {path} was written by a newer tracepatch (schema {version}, this one knows {SCHEMA}):"
        " use that version, or set TRACEPATCH_STORE to another path"
    )


def _check_header(path: Path) -> None:
    """Refuse a foreign or newer file by its first 100 bytes, before SQLite could touch it."""
    try:
        with path.open("rb") as file:
            header = file.read(100)
    except FileNotFoundError:
        return
    except OSError as error:
        raise StoreError(f"the store {path} cannot be opened: {error.strerror or error}") from None
    if header and not header.startswith(b"SQLite format 3\0"):
        raise StoreError(f"{path} is no trace store: it is left as it is")
    version = int.from_bytes(header[60:64], "big")
    if version > SCHEMA:
        raise _newer(path, version)


@contextmanager
def _failing(path: Path) -> Iterator[None]:
    """Turn what SQLite and the file system raise into `StoreError`."""
    try:
        yield
    except sqlite3.Error as error:
        raise StoreError(f"the store {path} cannot be used: {error}") from error
    except OSError as error:
        raise StoreError(f"the store {path} cannot be used: {error.strerror or error}") from error
