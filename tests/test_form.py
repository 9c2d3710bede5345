"""The JSON form of a trace, both ways, and JSON of any depth."""

from __future__ import annotations

import io
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams import Stream, deep, shop
from tracepatch_shared import deepjson
from tracepatch_shared.errors import MessageError
from tracepatch_shared.form import iter_json
from tracepatch_shared.trace import Trace

TRACE_FIELDS = [
    "type", "schema", "trace_id", "probe_id", "target", "agent", "task", "started_at", "duration_ns", "status", "reason", "calls",
    "dropped", "drops", "elided", "overhead_ns", "unstarted", "limits", "traceparent", "captured", "branches", "roots",
]  # fmt: skip
NODE_FIELDS = [
    "id", "function", "module", "file", "line", "branch", "start_ns", "wall_ns", "running_ns", "waiting_ns", "self_ns", "args",
    "returned", "elided", "children",
]  # fmt: skip


def test_the_fields():
    form = shop().trace().to_json()
    assert list(form) == TRACE_FIELDS
    assert form["started_at"] == "2023-11-14T22:13:20.123456Z"
    assert (form["status"], form["reason"], form["dropped"], form["drops"]) == (
        "tripped",
        "max_calls",
        3,
        {"buffer full": 3},
    )
    assert form["task"] == {"kind": "http", "name": "POST /checkout", "http_status": 502}
    (checkout,) = form["roots"]
    assert list(checkout) == NODE_FIELDS
    assert checkout["args"]["cart"] == {
        "$": "object",
        "type": "shop.carts.Cart",
        "fields": {"items": 3, "user": "ann"},
    }
    charge = next(child for child in checkout["children"] if child["function"] == "charge")
    assert charge["raised"] == {
        "type": "shop.PaymentFailed",
        "message": "no answer\nwithin 500 ms \u202egnp.exe",
        "caught_by": 0,
    }
    assert "returned" not in charge
    poll = next(child for child in checkout["children"] if child["function"] == "lines")
    assert (poll["open"], poll["paused"], "returned" in poll) == (True, True, False)


def test_the_text_is_the_form():
    trace = shop().trace()
    text = "".join(iter_json(trace))
    assert json.loads(text) == trace.to_json()
    assert "\n" not in text


@pytest.mark.parametrize("ended", [True, False])
def test_there_and_back(ended):
    trace = shop(ended=ended).trace()
    back = Trace.from_json(json.loads("".join(iter_json(trace))))
    assert back.to_json() == trace.to_json()
    assert [(n.id, n.parent, n.depth, n.state) for n in back.nodes()] == [
        (n.id, n.parent, n.depth, n.state) for n in trace.nodes()
    ]
    assert back.started_at_ns == trace.started_at_ns


def test_flat_lines_have_a_parent_instead_of_children():
    trace = shop().trace()
    lines = [json.loads(json.dumps(line)) for line in trace.flat()]
    assert len(lines) == trace.calls
    assert all("children" not in line and line["trace_id"] == "3f9a1c2e" for line in lines)
    assert [line["parent"] for line in lines[:3]] == [None, 0, 1]
    back = Trace.from_flat(lines)
    assert back.to_json()["roots"] == trace.to_json()["roots"]
    assert [(b.id, b.parent_node) for b in back.branches] == [(0, None), (1, 18), (2, 0)]


def test_every_file_is_recognised(tmp_path):
    s = shop()
    trace = s.trace()
    compact = "".join(iter_json(trace))
    forms = {
        "raw": s.packed(),
        "json": compact.encode(),
        "pretty.json": json.dumps(trace.to_json(), indent=2).encode(),
        "ndjson": "\n".join(json.dumps(line) for line in trace.flat()).encode() + b"\n",
    }
    for name, content in forms.items():
        (tmp_path / name).write_bytes(content)
        loaded = Trace.load(tmp_path / name)
        assert loaded.to_json()["roots"] == trace.to_json()["roots"], name
        assert loaded.trace_id == "3f9a1c2e"
    assert Trace.read(io.BytesIO(s.packed())).to_json() == trace.to_json()
    assert Trace.read([s.packed()[:100], s.packed()[100:]]).to_json() == trace.to_json()


@pytest.mark.parametrize("content", [b"", b"hello", b"[1]", b'{"a": 1}', b'{"roots": 5}', b'{"roots": [5]}', b'{"roots', b'{"schema": 2, "roots": []}',
                                     b'{"function": "f"}\n{"x": 1}', b'{"function": "f", "trace_id": "a"}\n{"function": "f", "trace_id": "b"}', b"\xff\xfe"])  # fmt: skip
def test_what_is_no_trace_is_refused_by_name(content):
    with pytest.raises(MessageError, match=r"trace|NDJSON|schema"):
        Trace.from_bytes(content)


def test_a_form_of_wrong_types_is_read_as_far_as_it_goes():
    form = shop().trace().to_json()
    for name in TRACE_FIELDS[:-1]:
        Trace.from_json({**form, name: ["wrong"] if name != "schema" else "1"}).to_json()
    for name in NODE_FIELDS:
        "".join(iter_json(Trace.from_json({"roots": [{**form["roots"][0], name: {"$": ["wrong"]}}]})))
    deep_value = json.loads('[{"a":' * 300 + "1" + "}]" * 300)
    (node,) = Trace.from_json({"roots": [{"args": {"a": deep_value}}]}).roots
    assert node.args["a"].kind == "unreadable"


def test_ten_thousand_deep():
    trace = deep(10_000).trace()
    text = "".join(iter_json(trace))
    assert "".join(deepjson.encode(trace.to_json())) == text
    back = Trace.from_bytes(text.encode())
    assert sum(1 for _ in back.nodes()) == 10_000
    assert "".join(iter_json(back)) == text
    assert sum(1 for _ in Trace.from_flat(trace.flat()).nodes()) == 10_000


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(json_values, st.sampled_from([None, 2]))
@settings(max_examples=200, deadline=None)
def test_deep_json_is_the_standard_library_s(value, indent):
    separators = None if indent else (",", ":")
    text = "".join(deepjson.encode(value, indent=indent))
    assert text == json.dumps(value, indent=indent, separators=separators)
    assert deepjson._decode(text) == value
    assert deepjson.loads(text) == value


@given(st.text(alphabet='{}[],:"\\ \n1e-+.truefalsn', max_size=30))
@settings(max_examples=500, deadline=None)
def test_deep_json_refuses_what_the_standard_library_refuses(text):
    try:
        expected = json.loads(text)
    except json.JSONDecodeError:
        with pytest.raises(json.JSONDecodeError):
            deepjson._decode(text)
    else:
        assert deepjson._decode(text) == expected


def test_json_a_hundred_thousand_deep():
    text = '[{"a":' * 50_000 + "1" + "}]" * 50_000
    value = deepjson._decode(text)
    assert "".join(deepjson.encode(value)) == text


def test_a_trace_without_captured_values_says_so():
    s = Stream(args=False)
    s.branch()
    s.call(0, "f")
    assert Trace.from_json(s.trace().to_json()).captured is False
