"""`trace()`: the call tree of one block, function or coroutine, from inside the code; no agent, no dependency.

Each `trace` has a recording of its own, so that nested blocks and concurrent tasks do not meet. Whatever goes wrong
here is said once in the log and the block runs on as if it were not traced.
"""

from __future__ import annotations

import functools
import json
import logging
import math
import os
import weakref
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextvars import ContextVar
from datetime import datetime
from pathlib import Path
from time import perf_counter
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Final, Literal, TextIO

from tracepatch_shared import VERSION, deepjson
from tracepatch_shared.errors import Conflict
from tracepatch_shared.limits import Capture, Limits

from . import cache as cache_folder
from .calltree import NOTHING, Result, TraceNode, json_lines, lines
from .containment import of_handler, ours
from .leaving import Coming, Leave, Stay
from .wrapping import FunctionT, wrapped

if TYPE_CHECKING:
    from .local import LocalRecording

__all__ = ["TraceNode", "trace"]

_LOG: Final = logging.getLogger("tracepatch")
_said: set[str] = set()


class trace:  # noqa: N801 - the name that users write
    """Record the calls of a block, with arguments, results, exceptions, time and waiting time.

    `with trace() as t:`, `async with trace() as t:`, or `@trace()` on a function, coroutine function or generator
    function; a decorated one has a recording per call, and the object shows the last call that ended.

    Args:
        ignore_modules: prefixes of module names that are left out.
        max_depth: calls nested deeper are left out.
        max_calls: recording stops after that many; calls that are open then are followed to their end.
        max_repr: characters of a value, and of all arguments of a call together.
        cache: keep the trace as a file in `.tracepatch_cache` (see `logs` and `load`).
        cache_dir: where that folder is; the working directory by default.
        label: a word for the file's name and content.
        threads: threads and work of thread pools that the block starts are recorded, too; tasks of event loops always are.
        capture: `repr` shows objects by their repr, which runs their code; `safe` never runs any. Both redact secrets.

    Raises:
        ValueError: `capture` is neither.
    """

    def __init__(
        self,
        *,
        ignore_modules: Iterable[str] | None = (),
        max_depth: int = 30,
        max_calls: int = 10_000,
        max_repr: int = 120,
        cache: bool = True,
        cache_dir: str | os.PathLike[str] | None = None,
        label: str | None = None,
        capture: Literal["repr", "safe"] = "repr",
        threads: bool = False,
    ) -> None:
        if capture not in ("repr", "safe"):
            raise ValueError(f"capture must be 'repr' or 'safe', not {capture!r}")
        prefixes = (ignore_modules,) if isinstance(ignore_modules, str) else tuple(ignore_modules or ())
        self._options: dict[str, Any] = {
            "ignore_modules": prefixes,
            "max_depth": max_depth,
            "max_calls": max_calls,
            "max_repr": max_repr,
            "cache": cache,
            "cache_dir": cache_dir,
            "label": label,
            "capture": capture,
            "threads": threads,
        }
        self._entered = 0
        self._coming: Coming | None = None
        self._recording: LocalRecording | None = None
        self._began = 0.0
        self._timestamp: str | None = None
        self._result: Result | None = None
        self._cache_path: Path | None = None

    def __enter__(self) -> trace:
        self._begin()
        return self

    async def __aenter__(self) -> trace:
        self._begin()
        return self

    if TYPE_CHECKING:

        def __exit__(
            self,
            kind: type[BaseException] | None,
            error: BaseException | None,
            traceback: TracebackType | None,
        ) -> None: ...

        def __aexit__(
            self,
            kind: type[BaseException] | None,
            error: BaseException | None,
            traceback: TracebackType | None,
        ) -> Awaitable[None]: ...

    else:

        @Leave
        def __exit__(stay, self, *_exception):  # noqa: N805 - see `Leave`
            self._end(stay)

        @Leave
        def __aexit__(stay, self, *_exception):  # noqa: N805
            self._end(stay)  # now: when it is awaited, the statement holds nothing any more
            return _nothing()

    def __call__(self, function: FunctionT) -> FunctionT:
        """Return `function` with a recording of its own for each call."""
        return wrapped(function, self._enter_call)

    @property
    def call_count(self) -> int:
        """Calls recorded so far."""
        return self._shown().calls

    @property
    def was_limited(self) -> bool:
        """True if recording stopped early because of a limit."""
        return self._shown().limited

    @property
    def roots(self) -> list[TraceNode]:
        """The calls that the block made itself."""
        return self._shown().roots

    @property
    def cache_path(self) -> Path | None:
        """The file in the cache, nil when there is none."""
        return self._cache_path

    def tree(self) -> str:
        """Return the calls as a tree, one a line."""
        if self._timestamp is None:
            return "<trace not started>"
        return "\n".join(lines(self.roots)) or "<no calls captured>"

    def to_json(self, path: str | os.PathLike[str] | TextIO) -> None:
        """Write the trace to a file (a path: created 0600) or to an open text file; raise `OSError`."""
        if isinstance(path, (str, os.PathLike)):
            with open(path, "w", encoding="utf-8", opener=_private) as stream:
                stream.writelines(self._pieces())
        else:
            path.writelines(self._pieces())

    @classmethod
    def logs(cls, cache_dir: str | os.PathLike[str] | None = None, limit: int = 50) -> list[dict[str, Any]]:
        """Return file, timestamp, label, call_count and was_limited of the newest traces in the cache."""
        return list(cache_folder.entries(cache_dir, limit))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Any:
        """Return the content of a trace's JSON file; raise `OSError`, or `ValueError` where it is not JSON."""
        return deepjson.loads(Path(path).read_text(encoding="utf-8"))

    # ---- one recording ------------------------------------------------------------------------------------------

    def _begin(self, host: FrameType | None = None) -> None:
        """Start to record below `host`, by default the innermost frame that is not ours.

        Signals are looked at after calls and at the beginnings of functions: between lines without any nothing can raise.
        """
        coming, self._coming = self._coming, None
        stay = None
        if coming is not None and coming[1]() is not None:
            watched = weakref.ref(coming[1](), self._dropped)
            stay = coming[0]
            stay.watched = watched
        self._entered += 1
        if self._entered > 1:
            return  # entered again, from inside or from another task: the recording that runs goes on
        recording = self._recording = self._result = self._cache_path = None
        try:
            self._timestamp = datetime.now().isoformat()
            local_recording, current = _recorder()
            outer = current.get()
            try:
                current.set(None)  # our own work is no part of a block around this one
                limits, capture = self._bounds()
            finally:
                current.set(outer)
            self._began = perf_counter()
            recording = local_recording(
                limits,
                capture,
                self._options["capture"],
                self._options["ignore_modules"],
                threads=self._options["threads"],
            )
            recording.start(host)
            self._recording = recording
        except Conflict as conflict:
            _say_once(f"trace() records nothing: {conflict}")
        except BaseException as error:  # contained: the block runs on untraced
            if not ours(error):  # a signal handler's: the block does not begin
                if recording is not None:
                    recording.stop()
                self._entered -= 1
                if stay is not None:
                    stay.watched = None
                raise
            _say_once("trace() records nothing because of an error of tracepatch", with_traceback=True)

    def _end(self, stay: Stay | None = None) -> None:
        """One stay is over; with the last one, so is the recording."""
        if stay is not None:
            stay.watched = None
        self._entered -= 1
        recording = self._recording
        if self._entered or recording is None:
            return
        try:
            recording.stop()
            _, current = _recorder()
            outer = current.get()
            try:
                current.set(None)
                self._result = self._read(recording)
                self._recording = None
                self._save()
            finally:
                current.set(outer)
        except BaseException as error:  # contained: the block's own outcome stands
            if not ours(error):
                recording.stop()  # a signal handler may have raised as it was entered
                raise
            self._recording = None
            _say_once("trace() lost a trace because of an error of tracepatch", with_traceback=True)

    def _dropped(self, _watched: object) -> None:
        """Nobody will call `__exit__` (see `leaving`); runs where it was dropped, and what is raised here is lost."""
        self._end()

    def _bounds(self) -> tuple[Limits, Capture]:
        options = self._options
        limits = Limits(
            max_depth=options["max_depth"] + 1,  # the frame of the block itself is the first
            max_calls=options["max_calls"],
            max_bytes=max(64 << 20, options["max_calls"] * 4096),
            max_duration_s=math.inf,
        )
        return limits, Capture(text=max(options["max_repr"], 1))

    def _shown(self) -> Result:
        """Return what was recorded; while the block runs, what there is now."""
        if self._result is not None:
            return self._result
        recording = self._recording
        return NOTHING if recording is None else self._read(recording)

    def _read(self, recording: LocalRecording) -> Result:
        from tracepatch_shared.tree import TraceReader

        reader = TraceReader()
        for record in list(recording.records()):
            reader.record(record)
        reprs = self._options["capture"] == "repr"
        return Result(reader.trace, began=self._began, characters=self._options["max_repr"], reprs=reprs)

    def _pieces(self) -> Iterator[str]:
        shown = self._shown()
        options = self._options
        head = {
            "tracepatch_version": VERSION,
            "timestamp": self._timestamp or datetime.now().isoformat(),
            "label": options["label"],
            "call_count": shown.calls,
            "was_limited": shown.limited,
            "config": {
                name: options[name] for name in ("max_depth", "max_calls", "max_repr", "ignore_modules")
            },
        }
        yield json.dumps(head, indent=2)[:-2] + ',\n  "trace": '
        yield from json_lines(shown.roots)
        yield "\n}\n"

    def _save(self) -> None:
        if not self._options["cache"] or not cache_folder.enabled() or not self._shown().roots:
            return
        try:
            self._cache_path = cache_folder.save(
                self._options["cache_dir"], self._options["label"], self._pieces()
            )
        except OSError as error:
            if of_handler(error):
                raise  # a TimeoutError is one
            return  # read-only, full, no working directory: the trace is still in memory

    # ---- as a decorator -----------------------------------------------------------------------------------------

    def _enter_call(self, host: FrameType) -> _Call:
        call = _Call(self, trace(**self._options))
        call.begin(host)
        return call

    def _adopt(self, other: trace) -> None:
        """Show what a call of the decorated function has recorded."""
        self._began, self._timestamp = other._began, other._timestamp
        self._result, self._cache_path = other._result, other._cache_path


class _Call:
    """One call of a decorated function; its frame holds this, and drops it when it could not be ended (see `leaving`)."""

    __slots__ = ("__weakref__", "_fresh", "_owner", "_recording", "_stay")

    def __init__(self, owner: trace, fresh: trace) -> None:
        self._owner = owner
        self._fresh = fresh
        self._stay = Stay()
        self._recording: LocalRecording | None = None
        """Nil also when it cannot be recorded (see `trace._begin`)."""

    def begin(self, host: FrameType) -> None:
        self._fresh._coming = (self._stay, weakref.ref(self))
        self._fresh._begin(host)
        self._recording = self._fresh._recording

    def end(self) -> None:
        self._fresh._end(self._stay)
        self._owner._adopt(self._fresh)

    def pause(self) -> None:
        if self._recording is not None:
            self._recording.pause()

    def resume(self) -> None:
        if self._recording is not None:
            self._recording.resume()


async def _nothing() -> None:
    pass


@functools.cache
def _recorder() -> tuple[Callable[..., LocalRecording], ContextVar[Any]]:
    """Load the recorder, once, when the first block begins."""
    from .local import local_recording
    from .recording import current

    return local_recording, current


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _say_once(message: str, *, with_traceback: bool = False) -> None:
    if message not in _said and len(_said) < 100:
        _said.add(message)
        _LOG.warning(message, exc_info=with_traceback)
