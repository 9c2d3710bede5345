"""Runs a program with its roots armed and returns its log and the traces.

Everything that the program's tasks could trip over has no wall clock: the loop's time is a counter that the pump raises
once a round, events are set by the pump, threads are joined.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import sys
import threading
import time
import types
import warnings
import weakref
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from tracepatch_shared.trace import OPEN, Trace
from tracepatch_shared.tree import TraceReader
from tracing_helpers import bench

from .grammar import Program
from .source import EAGER, source

FUEL = 150
"""Statements that call something, in one program."""
ROUNDS = 60
"""Turns of the loop after which what still hangs is cancelled."""

LIMITS = {"concurrent": 16, "max_bytes": 64 << 20}

_pool = ThreadPoolExecutor(64)


class Difference(AssertionError):
    """Recorder and reference disagree, or the recorder with itself."""


class Run:
    """One run of a program: its log and what tracepatch recorded."""

    def __init__(self, program: Program, name: str = "oracle_program") -> None:
        self.program = program
        self.name = name
        self.text = source(program)
        self.log: list[Any] = []
        self.traces: list[Trace] = []
        self._run()

    def _run(self) -> None:
        module = types.ModuleType(self.name)
        fuel = itertools.chain(itertools.repeat(True, FUEL), itertools.repeat(False))
        globals_of_programs: dict[str, Any] = {
            "E": self.log.append, "N": itertools.count(1).__next__, "F": fuel.__next__, "X": sys.exc_info,
            "G": {}, "A": {}, "S": [], "SA": [], "T": [], "B": [], "POOL": _pool, "COLLECT": gc.collect,
            "WEAK": weakref.ref, "PAUSE": time.sleep,
            "EVENTS": [], "NEVER": None,
        }  # fmt: skip
        vars(module).update(globals_of_programs)
        exec(compile(self.text, f"/application/{self.name}.py", "exec"), vars(module))
        sys.modules[self.name] = module
        scope = {"application": None, "only": {"only": [self.name]}, "all": {"all": True}}[
            self.program["scope"]
        ]
        try:
            with bench() as made, _quiet():
                made.reader = Strict
                if any(function["name"].startswith("root") for function in self.program["functions"]):
                    made.arm(f"{self.name}:root*", count=500, scope=scope, limits=LIMITS, force=True)
                self._drive(module)
                made.tracing.expire(2**62)
                self.traces = made.traces()
                self._tidy(module)
        finally:
            del sys.modules[self.name]

    def _tidy(self, module: types.ModuleType) -> None:
        """Let what is left die here, where nobody is told; what it still does is not in the log."""
        self.log = list(self.log)
        for name in ("G", "A", "S", "SA", "T", "B", "EVENTS"):
            vars(module)[name].clear()
        vars(module)["NEVER"] = None
        gc.collect()

    def _drive(self, module: types.ModuleType) -> None:
        loop = asyncio.new_event_loop()
        ticks: list[None] = []
        loop.time = ticks.__len__  # type: ignore[method-assign, assignment]
        loop.set_exception_handler(_ignore)
        loop.set_default_executor(_pool)
        if self.program["eager"] and EAGER:
            loop.set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined, unused-ignore]
        asyncio.set_event_loop(loop)
        try:
            loop.run_until_complete(self._main(module, ticks))
        finally:
            asyncio.set_event_loop(None)
            loop._default_executor = None  # it is for the next program, too: closing would end it
            loop.close()

    async def _main(self, module: Any, ticks: list[None]) -> None:
        events = [asyncio.Event() for _ in range(2)]
        vars(module).update(EVENTS=events, NEVER=asyncio.Event())
        busy = module.B
        jobs = [
            asyncio.ensure_future(getattr(module, job["name"])(module.N(), 0)) for job in self.program["jobs"]
        ]
        this = asyncio.current_task()
        others: set[Any] = set(jobs)
        rounds = 0
        while others:
            for number, event in enumerate(events):
                if rounds % (3 + number) == 0:
                    event.set()
                else:
                    event.clear()
            ticks.append(None)
            await asyncio.sleep(0)
            rounds += 1
            if busy:
                time.sleep(2e-5)  # the threads want to run, too
            if rounds % 4:
                continue
            others = asyncio.all_tasks() - {this}
            if rounds > ROUNDS and rounds % 12 == 0 and (not busy or rounds > 100 * ROUNDS):
                self.log.append(("cancels",))
                for task in others:
                    task.cancel()


class Strict(TraceReader):
    """Refuses a stream that says of a node that has ended that its end was not seen."""

    def _lost(self, record: Sequence[Any]) -> None:
        node = self._known(record[2])
        if node.state != OPEN:
            raise Difference(f"{node.function} has {node.state}, and then it is lost")
        super()._lost(record)


def _ignore(*_args: object) -> None:
    pass


@contextmanager
def _quiet() -> Iterator[None]:
    """What programs do badly on purpose is not reported; the collector runs where they ask for it."""
    hooks = sys.unraisablehook, threading.excepthook
    sys.unraisablehook = threading.excepthook = _ignore
    collects = gc.isenabled()
    gc.disable()
    gc.freeze()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        sys.unraisablehook, threading.excepthook = hooks
        gc.unfreeze()
        if collects:
            gc.enable()
