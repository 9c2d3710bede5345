"""When probes end, by a clock that the test turns."""

from __future__ import annotations

import pytest

from agent_helpers import probe
from targets.fake_tracing import FakeTracing, resolver
from test_agent_post import Wire
from tracepatch.held import Held
from tracepatch.post import Post
from tracepatch.probe import options_from_wire
from tracepatch.roster import Roster


class Desk:
    """A roster with everything around it faked."""

    def __init__(self, folder: str) -> None:
        self.now = 100.0
        self.wire = Wire()
        self.post = Post(self.wire)
        self.held = Held()
        self.tracing = FakeTracing(lambda: None)
        self.roster = Roster(
            tracing=self.tracing,
            post=self.post,
            held=self.held,
            resolver=resolver,
            clock=lambda: self.now,
            folder=folder,
        )

    def arm(self, probe_id: str = "aaaaaaaa", **options) -> None:
        self.roster.arm(options_from_wire(probe(probe_id, **options)), b"ann")

    def turn(self, seconds: float = 0.0) -> list[str]:
        """Let time pass as the agent's loop does; return the reasons of the probes that ended."""
        self.now += seconds
        self.roster.expire()
        self.roster.drain()
        self.roster.settle()
        self.post.send(self.now)
        ended = [message["reason"] for _, message in self.wire.sent if message["type"] == "ended"]
        self.wire.sent.clear()
        return ended


@pytest.fixture
def desk(tmp_path) -> Desk:
    return Desk(str(tmp_path))


def test_dormant_needs_no_timer(desk: Desk) -> None:
    assert desk.roster.wait_s() is None
    desk.arm()
    assert desk.roster.wait_s() == 1.0
    desk.tracing.trace()
    assert desk.turn() == ["count"]
    assert desk.held.finished()
    assert desk.roster.wait_s() is None


def test_the_lease_begins_again_with_each_renewal(desk: Desk) -> None:
    desk.arm(lease_s=10.0)
    for _ in range(5):
        assert desk.turn(9.0) == []
        desk.roster.renew(["aaaaaaaa"], b"ann")
    assert desk.turn(10.0) == ["lease"]


def test_the_ttl_holds_whatever_is_renewed(desk: Desk) -> None:
    desk.arm(lease_s=10.0, ttl_s=25.0)
    for _ in range(3):
        assert desk.turn(8.0) == []
        desk.roster.renew(["aaaaaaaa"], b"ann")
    assert desk.turn(1.0) == ["ttl"]


def test_it_wakes_when_something_is_due(desk: Desk) -> None:
    desk.arm(lease_s=0.7)
    assert desk.roster.wait_s() == pytest.approx(0.7)
    desk.arm("bbbbbbbb", lease_s=None, ttl_s=0.2)
    assert desk.roster.wait_s() == pytest.approx(0.2)
    assert desk.turn(0.2) == ["ttl"]
    assert desk.roster.wait_s() == pytest.approx(0.5)


def test_the_kill_switch_is_looked_at_every_second(desk: Desk, tmp_path) -> None:
    desk.arm(lease_s=None)
    (tmp_path / "off").touch()
    assert desk.turn(0.5) == []
    assert desk.turn(0.5) == ["off"]


def test_a_running_trace_is_ended_with_its_probe(desk: Desk) -> None:
    desk.arm(lease_s=1.0)
    trace_id = desk.tracing.begin()
    assert desk.turn(1.0) == ["lease"]
    trace = desk.held.traces[trace_id]
    assert (trace.ended, trace.status, trace.reason) == (True, "tripped", "lease")
    assert desk.tracing.released == 1


def test_the_triggers_go_with_the_last_probe(desk: Desk) -> None:
    desk.arm("aaaaaaaa", lease_s=1.0)
    desk.arm("bbbbbbbb", lease_s=2.0)
    desk.turn(1.0)
    assert (list(desk.tracing.probes), desk.tracing.released) == (["bbbbbbbb"], 0)
    desk.turn(1.0)
    assert (list(desk.tracing.probes), desk.tracing.released) == ([], 1)


def test_the_budget(desk: Desk) -> None:
    desk.arm("aaaaaaaa", limits={"budget": 0.05})
    desk.arm("bbbbbbbb", limits={"budget": 0.2})
    desk.tracing.share = 0.1
    assert desk.turn() == ["budget"]
    assert list(desk.roster.probes) == ["bbbbbbbb"]
    assert desk.roster.probes["bbbbbbbb"].others_share == 0.1


def test_bytes_that_wait_to_be_packed_count(desk: Desk) -> None:
    desk.arm(limits={"total_bytes": 1_000})
    desk.tracing.undrained = 999
    assert desk.turn() == []
    desk.tracing.undrained = 1_000
    assert desk.turn() == ["full"]


def test_no_more_tasks_than_permitted(desk: Desk) -> None:
    desk.arm(count=2, limits={"concurrent": 1})
    first = desk.tracing.begin()
    assert desk.tracing.begin() is None
    desk.tracing.end(first)
    second = desk.tracing.begin()
    assert desk.turn() == []
    assert desk.tracing.begin() is None
    desk.tracing.end(second)
    assert desk.turn() == ["count"]
    assert len(desk.held.finished()) == 2


def test_a_running_trace_keeps_the_probe_until_it_ends(desk: Desk) -> None:
    desk.arm(count=1)
    trace_id = desk.tracing.begin()
    assert desk.turn(1.0) == []
    assert desk.roster.counters(desk.roster.probes["aaaaaaaa"])["live"] == 1
    desk.tracing.end(trace_id)
    assert desk.turn() == ["count"]


def test_every_reason_has_a_sentence() -> None:
    from tracepatch.probe import REASONS, Probe, sentence

    one = Probe(options_from_wire(probe()))
    for reason in REASONS:
        text, _ = sentence(one, reason)
        assert text
        assert "{" not in text
