"""Who is measured: each contender is a context manager around the timed calls."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from . import seed, workload

Contender = Callable[[], AbstractContextManager[Any]]


def bare() -> AbstractContextManager[None]:
    """Nothing: the floor."""
    return nullcontext()


# ---- tracepatch


@contextmanager
def dormant() -> Iterator[None]:
    """Run the agent, with nothing armed."""
    import tracepatch

    tracepatch.start(service="bench")
    try:
        yield
    finally:
        tracepatch.stop()


@contextmanager
def waiting() -> Iterator[None]:
    """Run the agent with a probe armed on a function that is not called."""
    import tracepatch
    from tracepatch_ctl import Client

    tracepatch.start(service="bench")
    try:
        with Client(pid=[os.getpid()]) as client:
            with client.arm(["benchmarks.workload:unrelated"], count=1, ttl_s=600, detach=True) as session:
                for _ in session:
                    pass
            assert any(status.probes for status in client.status()), "the probe is not armed"
        yield  # without the controller's threads
        with Client(pid=[os.getpid()]) as client:
            client.disarm()
    finally:
        tracepatch.stop()


def tracing(**options: Any) -> Contender:
    """Record every call with `tracepatch.trace`."""

    @contextmanager
    def contender() -> Iterator[None]:
        import tracepatch

        with tracepatch.trace(cache=False, max_calls=10**6, max_depth=1000, **options) as trace:
            yield
        assert trace.call_count >= workload.CALLS_PER_SERVE, trace.call_count

    return contender


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
        with module.trace(cache=False, max_calls=10**6, max_depth=1000) as trace:
            yield
        assert trace.call_count >= workload.CALLS_PER_SERVE, trace.call_count

    return contender


@contextmanager
def noop_events() -> Iterator[None]:
    """Receive the start and the return of every call in Python functions that do nothing (3.12+)."""
    monitoring = sys.monitoring
    events = monitoring.events.PY_START | monitoring.events.PY_RETURN
    monitoring.use_tool_id(3, "bench")
    monitoring.register_callback(3, monitoring.events.PY_START, lambda code, offset: None)
    monitoring.register_callback(3, monitoring.events.PY_RETURN, lambda code, offset, value: None)
    monitoring.set_events(3, events)
    try:
        yield
    finally:
        monitoring.set_events(3, 0)
        monitoring.register_callback(3, monitoring.events.PY_START, None)
        monitoring.register_callback(3, monitoring.events.PY_RETURN, None)
        monitoring.free_tool_id(3)


@contextmanager
def noop_profile() -> Iterator[None]:
    """Receive them through `sys.setprofile` (what 3.10 and 3.11 have)."""
    sys.setprofile(lambda frame, event, argument: None)
    try:
        yield
    finally:
        sys.setprofile(None)


noop: Contender = noop_events if sys.version_info >= (3, 12) else noop_profile
