"""Streams written by hand, for the tests of what reads them."""

from __future__ import annotations

from typing import Any

from tracepatch_shared import records as r
from tracepatch_shared.tree import TraceReader
from tracepatch_shared.values import Mark

STARTED_AT_NS = 1_700_000_000_123_456_000


class Stream:
    """Collects records; functions get their CODE record when they are called for the first time."""

    def __init__(self, **head: Any) -> None:
        fields = {"v": 1, "trace_id": "3f9a1c2e", "probe_id": "aa11bb22", "started_at_ns": STARTED_AT_NS}
        self.records: list[list[Any]] = [[r.HEAD, {**fields, **head}]]
        self.codes: dict[str, int] = {}
        self.nodes = 0
        self.branches = 0

    def branch(
        self, dt: int = 0, kind: str = "root", name: str = "f", parent: int | None = None, link: str = "exact"
    ) -> int:
        self.records.append([r.BRANCH, dt, kind, name, parent, link])
        self.branches += 1
        return self.branches - 1

    def call(self, dt: int, function: str, /, **arguments: Any) -> int:
        if function not in self.codes:
            self.codes[function] = len(self.codes)
            line = 10 * len(self.codes)
            self.records.append([r.CODE, "shop.views", function, "shop/views.py", line, list(arguments), 0])
        self.records.append([r.CALL, dt, self.codes[function], *arguments.values()])
        self.nodes += 1
        return self.nodes - 1

    def give(self, dt: int, value: Any = None, elided: int = 0) -> None:
        self.records.append([r.RETURN, dt, value, elided] if elided else [r.RETURN, dt, value])

    def fail(self, dt: int, kind: str, message: Any, elided: int = 0) -> None:
        self.records.append([r.RAISE, dt, kind, message, elided])

    def add(self, *record: Any) -> None:
        self.records.append(list(record))

    def end(self, dt: int = 0, status: str = r.COMPLETE, reason: str | None = None, **fields: Any) -> None:
        self.records.append([r.END, dt, status, reason, fields])

    def reader(self) -> TraceReader:
        reader = TraceReader()
        for record in self.records:
            reader.record(record)
        return reader

    def trace(self) -> Any:
        return self.reader().trace

    def packed(self) -> bytes:
        import msgpack

        from tracepatch_shared.values import EXT_MARK

        def special(item: Any) -> Any:
            if isinstance(item, Mark):
                return msgpack.ExtType(EXT_MARK, msgpack.packb([item.kind, item.fields], default=special))
            raise TypeError(type(item))

        return b"".join(msgpack.packb(record, default=special) for record in self.records)


def shop(*, ended: bool = True) -> Stream:
    """One request with waiting time, branches, exceptions, a generator and every kind of value."""
    s = Stream(
        target="shop.views:checkout",
        agent={"service": "shop", "host": "web-1", "pid": 4711, "python": "3.12.1"},
        task={"kind": "http", "name": "POST /checkout"},
        limits={"max_calls": 20_000, "max_duration_s": 60.0},
    )
    cart = Mark("object", {"type": "shop.carts.Cart", "fields": {"items": 3, "user": "ann"}})
    s.branch(name="checkout")
    s.call(2_000, "checkout", request=Mark("object", {"type": "starlette.requests.Request"}), cart=cart)
    s.call(20_000, "Cart.total", self=cart)
    for index in range(14):
        s.call(2_000, "price", sku=f"SKU-{index}", currency="EUR")
        s.give(
            9_000 + index * 300, Mark("value", {"type": "decimal.Decimal", "text": f"Decimal('{index}.99')"})
        )
    s.give(8_000, 104.86)
    cut = Mark("str", {"text": "SELECT id, total FROM orders WHERE ", "length": 412})
    s.call(
        30_000, "Session.execute", self=Mark("cycle", {"type": "db.Session"}), sql=cut, params={"user": "ann"}
    )
    s.add(r.SUSPEND, 100_000)
    s.add(r.RESUME, 41_000_000)
    s.give(90_000, Mark("list", {"items": [1, 2], "length": 1000}), 42)
    s.call(30_000, "charge", card=Mark("redacted", {"type": "str"}), amount=104.86)
    post = s.call(10_000, "Gateway._post", path="/v1/charge", body=b"\x1b[31m\x00")
    s.branch(5_000, "task", "send_receipt", post, "exact")
    s.call(1_000, "send_receipt", to="ann@example.org", order=Mark("unreadable", {"type": "shop.Order"}))
    s.add(r.SUSPEND, 20_000)
    s.branch(5_000, "callback", "poll", 0, "inferred")
    lines = s.call(1_000, "lines")
    s.add(r.YIELD, 4_000, lines)
    s.add(r.SWITCH, 0)
    s.add(r.SUSPEND, 50_000)
    if ended:
        s.add(r.RESUME, 512_000_000)
        s.fail(40_000, "httpx.ReadTimeout", "", 31)
        s.fail(20_000, "shop.PaymentFailed", "no answer\nwithin 500 ms \u202egnp.exe")
        s.give(90_000, {"status": 502})
        s.add(r.SWITCH, 1)
        s.add(r.RESUME, 0)
        s.give(120_000)
        s.add(r.DROP, 3, "buffer full")
        s.end(1_000, r.TRIPPED, "max_calls", task={"http_status": 502}, overhead_ns=77)
    return s


def deep(count: int) -> Stream:
    """Calls nested `count` deep; each takes 10 ns to the next and 5 ns back."""
    s = Stream()
    s.branch()
    for index in range(count):
        s.call(10, "f", a=index)
    for index in range(count):
        s.give(5, index)
    s.end(1)
    return s
