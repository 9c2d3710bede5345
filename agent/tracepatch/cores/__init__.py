"""The core: which recorder mechanism runs, chosen once per process.

`monitoring` (3.12+) uses sys.monitoring; `profile` (3.10, 3.11) uses the interpreter's per-thread hook. One core
serves the agent and local traces alike. This file alone chooses; `TRACEPATCH_CORE` forces one, in pure Python, and a
forced core that this interpreter lacks is an error.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from types import CodeType, CoroutineType, FrameType
from typing import TYPE_CHECKING, Any, Protocol

from tracepatch_shared.errors import UsageError

from .. import pyversion

if TYPE_CHECKING:
    from ..codes import Entry
    from ..recording import Logs, Recording
    from ..resolve import Function

Trigger = Callable[[CodeType, FrameType], bool]
"""Called on the application thread when an aimed function begins in a Context that carries no live recording of a
probe; returns whether it began one."""


class Core(Protocol):
    """What triggers tasks and feeds recordings. Methods run on the agent thread unless they say otherwise."""

    name: str

    @property
    def log(self) -> Logs | None:
        """What makes the log of a recording, where this core writes the stream itself."""

    @property
    def reason(self) -> str:
        """Why this core and no better one, and what that means here; empty when it is the best there is."""

    def acquire(self, user: object) -> None:
        """Occupy what tracing needs, for this user too; raise `Conflict` when another tool has it."""

    def release(self, user: object) -> None:
        """Give it back when this was the last user; idempotent."""

    def aim(self, function: Function, trigger: Trigger) -> None:
        """Have `trigger` called whenever the function begins."""

    def unaim(self, function: Function, trigger: Trigger) -> None:
        """Undo `aim`."""

    def expect(self, coroutine: CoroutineType[Any, Any, Any], trigger: Trigger) -> None:
        """Have `trigger` called when this coroutine, of which a task is made, begins (any thread)."""

    def expect_none(self, trigger: Trigger) -> None:
        """Undo `expect` for all coroutines."""

    def stepped(self) -> object:
        """Return the task that is about to begin on this thread; None where asking the loop tells (application thread)."""

    def look_for_starts(self) -> list[str]:
        """Get ready for `expect`; return a sentence for each loop here whose tasks begin unseen."""

    def watch_imports(self, loaded: Callable[[Any], None] | None) -> None:
        """Have `loaded` called with each module on the thread that imported it, right after its body ran."""

    def begin(self, recording: Recording, code: CodeType, frame: FrameType) -> bool:
        """Record the task whose root frame has just begun (application thread); `False` when it cannot be now."""

    def begin_inside(self, recording: Recording, frame: FrameType) -> None:
        """Record what runs below a frame that runs already (application thread); raise `Conflict`."""

    def end_inside(self, recording: Recording, frame: FrameType) -> None:
        """End what `begin_inside` began (application thread)."""

    def watch(self, code: CodeType) -> None:
        """Report yields and resumes of this code while anything records (application thread)."""

    def prepare(self, entry: Entry) -> None:
        """Fill in what this core keeps per code object (application thread)."""

    def ended(self, recording: Recording) -> None:
        """A recording is done (any thread)."""

    def lost(self, recording: Recording) -> bool:
        """Tell whether the end of this recording will not be seen."""

    def settle(self) -> bool:
        """Turn the interpreter's events off if nothing records any more; return whether they are still on."""

    def rate(self) -> float:
        """Return events a second that hit tasks which are not recorded, sampled; 0 when nothing records."""

    def cost_ns(self) -> tuple[float, float]:
        """Return nanoseconds of one event for a recorded and for a bystanding task, calibrated."""

    def clean(self) -> dict[str, Any]:
        """Return what is still set for probes: `events`, `tool_id_freed`, `hooks`, `ok`; `hooked_threads`, how many threads
        take a hook off only when they go on; and `blocks`, how many blocks of `trace()` use the core, where that is why
        the tool id is not freed."""

    def after_fork_in_child(self) -> None:
        """Forget everything and leave no event set; takes no lock, does not raise."""


_made: dict[str, Core] = {}


def core() -> Core:
    """Return the process's core, made on first use; raise `UsageError` when the forced one is not there."""
    made = _made.get("core")
    if made is None:
        # Atomic: of several threads that come first together, all get the same one.
        mine = _choose(os.environ.get("TRACEPATCH_CORE", ""))
        made = _made.setdefault("core", mine)
        if made is mine:
            # Also without an agent: a child of a process that is inside `trace()` must not go on paying for it.
            os.register_at_fork(after_in_child=made.after_fork_in_child)
    return made


def _choose(forced: str) -> Core:
    best = "monitoring" if pyversion.MONITORING else "profile"
    if forced not in ("", "monitoring", "profile", "native"):
        raise UsageError(
            f"TRACEPATCH_CORE={forced!r} is not a core: use native, monitoring or profile, or leave it unset"
        )
    if forced in ("", "native"):
        try:
            return _compiled()
        except ImportError as error:
            if forced:
                raise UsageError(
                    f"TRACEPATCH_CORE=native is not available here: {error}; leave it unset, or install again with a compiler"
                ) from None
    if forced and forced != best:
        raise UsageError(
            f"TRACEPATCH_CORE={forced} is not available on Python {pyversion.TEXT}: {best} is, leave it unset"
        )
    if pyversion.MONITORING:
        from .monitoring import COMPILED, MonitoringCore

        return MonitoringCore(compiled=COMPILED and not forced)
    from .profile import ProfileCore

    return ProfileCore()


def _compiled() -> Core:
    if pyversion.MONITORING:
        from .compiled import NativeCore

        return NativeCore()
    from .evaluation import EvaluationCore

    return EvaluationCore()
