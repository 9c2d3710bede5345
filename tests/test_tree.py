"""What the records of a stream mean."""

from __future__ import annotations

import itertools

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams import STARTED_AT_NS, Stream, deep, shop
from tracepatch_shared import records as r
from tracepatch_shared.errors import VersionError
from tracepatch_shared.tree import Trace, TraceReader, iter_json
from tracepatch_shared.values import EXT_STRING, Mark


def times(node):
    return (node.start_ns, node.wall_ns, node.running_ns, node.waiting_ns, node.self_ns)


def test_a_call_with_a_call_inside():
    s = Stream(target="m:f", agent={"pid": 1}, task={"kind": "call"}, traceparent="00-ab")
    s.branch(name="f")
    s.call(5, "f", a=1, b="x")
    s.call(10, "g", c=[1])
    s.give(20, "got", 3)
    s.give(30, None)
    s.end(40, overhead_ns=9, task={"http_status": 200})
    trace = s.trace()
    assert (trace.trace_id, trace.probe_id, trace.target, trace.started_at_ns) == (
        "3f9a1c2e",
        "aa11bb22",
        "m:f",
        STARTED_AT_NS,
    )
    assert (trace.status, trace.reason, trace.calls, trace.elided, trace.overhead_ns) == (
        "complete",
        None,
        2,
        3,
        9,
    )
    assert trace.agent == {"pid": 1}
    assert trace.task == {"kind": "call", "http_status": 200}
    assert trace.traceparent == "00-ab"
    (f,) = trace.roots
    (g,) = f.children
    assert (f.id, f.function, f.module, f.file, f.line, f.branch, f.depth) == (
        0,
        "f",
        "shop.views",
        "shop/views.py",
        10,
        0,
        0,
    )
    assert (g.id, g.function, g.parent, g.depth, g.elided) == (1, "g", 0, 1, 3)
    assert f.args == {"a": 1, "b": "x"}
    assert g.args == {"c": [1]}
    assert g.returned == "got"
    assert not f.open
    assert times(f) == (5, 60, 60, 0, 40)
    assert times(g) == (15, 20, 20, 0, 20)
    assert trace.duration_ns == 60


def test_waiting_counts_for_every_node_that_is_open_and_for_no_other():
    s = Stream()
    s.branch()
    s.call(0, "root")
    s.call(1, "before")
    s.give(1)
    s.call(1, "awaits")
    s.add(r.SUSPEND, 10)
    s.add(r.RESUME, 1000)
    s.give(10)
    s.call(1, "after")
    s.give(5)
    s.give(1)
    s.end()
    (root,) = s.trace().roots
    before, awaits, after = root.children
    assert (root.waiting_ns, before.waiting_ns, awaits.waiting_ns, after.waiting_ns) == (1000, 0, 1000, 0)
    assert awaits.running_ns == 20
    assert awaits.self_ns == 20
    assert root.self_ns == root.running_ns - 1 - 20 - 5


def test_where_open_nodes_stand_until_their_branch_goes_on():
    s = Stream()
    s.branch()
    s.call(0, "root")
    s.call(0, "awaits")
    s.add(r.SUSPEND, 10)
    s.branch(5, kind="task", parent=0)
    s.call(0, "beside")
    s.add(r.SUSPEND, 1)
    s.add(r.LINES, 100, {"0": 7, "1": 8, "2": 9, "77": 1})
    reader = s.reader()
    root, awaits, beside = reader.trace.nodes()
    assert [root.at_line, awaits.at_line, beside.at_line] == [7, 8, 9]
    assert [branch.waiting_ns for branch in reader.trace.branches] == [106, 100]
    assert reader.ignored == 1, "a number that no node has"
    reader.record([r.SWITCH, 0])
    reader.record([r.RESUME, 10])
    assert [root.at_line, awaits.at_line, beside.at_line] == [None, None, 9], "that branch runs"
    assert [branch.waiting_ns for branch in reader.trace.branches] == [0, 110]
    reader.record([r.END, 5, "tripped", "max_duration_s", {"open_lines": {"0": 17, "1": 18}}])
    assert [root.at_line, awaits.at_line, beside.at_line] == [17, 18, None], "the last word replaces all"
    form = reader.trace.to_json()
    assert form["roots"][0]["at_line"] == 17
    assert [node.at_line for node in Trace.from_json(form).nodes()] == [17, 18, None]


def test_lines_of_a_running_branch_are_over_with_its_next_call():
    s = Stream()
    s.branch()
    s.call(0, "root")
    s.add(r.LINES, 1, {"0": 7})
    reader = s.reader()
    assert reader.trace.roots[0].at_line == 7
    reader.record([r.CODE, "m", "f", "m.py", 1, [], 0])
    reader.record([r.CALL, 1, 1])
    assert reader.trace.roots[0].at_line is None
    reader.record([r.LINES, 1, {"0": 8}])
    reader.record([r.RETURN, 1, None])
    assert reader.trace.roots[0].at_line is None


def test_a_raised_exception_and_one_whose_message_is_a_mark():
    s = Stream()
    s.branch()
    s.call(0, "f")
    s.call(0, "g")
    s.fail(1, "app.Broken", Mark("str", {"text": "long", "length": 900}), 2)
    s.fail(1, "ValueError", "no")
    s.end()
    trace = s.trace()
    (f,) = trace.roots
    assert f.raised == {"type": "ValueError", "message": "no"}
    assert f.children[0].raised["message"].fields["length"] == 900
    assert f.children[0].elided == trace.elided == 2


def test_branches_hang_below_the_node_that_started_them():
    s = Stream()
    s.branch(name="main")
    root = s.call(0, "root")
    s.branch(5, "task", "worker", root)
    s.call(0, "worker")
    s.add(r.SUSPEND, 10)
    s.add(r.SWITCH, 0)
    s.call(1, "other")
    s.give(4)
    s.add(r.SWITCH, 1)
    s.add(r.RESUME, 100)
    s.give(10)
    s.add(r.SWITCH, 0)
    s.give(10)
    s.branch(3, "thread", "late", 99, "inferred")
    s.call(0, "late")
    s.give(1)
    s.end()
    trace = s.trace()
    root, late = trace.roots
    worker, other = root.children
    assert (worker.branch, worker.parent, worker.depth, other.branch, late.branch) == (1, 0, 1, 0, 2)
    assert [(b.id, b.kind, b.name, b.parent_node, b.link) for b in trace.branches] == [
        (0, "root", "main", None, "exact"),
        (1, "task", "worker", 0, "exact"),
        (2, "thread", "late", None, "inferred"),
    ]
    assert (worker.wall_ns, worker.waiting_ns, worker.self_ns) == (125, 105, 20)
    assert (root.wall_ns, root.waiting_ns, root.self_ns) == (140, 0, 136)
    assert trace.duration_ns == 140, "of the root on the main branch"


def test_a_generator_leaves_with_what_it_holds_and_comes_back_elsewhere():
    s = Stream()
    s.branch()
    root = s.call(0, "root")
    gen = s.call(1, "gen")
    s.call(1, "inside")
    s.add(r.YIELD, 1, gen)
    s.call(10, "meanwhile")
    s.give(10)
    s.branch(0, "task", "t", root)
    s.call(0, "consumer")
    s.add(r.REENTER, 100, gen)
    s.call(1, "next")
    s.give(1)
    s.add(r.SUSPEND, 0)
    s.add(r.RESUME, 50)
    s.give(2, "inside done")
    s.give(3, "gen done")
    s.give(4)
    s.end()
    (root,) = s.trace().roots
    gen, meanwhile, consumer = root.children
    (inside,) = gen.children
    (following,) = inside.children
    assert [node.function for node in (gen, meanwhile, consumer, inside, following)] == [
        "gen",
        "meanwhile",
        "consumer",
        "inside",
        "next",
    ]
    assert (gen.returned, inside.returned) == ("gen done", "inside done")
    assert gen.waiting_ns == inside.waiting_ns == 120 + 50
    assert gen.wall_ns == 2 + 120 + 2 + 50 + 2 + 3
    assert (inside.self_ns, gen.self_ns) == (1 + 1 + 2, 1 + 3)
    assert consumer.waiting_ns == 50
    assert following.branch == 1
    assert root.open
    assert root.self_ns == 1 + 10 + 161, (
        "its branch was never suspended, and the generator is not on it any more"
    )


def test_a_lost_node_is_closed_wherever_it_is():
    s = Stream()
    s.branch()
    s.call(0, "root")
    below = s.call(1, "below")
    s.call(1, "above")
    s.add(r.LOST, 5, below)
    s.give(5, "above")
    gen = s.call(0, "gen")
    s.call(0, "held")
    s.add(r.YIELD, 1, gen)
    s.add(r.LOST, 9, gen)
    s.add(r.LOST, 0, gen)
    s.add(r.REENTER, 0, gen)
    s.give(1, "root")
    s.end()
    reader = s.reader()
    (root,) = reader.trace.roots
    below, gen = root.children
    assert (below.state, below.wall_ns) == ("lost", 6)
    assert below.children[0].returned == "above"
    assert (gen.state, gen.waiting_ns, gen.children[0].state) == ("lost", 9, "lost")
    assert root.returned == "root"
    assert reader.ignored == 0


def test_open_nodes_say_how_long_and_whether_they_wait():
    s = Stream()
    s.branch()
    root = s.call(10, "root")
    gen = s.call(10, "gen")
    s.add(r.YIELD, 10, gen)
    s.call(10, "awaits")
    s.add(r.SUSPEND, 10)
    s.branch(100, "task", "t", root)
    s.call(0, "spins")
    trace = s.trace()
    (root,) = trace.roots
    gen, awaits, _ = root.children
    assert trace.status == "open"
    assert [branch.waiting for branch in trace.branches] == [True, False]
    assert (root.wall_ns, root.waiting_ns, root.open) == (140, 100, True)
    assert (awaits.wall_ns, awaits.waiting_ns) == (110, 100)
    assert (gen.wall_ns, gen.waiting_ns, gen.paused, awaits.paused) == (130, 120, True, False)
    assert trace.duration_ns == 140

    s.end(1000, r.TRIPPED, "max_duration_s", open_elided={"1": 7, "99": 1, "x": 1})
    trace = s.trace()
    assert trace.duration_ns == 1140
    assert trace.roots[0].children[0].elided == trace.elided == 7


def test_the_trace_grows_while_it_is_read():
    s = shop()
    reader = TraceReader()
    trace = reader.trace
    assert (trace.status, trace.calls, trace.roots) == ("open", 0, [])
    seen = []
    for record in s.records:
        reader.record(record)
        assert reader.trace is trace
        seen.append(trace.calls)
        "".join(iter_json(trace))
    assert seen == sorted(seen)
    assert trace.to_json() == s.trace().to_json(), "looking at it has changed nothing"
    assert reader.ended


def test_a_stream_cut_anywhere_gives_a_tree():
    whole = shop()
    data = whole.packed()
    calls = 0
    for end in range(0, len(data), 7):
        reader = TraceReader()
        reader.feed(data[:end])
        trace = reader.trace
        assert reader.damage is None
        assert trace.status == "open"
        assert trace.calls >= calls
        calls = trace.calls
        assert all(node.waiting_ns <= node.wall_ns for node in trace.nodes())
    assert calls == whole.trace().calls


@given(st.lists(st.integers(1, 400), max_size=20))
@settings(max_examples=30, deadline=None)
def test_bytes_in_any_pieces_mean_the_same(sizes):
    s = shop()
    data = s.packed()
    reader = TraceReader()
    at = 0
    for size in itertools.chain(sizes, [len(data)]):
        reader.feed(data[at : at + size])
        at += size
    assert reader.trace.to_json() == s.trace().to_json()


def test_strings_that_come_again_and_marks_are_put_in_place():
    def reference(number):
        return msgpack.ExtType(EXT_STRING, msgpack.packb(number))

    mark = msgpack.ExtType(
        1, msgpack.packb(["set", {"items": [msgpack.ExtType(1, msgpack.packb(["redacted", {}]))]}])
    )
    stream = [
        [r.HEAD, {"v": 1}],
        [r.CODE, "m", "f", "m.py", 1, ["a", "b", "c", "d"], 0],
        [r.BRANCH, 0, "root", "f", None, "exact"],
        [r.STRING, "again"],
        [r.CALL, 0, 0, reference(0), mark, reference(9), msgpack.ExtType(77, b"?")],
        [r.RETURN, 1, reference(0)],
    ]
    reader = TraceReader()
    reader.feed(b"".join(map(msgpack.packb, stream)))
    (node,) = reader.trace.roots
    assert node.args["a"] == node.returned == "again"
    assert node.args["b"] == Mark("set", {"items": [Mark("redacted", {})]})
    assert node.args["c"].kind == node.args["d"].kind == "unreadable"


def test_unknown_records_and_more_fields_are_ignored():
    s = Stream(surprise=1)
    s.branch()
    s.call(0, "f", a=1)
    s.add(99, "later version")
    s.add(r.CALL, 1, 0, 1, 2, 3)
    s.add(r.RETURN, 1, "in", 0, "more")
    s.add(r.SUSPEND, 1, "more")
    s.add(r.RESUME, 1, "more")
    s.give(1, "out")
    s.end()
    s.add(r.CALL, 5, 0)
    reader = s.reader()
    (node,) = reader.trace.roots
    assert reader.ignored == 0
    assert node.children[0].args == {"a": 1, "argument 1": 2, "argument 2": 3}
    assert (node.returned, node.children[0].returned, reader.trace.calls) == ("out", "in", 2)


@pytest.mark.parametrize(
    "record",
    [[], [r.CALL], [r.CALL, "x", 0], [r.RETURN, None], [r.SWITCH, 7], [r.SWITCH, -1], [r.YIELD, 0, -1], [r.YIELD, 0, 50],
     [r.REENTER, 0, None], [r.LOST, 0, "x"], [r.DROP], [r.DROP, "x"], [r.END], [r.HEAD, 5], [r.HEAD], [r.CALL, 0, None], [[1]],
     [r.BRANCH], [r.RAISE]],
)  # fmt: skip
def test_a_malformed_record_is_counted_and_harms_nothing(record):
    s = Stream()
    s.branch()
    s.call(0, "f")
    s.add(*record)
    s.give(1, "out")
    s.end()
    reader = s.reader()
    assert "".join(iter_json(reader.trace))
    assert reader.trace.roots[0].function == "f"


def test_a_malformed_code_or_string_keeps_its_number():
    reader = TraceReader()
    for record in [
        [r.CODE],
        [r.CODE, "m", 5, None],
        [r.CODE, "m", "right", "m.py", 1, [], 0],
        [r.CALL, 0, 2],
        [r.CALL, 0, 77],
    ]:
        reader.record(record)
    (right,) = reader.trace.roots
    assert right.function == "right"
    assert right.children[0].function == "?"
    assert reader.trace.branches[0].kind == "root", "a call without a branch has one"


@given(st.binary(max_size=300))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_survived(data):
    reader = TraceReader()
    reader.feed(data)
    reader.feed(data)
    "".join(iter_json(reader.trace))


@given(
    st.lists(
        st.lists(
            st.one_of(
                st.integers(-3, 20), st.none(), st.text(max_size=2), st.lists(st.integers(), max_size=2)
            ),
            max_size=6,
        ),
        max_size=30,
    )
)
@settings(max_examples=300, deadline=None)
def test_any_records_are_survived(stream):
    reader = TraceReader()
    for record in stream:
        reader.record(record)
    "".join(iter_json(reader.trace))


def test_damage_ends_the_reading_and_keeps_what_came():
    s = shop()
    reader = TraceReader()
    reader.feed(s.packed() + b"\xc1\xc1")
    assert reader.trace.status == "tripped"
    s = shop(ended=False)
    reader = TraceReader()
    reader.feed(s.packed() + b"\xc1\xc1")
    reader.feed(msgpack.packb([r.CALL, 1, 0]))
    assert "not a stream" in reader.damage
    assert reader.trace.calls == s.trace().calls


def test_values_nested_beyond_reason_are_refused():
    value = 1
    for _ in range(900):
        value = [value]
    s = Stream()
    s.branch()
    s.call(0, "f", a=value)
    s.give(1, {"x": value})
    s.end()
    reader = TraceReader()
    reader.feed(s.packed())
    (node,) = reader.trace.roots
    assert node.args["a"].kind == node.returned.kind == "unreadable"
    assert "".join(iter_json(reader.trace))


def test_another_version_is_refused_by_name():
    with pytest.raises(VersionError, match="version 2 of a trace's stream"):
        TraceReader().record([r.HEAD, {"v": 2}])


def test_a_stream_without_captured_values_says_so():
    s = Stream(args=False)
    s.branch()
    s.call(0, "f")
    assert s.trace().captured is False


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["call", "give", "suspend", "resume", "gen", "yield", "reenter"]),
            st.integers(0, 99),
        ),
        max_size=60,
    )
)
@settings(max_examples=200, deadline=None)
def test_on_one_branch_self_times_add_up_to_what_ran(steps):
    """The slow oracle: every nanosecond that passes belongs to the node on top, if the branch runs."""
    s = Stream()
    s.branch()
    s.call(0, "root")
    stack, away, ran, waits, generators, total = [0], [], {0: 0}, False, set(), 0
    for what, dt in steps:
        if what in ("yield",) and not (generators & set(stack)):
            continue
        if (what == "reenter" and not away) or (what == "give" and len(stack) == 1):
            continue
        if (what == "suspend") == waits and what in ("suspend", "resume"):
            continue
        if waits and what != "resume":
            continue
        if not waits:
            ran[stack[-1]] += dt
            total += dt
        if what in ("call", "gen"):
            node = s.call(dt, what)
            ran[node] = 0
            stack.append(node)
            if what == "gen":
                generators.add(node)
        elif what == "give":
            s.give(dt)
            stack.pop()
        elif what in ("suspend", "resume"):
            s.add(r.SUSPEND if what == "suspend" else r.RESUME, dt)
            waits = what == "suspend"
        elif what == "yield":
            at = max(index for index, node in enumerate(stack) if node in generators)
            away.append(stack[at:])
            s.add(r.YIELD, dt, stack[at])
            del stack[at:]
        else:
            segment = away.pop(0)
            s.add(r.REENTER, dt, segment[0])
            stack += segment
    trace = s.trace()
    nodes = list(trace.nodes())
    assert {node.id: node.self_ns for node in nodes} == ran
    assert sum(node.self_ns for node in nodes) == total
    assert trace.roots[0].running_ns == total
    assert all(0 <= node.self_ns <= node.running_ns <= node.wall_ns for node in nodes)


def test_ten_thousand_deep():
    trace = deep(10_000).trace()
    nodes = list(trace.nodes())
    assert [node.depth for node in nodes] == list(range(10_000))
    assert trace.roots[0].wall_ns == 9_999 * 10 + 10_000 * 5
    assert all(node.self_ns == 15 for node in nodes[:-1])


def test_an_exception_says_where_it_went_no_further():
    s = Stream()
    s.branch(name="f")
    s.call(1, "f")
    s.call(1, "retries")
    for message in ("first", "same"):
        s.call(1, "tries")
        s.call(1, "inner")
        s.fail(1, "KeyError", message)
        s.fail(1, "KeyError", message)
    s.fail(1, "KeyError", "same")
    s.call(1, "closed")
    s.fail(1, "GeneratorExit", "")
    s.call(1, "wraps")
    s.call(1, "fails")
    s.fail(1, "OSError", Mark("tuple", {"items": [1, 2]}))
    s.fail(1, "RuntimeError", "from it")
    s.give(1, None)
    s.end(1)
    trace = s.trace()
    (f,) = trace.roots
    caught = {node.id: (node.function, node.caught_by) for node in trace.nodes() if node.raised is not None}
    assert caught == {
        1: ("retries", f.id),
        2: ("tries", 1),
        3: ("inner", None),
        4: ("tries", None),
        5: ("inner", None),
        6: ("closed", None),
        7: ("wraps", f.id),
        8: ("fails", 7),
    }
    again = Trace.from_json(trace.to_json())
    assert [node.caught_by for node in again.nodes()] == [node.caught_by for node in trace.nodes()]


def test_what_a_signal_handler_raises_while_a_trace_is_read_is_not_a_malformed_record() -> None:
    class Interrupted(list):
        def __getitem__(self, index):
            raise ValueError("soft time limit")

    reader = TraceReader()
    with pytest.raises(ValueError, match="soft time limit"):
        reader.record(Interrupted())
    reader.record([])
    assert reader.ignored == 1
