"""Records the programs of `targets.everyday`, and some of the oracle's, and prints the records: times are zero.

Run by test_native.py in one process for each core: `TRACEPATCH_CORE=... python native_twin.py CASE...`.
"""

from __future__ import annotations

import itertools
import pickle
import re
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgpack

from oracle import running
from oracle.__main__ import drawn
from targets import everyday
from tracepatch.cores import core
from tracepatch.local import local_recording
from tracepatch_shared import records as r
from tracepatch_shared.limits import Capture, Limits
from tracepatch_shared.values import Mark
from tracing_helpers import bench

TIMED = {r.BRANCH, r.CALL, r.RETURN, r.RAISE, r.SUSPEND, r.RESUME, r.YIELD, r.REENTER, r.LOST, r.LINES, r.END}
ORACLE = 40
THREADS = r"'op': '(thread|pool|context_pool|to_thread|executor)'"
LARGE = 3_000

Records = list[list[Any]]


def unpacked(data: bytes) -> Records:
    """Return records that are the same in every process; what was interned stays so."""
    unpacker = msgpack.Unpacker(strict_map_key=False, ext_hook=msgpack.ExtType)
    unpacker.feed(data)
    return [timeless(list(record)) for record in unpacker]


def vague(item: Any) -> Any:
    """Return a value without addresses, the numbers of threads and the like."""
    if type(item) is msgpack.ExtType:
        unpacker = msgpack.Unpacker(strict_map_key=False, ext_hook=msgpack.ExtType)
        unpacker.feed(item.data)
        return (item.code, vague(list(unpacker)))
    if type(item) is Mark:
        return (item.kind, vague(item.fields))
    if isinstance(item, (list, tuple)):
        return [vague(part) for part in item]
    if isinstance(item, dict):
        return {name: vague(value) for name, value in item.items() if name not in ("_native_id", "id")}
    if type(item) in (int, float) and item > LARGE:
        return "large"
    return re.sub("0x[0-9a-f]+", "0x", item) if type(item) is str else item


def timeless(record: list[Any]) -> list[Any]:
    if record[0] in TIMED:
        record[1] = 0
    for fields in record[1:]:
        if record[0] in (r.HEAD, r.END) and isinstance(fields, dict):
            for name in ("trace_id", "probe_id", "started_at_ns", "overhead_ns"):
                fields.pop(name, None)
    return record


def probe(
    name: str, *, target: str | None = None, times: int = 1, count: int = 1, **options: Any
) -> Callable[[], Any]:
    """Record a program with a probe."""

    def run() -> Any:
        streams: dict[str, bytes] = {}
        with bench() as made:
            armed = made.arm(target or f"targets.everyday:{name}", count=count, **options)
            for _ in range(times):
                with suppress(LookupError):
                    everyday.PROGRAMS[name]()
            for piece in made.tracing.drain():
                streams[piece.trace_id] = streams.get(piece.trace_id, b"") + piece.data
        return [unpacked(stream) for stream in streams.values()], armed.kept, armed.passed_over

    return run


def two_probes() -> Any:
    streams: dict[str, bytes] = {}
    with bench() as made:
        made.arm("targets.everyday:everything")
        made.arm("targets.everyday:add", count=5, args=False)
        made.arm("targets.everyday:counts", count=3)
        everyday.PROGRAMS["everything"]()
        for piece in made.tracing.drain():
            streams[piece.trace_id] = streams.get(piece.trace_id, b"") + piece.data
    return [unpacked(stream) for stream in streams.values()]


def block(
    name: str, *, within: bool = False, mode: str = "safe", limits: Limits | None = None
) -> Callable[[], Any]:
    """Record a program in a block of `trace()`, where wanted within another one that has begun before it."""

    def run() -> Any:
        around = inside = local_recording(limits or Limits(), Capture(), mode)
        around.start()
        everyday.add(1)
        everyday.PROGRAMS["kinds"]()
        if within:
            inside = local_recording(Limits(max_calls=40), Capture(depth=1), mode)
            inside.start()
        with suppress(LookupError):
            everyday.PROGRAMS[name]()
        if within:
            inside.stop()
            everyday.add(2)
        around.stop()
        return [[timeless(list(record)) for record in item.records()] for item in (around, inside)]

    return run


def probe_within_a_block() -> Any:
    streams: dict[str, bytes] = {}
    around = local_recording(Limits(), Capture(), "safe")
    with bench() as made:
        made.arm("targets.everyday:add", "targets.everyday:catches", count=9, limits={"concurrent": 9})
        around.start()
        everyday.PROGRAMS["kinds"]()
        everyday.PROGRAMS["exceptions"]()
        around.stop()
        for piece in made.tracing.drain():
            streams[piece.trace_id] = streams.get(piece.trace_id, b"") + piece.data
    return [unpacked(stream) for stream in streams.values()], [
        timeless(list(record)) for record in around.records()
    ]


def block_within_a_probe() -> Any:
    def both() -> None:
        everyday.add(1)
        inside = local_recording(Limits(), Capture(), "safe")
        inside.start()
        everyday.PROGRAMS["kinds"]()
        inside.stop()
        everyday.PROGRAMS["exceptions"]()
        found.append(inside)

    found: list[Any] = []
    everyday.PROGRAMS["both"] = everyday.both = both  # type: ignore[attr-defined]
    around = probe("both")()
    return around, [timeless(list(record)) for record in found[0].records()]


def oracle() -> Any:
    """Record random programs; return the records of each of their traces."""
    found: list[Any] = []

    class Keeps(running.Strict):
        def __init__(self) -> None:
            super().__init__()
            self.kept = b""

        def feed(self, data: bytes) -> None:
            if not self.kept:
                found.append(self)
            self.kept += data
            super().feed(data)

    running.Strict = Keeps  # type: ignore[misc]
    streams = []
    alone = (seed for seed in itertools.count() if not re.search(THREADS, repr(drawn(seed))))
    for seed in itertools.islice(alone, ORACLE):
        run = running.Run(drawn(seed))
        if ("cancels",) in run.log:  # in the order of a set
            found.clear()
        streams.append([unpacked(reader.kept) for reader in found])
        found.clear()
    return streams


def about(run: Callable[[], Any]) -> Callable[[], Any]:
    """Compare what is the same in every process."""
    return lambda: vague(run())


CASES: dict[str, Callable[[], Any]] = {
    **{name: probe(name) for name in everyday.PROGRAMS},
    "tasks": about(probe("tasks")),
    "again": probe("everything", times=3, count=3),
    "without arguments": probe("everything", args=False),
    "repr": probe("everything", mode="repr"),
    "repr of values": probe("values", mode="repr"),
    "all": probe("libraries", scope={"all": True}),
    "only some": probe("everything", scope={"only": ["json"]}),
    "some skipped": probe("libraries", scope={"skip": ["json.encoder", "functools"]}),
    "library": probe("libraries", scope={"lib": ["json"]}),
    "max_depth": probe("everything", limits={"max_depth": 3}),
    "max_depth of recursion": probe("recursion", limits={"max_depth": 100}),
    "max_calls": probe("everything", limits={"max_calls": 100}),
    "max_calls, one": probe("everything", limits={"max_calls": 1}),
    "max_calls of many": probe("many_calls", limits={"max_calls": 2_222}),
    "little": probe("values", capture={"depth": 1, "items": 3, "text": 10}),
    "much": probe("values", capture={"depth": 5, "items": 200, "text": 5000}),
    "very little": probe("values", capture={"depth": 1, "items": 1, "text": 1}),
    "leaves": probe("everything", target="targets.everyday:leaf", count=30),
    "generators as roots": probe("generators", target="targets.everyday:chained", count=2),
    "methods as roots": probe("kinds", target="targets.everyday:Shop.*", count=8),
    "threads followed": about(probe("tasks", threads=True)),
    "candidates kept": probe("everything", keep="calls > 10", count=2, times=2),
    "candidates not kept": probe("everything", keep="calls > 100000"),
    "candidates kept for what they return": probe(
        "signatures", target="targets.everyday:add", keep="returned > 2", count=3
    ),
    "candidates kept for what is raised": probe("exceptions", keep="raised('builtins:ValueError')"),
    "candidates with a call": probe("everything", having=["targets.everyday:deeper(left == 2)"]),
    "candidates with a call that occurs": probe("recursion", having=["targets.everyday:deeper(left == 2)"]),
    "some only": probe("exceptions", target="targets.everyday:leaf", where="value == 'cleaned'", count=2),
    "two probes": two_probes,
    "block": block("everything"),
    "block of exceptions": block("root_that_raises"),
    "block of tasks": about(block("tasks")),
    "block, repr": about(block("signatures", mode="repr")),
    "block within a block": block("everything", within=True),
    "block within a block, max_calls": block("everything", within=True, limits=Limits(max_calls=100)),
    "block within a block, max_depth": block("recursion", within=True, limits=Limits(max_depth=5)),
    "probe within a block": about(probe_within_a_block),
    "block within a probe": block_within_a_probe,
    "oracle": about(oracle),
}


def main() -> None:
    sys.setswitchinterval(1000)  # threads take turns where they wait, and nowhere else
    found: dict[str, Any] = {"core": core().name}
    for name in sys.argv[1:] or CASES:
        try:
            found[name] = CASES[name]()
        except Exception as error:
            raise RuntimeError(name) from error
    sys.stdout.buffer.write(pickle.dumps(found))


if __name__ == "__main__":
    main()
