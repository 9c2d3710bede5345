"""Who records: each contender is a context manager around the timed program. And who only waits: see `quiet`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from typing import Any

from . import seed

Contender = Callable[[], AbstractContextManager[Any]]

MOST = {"max_calls": 1_000_000, "max_depth": 1_000}


def bare() -> AbstractContextManager[None]:
    """Nothing: the floor."""
    return nullcontext()


# ---- tracepatch


def tracing(capture: str = "repr") -> Contender:
    """Record with `tracepatch.trace`: every call, libraries included."""

    @contextmanager
    def contender() -> Iterator[None]:
        import tracepatch

        with tracepatch.trace(cache=False, capture=capture, **MOST) as trace:  # type: ignore[arg-type]
            yield
        assert trace.call_count, "nothing was recorded"

    return contender


def to_depth(depth: int) -> Contender:
    """Record like `tracing("safe")`, with another capture depth."""

    @contextmanager
    def contender() -> Iterator[None]:
        from tracepatch.local import local_recording
        from tracepatch_shared.limits import Capture, Limits

        recording = local_recording(Limits(**MOST, max_bytes=1 << 30), Capture(depth=depth), "safe")
        recording.start()
        try:
            yield
        finally:
            recording.stop()
        assert recording.calls, "nothing was recorded"

    return contender


def armed(target: str, *, tasks: int = 1, scope: Mapping[str, Any] | None = None) -> Contender:
    """Record as an agent does that is armed for these tasks: by default the application, libraries at the border.

    There is no agent and no controller; what these do meanwhile, they do on other threads.
    """

    @contextmanager
    def contender() -> Iterator[None]:
        from tracepatch.probe import Probe, options_from_wire
        from tracepatch.resolve import resolve
        from tracepatch.tracing import Tracing
        from tracepatch_shared.targets import parse_target

        tracing = Tracing(lambda: None)
        options = {
            "probe_id": "be0cbe0c",
            "targets": [target],
            "count": tasks,
            "ttl_s": 600,
            "lease_s": None,
            "operator": "bench",
            "limits": {**MOST, "max_bytes": 1 << 26, "concurrent": tasks},
            "scope": dict(scope or {}),
        }
        parsed = [parse_target(target)]
        tracing.arm(probe := Probe(options_from_wire(options)), parsed, resolve(parsed))
        try:
            yield
            tracing.drain()
            assert probe.kept or tracing.recordings, "nothing was recorded"
        finally:
            clean = tracing.release()
        assert clean["ok"], clean

    return contender


@contextmanager
def dormant() -> Iterator[None]:
    """Run the agent, with nothing armed."""
    import tracepatch

    tracepatch.start(service="bench")
    try:
        yield
    finally:
        tracepatch.stop()


def waiting(target: str) -> Contender:
    """Run the agent with a probe armed, by a controller that has gone again."""

    @contextmanager
    def contender() -> Iterator[None]:
        from tracepatch_ctl import Client

        with dormant():
            with Client(pid=[os.getpid()]) as client:
                with client.arm([target], count=1, ttl_s=600, detach=True) as session:
                    for _ in session:
                        pass
                assert any(status.probes for status in client.status()), "the probe is not armed"
            yield

    return contender


def in_python(contender: Contender) -> Contender:
    """Record like another contender, with the core that is all Python."""

    @contextmanager
    def without_c() -> Iterator[None]:
        from tracepatch import cores

        chosen = cores.core()
        cores._made["core"] = _python_core()
        try:
            with contender():
                yield
        finally:
            cores._made["core"] = chosen

    return without_c


@cache
def _python_core() -> Any:
    if sys.version_info >= (3, 12):
        from tracepatch.cores.monitoring import MonitoringCore

        return MonitoringCore(compiled=False)
    from tracepatch.cores.profile import ProfileCore

    return ProfileCore()


# ---- peers


def viztracer(**options: Any) -> Contender:
    """Record every call with VizTracer, C functions left out as we leave them out."""

    @contextmanager
    def contender() -> Iterator[None]:
        from viztracer import VizTracer

        tracer = VizTracer(verbose=0, tracer_entries=1_000_000, ignore_c_function=True, **options)
        tracer.start()
        try:
            yield
        finally:
            tracer.stop()
            tracer.clear()
            tracer.terminate()

    return contender


@contextmanager
def cprofile() -> Iterator[None]:
    """Run cProfile, which keeps sums and no calls."""
    import cProfile

    profile = cProfile.Profile(builtins=False)
    profile.enable()
    try:
        yield
    finally:
        profile.disable()


def seed_tracing() -> Contender:
    """Record every call with tracepatch 0.1.0. Raises `OSError` where it cannot be had."""
    module = seed.load()

    @contextmanager
    def contender() -> Iterator[None]:
        with module.trace(cache=False, **MOST) as trace:
            yield
        assert trace.call_count, "nothing was recorded"

    return contender


@contextmanager
def noop_events() -> Iterator[None]:
    """Receive the start and the return of every call in Python functions that do nothing (3.12+)."""
    monitoring: Any = sys.monitoring
    events = monitoring.events

    def started(code: object, offset: int) -> None:
        pass

    def returned(code: object, offset: int, value: object) -> None:
        pass

    monitoring.use_tool_id(3, "bench")
    monitoring.register_callback(3, events.PY_START, started)
    monitoring.register_callback(3, events.PY_RETURN, returned)
    monitoring.set_events(3, events.PY_START | events.PY_RETURN)
    try:
        yield
    finally:
        monitoring.set_events(3, 0)
        monitoring.register_callback(3, events.PY_START, None)
        monitoring.register_callback(3, events.PY_RETURN, None)
        monitoring.free_tool_id(3)


@contextmanager
def noop_profile() -> Iterator[None]:
    """Receive them through `sys.setprofile` (what 3.10 and 3.11 have)."""

    def happened(frame: object, event: str, argument: object) -> None:
        pass

    sys.setprofile(happened)
    try:
        yield
    finally:
        sys.setprofile(None)


noop: Contender = noop_events if sys.version_info >= (3, 12) else noop_profile
