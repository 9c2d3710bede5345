"""What is on its way to controllers: order, full queues, controllers that stall or are gone."""

from __future__ import annotations

import msgpack
import pytest

from tracepatch.endpoint import Gone
from tracepatch.held import Held, Trace
from tracepatch.post import MAX_LETTERS, RETRY_S, SOON_S, STALLED_S, Post


class Wire:
    """An endpoint whose queues are as long as the test says."""

    def __init__(self) -> None:
        self.room: dict[bytes, int] = {}
        self.gone: set[bytes] = set()
        self.sent: list[tuple[bytes, dict]] = []
        self.dropped = 0

    def offer(self, receiver: bytes, frame: bytes) -> bool:
        if receiver in self.gone:
            raise Gone
        if self.room.setdefault(receiver, 1_000) == 0:
            return False
        self.room[receiver] -= 1
        self.sent.append((receiver, msgpack.unpackb(frame)))
        return True

    def types(self, receiver: bytes) -> list[str]:
        return [message["type"] for to, message in self.sent if to == receiver]


@pytest.fixture
def wire() -> Wire:
    return Wire()


def trace(pieces: int, *, ended: bool = True) -> Trace:
    held = Held()
    new = Trace(f"{pieces:08x}", "aaaaaaaa", None, "ann")
    held.begin(new)
    for _ in range(pieces):
        held.add(new, b"xy")
    new.ended = ended
    return new


def test_nothing_to_send_needs_no_timer(wire: Wire) -> None:
    post = Post(wire)
    assert post.send(0.0) is None
    post.deliver(trace(2), b"a", 0.0)
    assert post.send(0.0) is None
    assert wire.types(b"a") == ["chunk", "chunk", "finished"]
    assert post.owes()


def test_a_running_trace_goes_on_where_it_was(wire: Wire) -> None:
    post = Post(wire)
    running = trace(1, ended=False)
    post.deliver(running, b"a", 0.0)
    post.send(0.0)
    running.pieces.append(b"more")
    post.deliver(running, b"a", 0.0)
    post.send(0.0)
    assert [message["seq"] for _, message in wire.sent] == [0, 1]
    post.deliver(running, b"b", 0.0)
    post.send(0.0)
    assert [message["seq"] for to, message in wire.sent if to == b"b"] == [0, 1]


def test_a_running_trace_is_shown_as_it_stands_and_nothing_is_owed_for_it(wire: Wire) -> None:
    post = Post(wire)
    running = trace(2, ended=False)
    post.show(running, b"b", 0.0)
    running.pieces.append(b"more")
    wire.room[b"b"] = 1
    assert post.send(0.0) == SOON_S
    wire.room[b"b"] = 9
    assert post.send(0.1) is None
    assert [message.get("seq") for _, message in wire.sent] == [0, 1, None]
    assert (wire.sent[-1][1]["chunks"], wire.sent[-1][1]["status"]) == (2, "open")
    assert not post.owes(), "nobody acknowledges it"
    assert not post.brings(running.trace_id)


def test_a_trace_is_shown_besides_its_delivery(wire: Wire) -> None:
    post = Post(wire)
    running = trace(1, ended=False)
    post.deliver(running, b"a", 0.0)
    post.show(running, b"a", 0.0)
    post.send(0.0)
    assert wire.types(b"a") == ["chunk", "chunk", "finished"]
    running.pieces.append(b"more")
    running.ended, running.status = True, "complete"
    post.send(0.0)
    assert wire.types(b"a")[3:] == ["chunk", "finished"]
    assert [message.get("status") for _, message in wire.sent if message["type"] == "finished"] == [
        "open",
        "complete",
    ]
    assert post.owes()


def test_a_full_queue_is_tried_again_and_nothing_is_lost(wire: Wire) -> None:
    post = Post(wire)
    post.deliver(trace(5), b"a", 0.0)
    post.last_word(b"a", {"type": "ended"}, 0.0)
    wire.room[b"a"] = 2
    assert post.send(0.0) == SOON_S
    wire.room[b"a"] = 1
    assert post.send(1.0) == SOON_S
    wire.room[b"a"] = 9
    assert post.send(2.0) is None
    assert wire.types(b"a") == ["chunk"] * 5 + ["finished", "ended"]
    assert wire.dropped == 0


def test_one_slow_controller_does_not_hold_up_another(wire: Wire) -> None:
    post = Post(wire)
    wire.room[b"a"] = 0
    post.deliver(trace(2), b"a", 0.0)
    post.deliver(trace(2), b"b", 0.0)
    post.send(0.0)
    assert wire.types(b"b") == ["chunk", "chunk", "finished"]


def test_a_controller_that_takes_nothing_costs_no_timer_until_it_is_heard(wire: Wire) -> None:
    post = Post(wire)
    post.deliver(trace(3), b"a", 0.0)
    wire.room[b"a"] = 1
    assert post.send(0.0) == SOON_S
    assert post.send(STALLED_S - 1) == RETRY_S
    assert post.send(STALLED_S + 1) is None
    wire.room[b"a"] = 9
    assert post.send(STALLED_S + 2) is None
    assert len(wire.sent) == 1
    post.heard(b"a", STALLED_S + 3)
    post.send(STALLED_S + 3)
    assert wire.types(b"a") == ["chunk"] * 3 + ["finished"]


def test_a_controller_that_is_gone_is_forgotten(wire: Wire) -> None:
    post = Post(wire)
    post.deliver(trace(3), b"a", 0.0)
    wire.gone.add(b"a")
    assert post.send(0.0) is None
    assert post.gone == {b"a"}
    assert not post.owes()
    post.news(b"a", {"type": "counters"})
    post.answer(b"a", {"type": "hello"}, 0.0)
    assert not post.owes()


def test_answers_overtake_pieces_but_not_each_other(wire: Wire) -> None:
    post = Post(wire)
    post.deliver(trace(3), b"a", 0.0)
    post.answer(b"a", {"type": "one"}, 0.0)
    wire.room[b"a"] = 0
    post.answer(b"a", {"type": "two"}, 0.0)
    wire.room[b"a"] = 9
    post.answer(b"a", {"type": "three"}, 0.0)
    post.send(0.0)
    assert [kind for kind in wire.types(b"a") if kind in {"one", "two", "three"}] == ["one", "two", "three"]


def test_letters_are_bounded(wire: Wire) -> None:
    post = Post(wire)
    wire.room[b"a"] = 0
    for _ in range(MAX_LETTERS + 5):
        post.answer(b"a", {"type": "x"}, 0.0)
    assert wire.dropped == 5


def test_an_acknowledged_trace_is_owed_to_nobody(wire: Wire) -> None:
    post = Post(wire)
    one = trace(1)
    post.deliver(one, b"a", 0.0)
    post.deliver(one, b"b", 0.0)
    post.send(0.0)
    post.forget(one.trace_id)
    assert not post.owes()


def test_a_round_is_bounded(wire: Wire) -> None:
    post = Post(wire)
    post.deliver(trace(100), b"a", 0.0)
    assert post.send(0.0) == 0.0
    assert len(wire.sent) == 64
    assert post.send(0.0) is None
    assert len(wire.sent) == 101


def test_what_is_held_is_counted_to_the_byte() -> None:
    held = Held()
    one = Trace("00000001", "aaaaaaaa", None, "ann")
    held.begin(one)
    held.add(one, b"x" * 100)
    assert held.forget("00000001") is None
    one.ended = True
    assert held.bytes == one.held_bytes > 100
    assert held.forget("00000001") is one
    assert held.bytes == 0
    assert held.forget("00000001") is None
