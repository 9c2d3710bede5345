"""The tree as people read it."""

from __future__ import annotations

import pytest

from streams import Stream, deep, shop
from tracepatch_shared import records as r
from tracepatch_shared.render import columns, cut, draw, render
from tracepatch_shared.summary import reason_text
from tracepatch_shared.values import Mark

SHOP = """\
trace 3f9a1c2e · shop.views:checkout · http POST /checkout → 502 · 553.83ms (553.00ms waiting) · tripped
shop@web-1 pid 4711 · Python 3.12.1 · 2023-11-14 22:13:20.123 UTC · 21 calls · 3 branches · 73 inner calls not shown

     wall    waited
 553.71ms  553.00ms  shop.views.checkout(request=<Request>, cart=<Cart items=3 user="ann">) → {"status": 502}
  189.3µs            ├── shop.views.Cart.total(self=<Cart items=3 user="ann">) → 104.86
    9.0µs            │   ├── shop.views.price(sku="SKU-0", currency="EUR") → Decimal('0.99')
    9.3µs            │   ├── shop.views.price(sku="SKU-1", currency="EUR") → Decimal('1.99')
    9.6µs            │   ├── shop.views.price(sku="SKU-2", currency="EUR") → Decimal('2.99')
  125.4µs            │   └── ⋮ × 11 more shop.views.price, the slowest 12.9µs
  41.19ms   41.00ms  ├── shop.views.Session.execute(self=<cycle: Session>, sql="SELECT id, total FROM orders WHERE …"(35 of 412), params={"user": "ann"}) → [1, 2, … 998 more]  +42 inner calls
 512.16ms  512.00ms  ├── shop.views.charge(card=<redacted>, amount=104.86) ✗ shop.PaymentFailed: no answer\\nwithin 500 ms \\u202egnp.exe  (caught)
 512.13ms  512.00ms  │   └── shop.views.Gateway._post(path="/v1/charge", body=b'\\x1b[31m\\x00') ✗ httpx.ReadTimeout  (caught)  +31 inner calls
                     │       └── ⑂ task 'send_receipt'
 512.35ms  512.21ms  │           └── shop.views.send_receipt(to="ann@example.org", order=<unreadable: Order>) → None
                     └── ⑂ callback 'poll'  (inferred: started about here)
 512.33ms  512.32ms      └── shop.views.lines() ⏸ paused at a yield

tripped: max_calls of 20 000 reached; --max-calls raises it
calls that began later are missing; those that were open were followed to their end
3 records dropped: buffer full"""


def test_a_whole_trace():
    assert "\n".join(render(shop().trace())) == SHOP


def test_a_trace_that_is_still_running_says_where_it_hangs():
    text = "\n".join(render(shop(ended=False).trace()))
    assert "Gateway._post(path=\"/v1/charge\", body=b'\\x1b[31m\\x00') ⏳ still waiting" in text
    assert 'send_receipt(to="ann@example.org", order=<unreadable: Order>) ⏳ still waiting' in text
    assert "lines() ⏸ paused at a yield" in text
    assert text.endswith("no end was seen: what is open was still running")
    s = Stream()
    s.branch()
    s.call(0, "spins")
    assert "spins() ⏳ still running" in "\n".join(render(s.trace()))
    assert "(no calls yet)" in "\n".join(render(Stream().trace()))


def test_open_calls_say_where_they_stand():
    s = Stream()
    s.branch()
    s.call(0, "waits")
    s.call(0, "innermost")
    s.add(r.SUSPEND, 10)
    s.add(r.LINES, 12_300_000_000, {"0": 7, "1": 88})
    text = "\n".join(render(s.trace()))
    assert "shop.views.waits() ⏳ still waiting at shop/views.py:7\n" in text
    assert "shop.views.innermost() ⏳ still waiting 12.30s at shop/views.py:88\n" in text


def test_ascii_is_ascii_whatever_was_captured():
    s = shop()
    s.records[0][1]["target"] = "naïve:größe"
    lines = list(render(s.trace(), ascii=True))
    assert all(line.isascii() for line in lines)
    text = "\n".join(lines)
    assert "|   `-- : x 11 more shop.views.price, the slowest 12.9us" in text
    assert "& task 'send_receipt'" in text
    assert "na\\xefve:gr\\xf6\\xdfe" in text
    assert "... 998 more]" in text


@pytest.mark.parametrize("ascii", [False, True])
@pytest.mark.parametrize("width", [1, 3, 20, 40, 80, 120])
def test_lines_are_cut_at_the_width(width, ascii):
    for line in render(shop().trace(), width=width, ascii=ascii):
        assert columns(line) <= width


def test_arguments_give_way_before_the_outcome():
    text = "\n".join(render(shop().trace(), width=110))
    assert "charge(card=<redacted>" in text
    assert "shop.views.Session.execute(self=<cycle: Sessi…) → [1, 2, … 998 more]  +42 inner calls" in text
    text = "\n".join(render(shop().trace(), width=120))
    assert 'Gateway._post(path="/v1/charge"…) ✗ httpx.ReadTimeout  (caught)  +31 inner calls' in text


def test_wide_characters_take_two_columns():
    assert columns("日本") == 4
    assert cut([("value", "日本語")], 4) == [("value", "日…")]


def test_only_so_many_lines():
    lines = list(render(shop().trace(), max_lines=3))
    assert lines[6].strip().startswith("9.0µs")
    assert lines[7].strip() == "… 17 more calls"
    assert lines[-1] == "3 records dropped: buffer full"
    assert "more call" not in "\n".join(render(shop().trace(), max_lines=1000, fold=None))


def test_repetitions_are_folded_only_where_nothing_is_lost():
    s = Stream()
    s.branch()
    s.call(0, "root")
    for index in range(30):
        s.call(0, "query")
        if index == 14:
            s.fail(1, "ValueError", "odd one")
        else:
            s.give(1)
    for _ in range(9):
        s.call(0, "few")
        s.give(1)
    s.give(1)
    s.end()
    text = "\n".join(render(s.trace()))
    assert text.count("query()") == 3 + 1 + 3
    assert "× 11 more shop.views.query" in text
    assert "× 12 more shop.views.query" in text
    assert "ValueError: odd one" in text
    assert text.count("few()") == 9
    assert "more shop" not in "\n".join(render(s.trace(), fold=None))


def test_terminal_injection_is_escaped_everywhere():
    evil = "a\x1b]0;x\x07\u202e\n\x9b31m"
    s = Stream(
        trace_id=evil,
        target=evil,
        agent={"service": evil, "host": evil, "pid": evil, "python": evil},
        task={"kind": evil, "name": "n" + evil},
    )
    s.branch(0, "task", evil)
    s.call(
        0,
        "f" + evil,
        **{
            evil: evil,
            "b": Mark(evil, {"name": evil}),
            "c": {evil: evil},
            "d": Mark("object", {"type": evil, "fields": {evil: evil}}),
        },
    )
    for mark in ("value", "str", "class", "unreadable", "cycle", "unchecked", "int", "function"):
        s.call(
            0,
            "g",
            a=Mark(
                mark,
                {
                    "text": evil,
                    "type": evil,
                    "name": evil,
                    "why": evil,
                    "hex": evil,
                    "bits": evil,
                    "length": evil,
                },
            ),
        )
        s.give(1, evil)
    s.fail(1, evil, evil)
    s.branch(0, evil, evil, 0, "inferred")
    s.call(0, "h")
    s.add(r.DROP, 1, evil)
    s.end(0, r.TRIPPED, evil)
    for line in render(s.trace()):
        assert line.isprintable(), line
    s.records[-1][2] = evil
    assert all(line.isprintable() for line in render(s.trace()))


def test_values_that_were_not_captured_are_not_shown_as_none():
    s = Stream(args=False)
    s.branch()
    s.add(r.CODE, "m", "f", "m.py", 1, ["a"], 0)
    s.add(r.CALL, 0, 0)
    s.give(1)
    s.end()
    lines = list(render(s.trace()))
    assert lines[4].endswith("m.f(…)")
    assert lines[-1] == "arguments, results and messages were not recorded"


def test_a_lost_end():
    s = Stream()
    s.branch()
    s.call(0, "root")
    s.add(r.LOST, 5, s.call(0, "lost"))
    assert "lost()  (end not seen)" in "\n".join(render(s.trace()))


@pytest.mark.parametrize(
    ("reason", "sentence"),
    [
        ("max_duration_s", "tripped: max_duration_s of 60.00s reached; --max-duration raises it"),
        ("max_bytes", "tripped: max_bytes of 8.0 MiB reached; --max-bytes raises it"),
        ("max_calls", "tripped: max_calls reached; --max-calls raises it"),
        ("disarm", "tripped: disarm"),
        (None, "tripped: no reason given"),
    ],
)  # fmt: skip
def test_why_it_is_not_complete(reason, sentence):
    s = Stream(limits={"max_duration_s": 60.0, "max_bytes": 8 << 20, "max_calls": float("nan")})
    s.end(0, r.TRIPPED, reason)
    assert reason_text(s.trace()) == sentence


def test_several_roots_stand_side_by_side():
    s = Stream()
    s.branch()
    for name in ("one", "two"):
        s.call(0, name)
        s.call(0, "inner")
        s.give(1)
        s.give(1)
    s.end()
    lines = [line[21:] for line in list(render(s.trace()))[4:]]
    assert lines == [
        "shop.views.one() → None",
        "└── shop.views.inner() → None",
        "shop.views.two() → None",
        "└── shop.views.inner() → None",
    ]


def test_ten_thousand_deep():
    lines = list(render(deep(10_000).trace()))
    assert len(lines) == 10_004
    assert lines[4 + 32].endswith("└── shop.views.f(a=32) → 9967")
    assert lines[-1].endswith("[9999] " + " " * 28 + "└── shop.views.f(a=9999) → 0")
    assert max(map(len, lines)) < 220


def test_spans_join_to_the_line():
    trace = shop().trace()
    assert ["".join(text for _, text in line) for line in draw(trace)] == list(render(trace))
    styles = {style for line in draw(trace) for style, _ in line}
    assert styles == {
        "head",
        "dim",
        "time",
        "wait",
        "guide",
        "module",
        "function",
        "args",
        "value",
        "error",
        "open",
        "branch",
        "note",
    }
