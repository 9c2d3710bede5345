"""An agent that serves streams of records made by hand: traces for tests that need no tracing."""

from __future__ import annotations

import secrets
from typing import Any

import msgpack

from fake_agent import FakeAgent
from tracepatch_shared import records
from tracepatch_shared.values import EXT_MARK, Mark

STARTED_AT_NS = 1_700_000_000_123_456_000
"""2023-11-14 22:13:20 UTC."""


def packed(*stream: list[Any]) -> bytes:
    """Return the bytes of records."""

    def ext(value: Any) -> Any:
        assert isinstance(value, Mark)
        return msgpack.ExtType(EXT_MARK, msgpack.packb([value.kind, value.fields], default=ext))

    return b"".join(msgpack.packb(record, default=ext, use_bin_type=True) for record in stream)


def head(trace_id: str, **fields: Any) -> list[Any]:
    """Return a HEAD record."""
    agent = {
        "service": "shop",
        "host": "web-1",
        "pid": 4711,
        "python": "3.13.0",
        "core": "monitoring",
        "labels": {},
    }
    return [
        records.HEAD,
        {
            "v": 1,
            "trace_id": trace_id,
            "probe_id": "cafe0001",
            "target": "app.cart:Cart.checkout",
            "agent": {**agent, "version": "0.2.0"},
            "task": {"kind": "call", "name": "app.cart:Cart.checkout"},
            "started_at_ns": STARTED_AT_NS,
            "limits": {"max_calls": 20_000},
            **fields,
        },
    ]


def end(dt: int = 0, status: str = "complete", reason: str | None = None) -> list[Any]:
    """Return an END record."""
    return [records.END, dt, status, reason, {"overhead_ns": 1500}]


def checkout(trace_id: str = "aaaa0001") -> bytes:
    """Return a small trace: a checkout that asks for a price and fails to log in."""
    return packed(
        head(trace_id),
        [records.CODE, "app.cart", "Cart.checkout", "app/cart.py", 10, ["self", "user"], 0],
        [records.BRANCH, 0, "task", "Task-1", None, "exact"],
        [records.CALL, 0, 0, Mark("object", {"type": "app.cart.Cart", "fields": {}}), "zoë"],
        [records.CODE, "app.price", "total", "app/price.py", 3, ["items"], 0],
        [records.CALL, 1_000, 1, [1, 2, 3]],
        [records.RETURN, 2_000_000, 6, 0],
        [records.CODE, "app.auth", "login", "app/auth.py", 7, ["user", "password"], 0],
        [records.CALL, 5_000, 2, "zoë", Mark("redacted", {})],
        [records.RAISE, 3_000, "ValueError", "no such user", 0],
        [records.RETURN, 1_000, None, 0],
        end(10),
    )


def chain(depth: int, trace_id: str = "aaaa0002") -> bytes:
    """Return a trace of calls each of which makes the next."""
    stream: list[list[Any]] = [
        head(trace_id),
        [records.CODE, "app.deep", "fall", "app/deep.py", 1, ["n"], 0],
        [records.BRANCH, 0, "task", "Task-1", None, "exact"],
    ]
    stream += [[records.CALL, 10, 0, n] for n in range(depth)]
    stream += [[records.RETURN, 10, n, 0] for n in range(depth)]
    return packed(*stream, end())


def wide(calls: int, trace_id: str = "aaaa0003") -> bytes:
    """Return a trace of one call that makes many; they differ, so that none are folded."""
    stream: list[list[Any]] = [
        head(trace_id),
        [records.CODE, "app.wide", "root", "app/wide.py", 1, [], 0],
        [records.BRANCH, 0, "task", "Task-1", None, "exact"],
        [records.CALL, 0, 0],
        [records.CODE, "app.wide", "even", "app/wide.py", 5, ["n"], 0],
        [records.CODE, "app.wide", "odd", "app/wide.py", 9, ["n"], 0],
    ]
    for n in range(calls):
        stream += [[records.CALL, 10, 1 + n % 2, n], [records.RETURN, 10, n, 0]]
    return packed(*stream, [records.RETURN, 10, None, 0], end())


class StreamAgent(FakeAgent):
    """A fake agent whose traces are these streams, made by functions of a trace id; the last one again and again."""

    def __init__(self, *args: Any, streams: tuple[Any, ...] = (checkout,), **options: Any) -> None:
        self.streams = list(streams)
        super().__init__(*args, **options)

    @property
    def url(self) -> str:
        return f"ipc://{self.path}"

    def _trace(self, probe_id: str, *, finish: bool = True, **options: Any) -> None:
        """Serve the next stream; `finish=False` leaves out its last third and its end."""
        trace_id = secrets.token_hex(4)
        make = self.streams.pop(0) if len(self.streams) > 1 else self.streams[0]
        data = make(trace_id=trace_id)
        pieces = [data[at : at + 60_000] for at in range(0, len(data), 60_000)]
        ids = {"probe_id": probe_id, "trace_id": trace_id}
        if not finish:
            self._send({"type": "chunk", **ids, "seq": 0, "data": data[: len(data) * 2 // 3]})
            return
        for seq, piece in enumerate(pieces):
            self._send({"type": "chunk", **ids, "seq": seq, "data": piece})
        counters = self.counters[probe_id]
        over = {"type": "finished", **ids, "chunks": len(pieces), "status": "complete", "reason": None}
        self.held[trace_id] = (over, pieces)
        counters["seen"] += 1
        counters["kept"] += 1
        counters["finished"] = len(self.held)
        self._send(over)
        self._send({"type": "counters", **counters})
        if self.ends_itself and counters["kept"] >= counters["count"]:
            self._send(self._ended(probe_id, "count"))
