"""What the native core writes is what `stream.Writer` and msgpack make of the same events, byte for byte."""

from __future__ import annotations

import gc
import random
import sys
import weakref
from typing import Any

import msgpack
import pytest

from native_helpers import STARTED_NS, Twice, code_objects, entries, log_of, native, play
from tracepatch.codes import APPLICATION, Entry
from tracepatch.runners import Runner
from tracepatch_shared.records import BRANCH, CALL, LINES, LOST, RETURN, SUSPEND, YIELD

SEQUENCES = 60
KNOWN = entries(60)


def records(data: bytes) -> list[Any]:
    """Return the records of bytes that end where a record ends."""
    unpacker = msgpack.Unpacker(strict_map_key=False)
    unpacker.feed(data)
    found = list(unpacker)
    assert unpacker.tell() == len(data), "a part of a record"
    return found


@pytest.mark.parametrize("part", range(4))
@pytest.mark.parametrize("intern", [True, False])
def test_random_events_are_written_as_the_writer_packs_them(part: int, *, intern: bool) -> None:
    for seed in range(part * SEQUENCES // 4, (part + 1) * SEQUENCES // 4):
        draw = random.Random(seed)
        both = Twice(intern=intern)
        for _ in range(3):  # taken now and then, as the agent does
            play(draw, both, KNOWN, draw.choice((1, 20, 300)))
            chunks = list(both.written())
            assert b"".join(chunks) == both.wanted(), seed
            for chunk in chunks:
                records(chunk)
        assert both.log.elided == both.writer.elided
        assert both.log.last_ns == both.writer._last_ns
        assert not both.log
        assert len(both.log) == 0


def begun() -> tuple[Twice, tuple[Any, Any], Entry]:
    both = Twice()
    runner = both.runner("root", "f", None, "exact")
    both.add(BRANCH, runner, STARTED_NS)
    return both, runner, KNOWN[2]


def test_more_texts_than_are_interned() -> None:
    both, runner, entry = begun()
    for number in range(3 * 4_200):
        node = both.node(entry, runner)
        both.add(CALL, runner, STARTED_NS, node, [f"text {number % 4_200}", f"text {number // 2 % 4_200}"])
        both.add(RETURN, runner, STARTED_NS, node, f"text {number // 3}")
    chunks = list(both.written())
    assert b"".join(chunks) == both.wanted()
    assert all(records(chunk) for chunk in chunks)
    assert all(65_536 <= len(chunk) < 65_536 + 500 for chunk in chunks[:-1])


def test_numbers_of_nodes_and_code_of_every_size() -> None:
    both, runner, _ = begun()
    many = [Entry(code, "m", APPLICATION) for code in code_objects(300)]
    node = both.node(many[0], runner)
    for number in range(66_000):
        if number % 30_000 in (0, 1, 126, 127, 128, 129, 255, 256, 257):
            both.add(YIELD, runner, STARTED_NS, node)
            branch = both.runner("task", "t", node, "exact")
            both.add(BRANCH, branch, STARTED_NS)
            both.add(LOST, runner, STARTED_NS, node)
        node = both.node(many[number % 300], runner)
        both.add(CALL, runner, STARTED_NS, node, None)
    both.add(YIELD, runner, STARTED_NS, node)
    assert b"".join(both.written()) == both.wanted()


def test_lines_stand_among_the_records_and_count_as_time() -> None:
    both, runner, _ = begun()
    both.log.lines(STARTED_NS + 5, both.pack({"0": 12}))
    wanted = both.wanted() + both.pack(both.writer.lines(STARTED_NS + 5, {"0": 12}))
    both.add(SUSPEND, runner, STARTED_NS + 7)
    written = b"".join(both.written())
    assert written == wanted + both.wanted()
    assert records(written)[1] == [LINES, 5, {"0": 12}]


def test_events_of_the_root_are_noted_for_whoever_decides() -> None:
    log = log_of(noted=True)
    root, other = Runner("root", "f", None, "exact"), Runner("task", "g", None, "exact")
    log.append((BRANCH, root, STARTED_NS))
    log.append((BRANCH, other, STARTED_NS))
    first, second = (native.Node(KNOWN[1], 1, root) for _ in range(2))
    wanted = [(CALL, root, 5, first, ["x"]), (SUSPEND, root, 6), (RETURN, root, 9, first, "x")]
    unwanted = [
        (CALL, root, 5, second, ["x"]),
        (SUSPEND, other, 6),
        (RETURN, root, 8, second, "x"),
        (YIELD, root, 8, first),
    ]
    for event in (wanted[0], *unwanted, *wanted[1:]):
        log.append(event)
    assert log.noted == wanted


@pytest.mark.parametrize(
    "event",
    [
        None,
        (),
        (CALL,),
        [SUSPEND, None, 0],
        ("kind", None, 0),
        (CALL, None, 0, None, None),
        (RETURN, None, 0, "node", None),
        (CALL, None, 0),
    ],
)
def test_what_is_no_event_is_refused(event: Any) -> None:
    log = log_of()
    with pytest.raises(TypeError):
        log.append(event)
    assert not log


# ---- tables and nodes


def test_a_table_is_a_dict_of_numbers() -> None:
    missing = object()
    for seed in range(60):
        draw = random.Random(seed)
        table, known = log_of().open, {}
        # Addresses: far apart, or the next of a pool; and such as begin in the same cell.
        keys = [
            draw.choice((48, 64, 4096)) * number + draw.choice((0, 1 << 40))
            for number in range(draw.choice((3, 40, 400)))
        ]
        keys += [0, 1, (1 << 64) - 1, 1 << 63]
        if seed % 3 == 0:
            keys = collisions(30)
        for _ in range(3_000):
            key, what = draw.choice(keys), draw.randrange(7)
            if what < 3:
                value = object()
                table[key] = known[key] = value
            elif what == 3:
                assert table.pop(key, missing) is known.pop(key, missing)
            elif what == 4 and key in known:
                del table[key]
                del known[key]
            assert table.get(key) is known.get(key)
            assert table.get(key, missing) is known.get(key, missing)
            assert (key in table) is (key in known)
            assert len(table) == len(known)
        assert dict(table.items()) == known
        assert set(map(id, table.values())) == set(map(id, known.values()))
        table.clear()
        assert (len(table), table.items(), table.get(keys[0])) == (0, [], None)


def collisions(count: int) -> list[int]:
    """Return numbers whose first place is one of the last two cells of the smallest table."""
    found = (key for key in range(1, 1 << 20) if (key * 0x9E3779B97F4A7C15 % 2**64 >> 32) & 15 >= 14)
    return [next(found) for _ in range(count)]


def test_a_table_says_what_it_lacks_and_is_not_made_by_anybody() -> None:
    table = log_of().open
    with pytest.raises(KeyError):
        table[5]
    with pytest.raises(KeyError):
        del table[5]
    with pytest.raises(TypeError):
        table["five"]
    with pytest.raises(TypeError):
        table["five"] = 5
    with pytest.raises(TypeError):
        table.pop(5)
    with pytest.raises(TypeError):
        native.Table()


def test_a_table_lets_go_of_what_it_held() -> None:
    table, value = log_of().open, object()
    before = sys.getrefcount(value)
    for key in range(1000):
        table[key] = value
        table[key] = value
    assert sys.getrefcount(value) == before + 1000
    for key in range(500):
        assert table.pop(key, None) is value
    assert sys.getrefcount(value) == before + 500
    table.clear()
    assert sys.getrefcount(value) == before
    table[1] = value
    del table
    assert sys.getrefcount(value) == before


def test_what_goes_with_the_last_reference_may_look_at_the_table() -> None:
    table = log_of().open
    seen = []

    class Held:
        def __del__(self) -> None:
            seen.append(len(table))
            table.get(3)

    for key in range(40):
        table[key] = Held()
    table.clear()
    assert seen == list(range(39, -1, -1))
    table[3] = Held()
    table[3] = None
    del table[3]
    assert seen[-1] == 1


def test_a_node_begins_as_a_node_of_python_does() -> None:
    from tracepatch.runners import Node

    runner = Runner("root", "f", None, "exact")
    made, known = native.Node(KNOWN[0], 2**64 - 1, runner), Node(KNOWN[0], 2**64 - 1, runner)
    names = (
        "entry",
        "frame_id",
        "runner",
        "elided",
        "number",
        "visible",
        "saved",
        "holder",
        "roams",
        "along",
        "delegate",
    )
    assert [getattr(made, name) for name in names] == [getattr(known, name) for name in names]
    for name in ("elided", "number", "visible", "saved", "holder", "roams", "along", "delegate", "runner"):
        value = {"visible": False, "roams": True, "delegate": True, "elided": 5, "number": 7}.get(name, known)
        setattr(made, name, value)
        assert getattr(made, name) is value or getattr(made, name) == value
    assert made != native.Node(KNOWN[0], 2**64 - 1, runner)


def test_a_node_that_is_used_again_remembers_nothing() -> None:
    runner = Runner("root", "f", None, "exact")
    held = object()
    before = sys.getrefcount(held)
    for _ in range(600):  # more than are kept
        nodes = [native.Node(KNOWN[0], 1, runner) for _ in range(300)]
        assert all((node.saved, node.holder, node.along) == (None, None, None) for node in nodes[:3])
        for node in nodes:
            node.saved = node.holder = node.along = held
            node.number, node.elided, node.visible, node.roams, node.delegate = 5, 6, False, True, True
        del node
    del nodes
    assert sys.getrefcount(held) == before
    fresh = native.Node(KNOWN[0], 1, runner)
    assert (fresh.number, fresh.elided, fresh.visible, fresh.roams, fresh.delegate) == (
        -1,
        0,
        True,
        False,
        False,
    )


def test_cycles_of_nodes_and_runners_are_found_by_the_collector() -> None:
    class Held:
        pass

    runner = Runner("root", "f", None, "exact")
    node = native.Node(KNOWN[0], 1, runner)
    node.saved = [node, held := Held()]
    runner.stack.append(node)
    gone = weakref.ref(held)
    del held, node, runner
    gc.collect()
    assert gone() is None
