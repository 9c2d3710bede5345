"""Arming, following and collecting over agents that behave, and over some that do not."""

from __future__ import annotations

import itertools
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest

from fake_agent import CLEAN, FakeAgent
from processes import ROOT, python_process, wait_for
from tracepatch_ctl import attachment, client, collection, harvest
from tracepatch_ctl.client import Client, Scope, operator_name
from tracepatch_ctl.events import (
    AgentEnded,
    AgentFault,
    AgentJoined,
    AgentLost,
    AgentRefused,
    Armed,
    End,
    Event,
    Progress,
    TraceChunk,
    TraceFinished,
    TraceStarted,
)
from tracepatch_ctl.request import probe
from tracepatch_ctl.session import Session
from tracepatch_shared.errors import NobodyReached, NoSuchProbe, UsageError
from tracepatch_shared.limits import LEASE_S, RENEW_S, Limits
from tracepatch_shared.messages import pack

Start = Callable[..., FakeAgent]
T = TypeVar("T")

TARGET = ["shop.cart:Cart.checkout"]
FAKE = ROOT / "tests" / "fake_agent.py"


def of(events: list[Event], kind: type[T]) -> list[T]:
    return [event for event in events if isinstance(event, kind)]


def follow(session: Session, *, acknowledge: bool = True) -> tuple[list[Event], End]:
    """Take all events; acknowledge what is to be shown, as the command line does."""
    events = []
    for event in session:
        events.append(event)
        if acknowledge and isinstance(event, TraceFinished) and not event.surplus:
            session.acknowledge(event.trace_id)
    assert isinstance(events[-1], End)
    return events, events[-1]


def arm(**options: Any) -> tuple[list[Event], End]:
    with Client() as reached, reached.arm(TARGET, **options) as session:
        return follow(session)


def until(session: Session, kind: type[T]) -> T:
    """Take events up to the first of a kind."""
    for event in session:
        if isinstance(event, kind):
            return event
    raise AssertionError(f"no {kind.__name__} came")


@pytest.fixture
def quick(monkeypatch):
    """The same clockwork, faster."""
    monkeypatch.setattr(attachment, "RENEW_S", 0.1)
    monkeypatch.setattr(attachment, "SILENT_S", 0.6)
    monkeypatch.setattr(attachment, "ARM_S", 0.6)
    monkeypatch.setattr(attachment, "SCAN_S", 0.1)
    monkeypatch.setattr(attachment, "DRAIN_S", 1.5)
    monkeypatch.setattr(attachment, "SUCCESSOR_S", 0.3)
    monkeypatch.setattr(harvest, "FETCH_S", 0.5)


# -- arming ---------------------------------------------------------------------------------------------------


def test_one_trace_comes_whole_and_the_end_proves_it(fake_agent: Start):
    agent = fake_agent(service="shop", traces=1)
    events, end = arm()
    (armed,), (trace,), (ended,) = of(events, Armed), of(events, TraceFinished), of(events, AgentEnded)
    assert next(event for event in events if not isinstance(event, Progress)) is armed
    assert (armed.matched[0].module, armed.matched_total, armed.joined) == ("m", 1, False)
    assert trace.data == f"shop:{trace.trace_id}:0;shop:{trace.trace_id}:1;".encode()
    assert (trace.status, trace.surplus, trace.cut_off) == ("complete", False, False)
    assert (ended.ended.reason, ended.ended.clean) == ("count", True)
    assert (end.reason, end.asked, end.kept, end.seen, end.clean, end.exit_code) == (
        "count",
        1,
        1,
        1,
        True,
        0,
    )
    assert [(one.agent.service, one.result, one.kept) for one in end.per_agent] == [("shop", "ended", 1)]
    assert agent.acknowledged == [trace.trace_id]
    assert agent.of("disarm") == [], "an agent that served all by itself ends by itself"


def test_the_agent_gets_the_whole_request(fake_agent: Start):
    agent = fake_agent(traces=3)
    arm(
        count=3, ttl_s=60, limits=Limits(max_depth=9), capture={"items": 3}, scope=Scope(lib=("django.*",)), args=False, threads=True,
        force=True, tag="slow",
    )  # fmt: skip
    (request,) = agent.of("arm")
    probe = request["probe"]
    assert probe["limits"]["max_depth"] == 9
    assert (probe["capture"], probe["scope"]) == (
        {"items": 3},
        {"all": False, "lib": ["django.*"], "only": [], "skip": []},
    )
    assert (probe["targets"], probe["count"], probe["ttl_s"], probe["lease_s"]) == (TARGET, 3, 60.0, 10.0)
    assert (probe["args"], probe["threads"], probe["force"]) == (False, True, True)
    assert (probe["tag"], probe["live"]) == ("slow", False)
    assert probe["operator"] == operator_name()


def test_an_agent_that_is_too_old_for_threads_says_nothing_of_them(fake_agent: Start):
    fake_agent(service="old", traces=1, threads=False)
    fake_agent(service="new", traces=1)
    events, _ = arm(count=2, threads=True)
    said = {event.agent.service: event.lowered for event in of(events, Armed)}
    assert said == {
        "new": (),
        "old": ("--threads is newer than this agent: threads and pools' work are not followed",),
    }


@pytest.mark.parametrize(
    "wrong",
    [
        {"targets": []},
        {"targets": ["no good"]},
        {"count": 0},
        {"count": 1001},
        {"ttl_s": 0},
        {"ttl_s": 86401.0},
        {"detach": True},
        {"limits": {"max_calls": -1}},
        {"capture": {"items": "many"}},
    ],
)
def test_what_cannot_be_meant_is_refused_before_anybody_is_reached(runtime_dir, wrong: dict[str, Any]):
    with Client() as reached, pytest.raises(UsageError):
        reached.arm(wrong.pop("targets", TARGET), **wrong)


def test_three_agents_serve_n_together_and_the_rest_is_surplus(fake_agent: Start):
    agents = [fake_agent(service=name, traces=1) for name in "abc"]
    events, end = arm(count=2)
    traces = of(events, TraceFinished)
    assert [trace.surplus for trace in traces] == [False, False, True]
    assert (end.reason, end.kept, end.surplus, end.seen, end.exit_code) == ("count", 2, 1, 3, 0)
    assert {one.reason for one in end.per_agent} == {"disarm"}
    held = [trace_id for agent in agents for trace_id in agent.held]
    assert held == [], "what is beyond N is acknowledged, too"
    assert sorted(agent.acknowledged[0] for agent in agents) == sorted(trace.trace_id for trace in traces)


def test_per_agent_counts_each_for_itself(fake_agent: Start):
    for name in "abc":
        fake_agent(service=name, traces=2)
    events, end = arm(count=2, per_agent=True)
    assert len(of(events, TraceFinished)) == 6
    assert (end.asked, end.kept, end.surplus, end.exit_code) == (6, 6, 0, 0)


def test_pieces_come_as_they_are_made(fake_agent: Start):
    agent = fake_agent()
    with Client() as reached, reached.arm(TARGET, live=True) as session:
        until(session, Armed)
        agent.trace(finish=False, chunks=1)
        started = until(session, TraceStarted)
        chunk = until(session, TraceChunk)
        assert (chunk.trace_id, chunk.seq, chunk.data) == (
            started.trace_id,
            0,
            f"fake:{chunk.trace_id}:0;".encode(),
        )
        session.stop()
        follow(session)


def test_progress_adds_the_agents_up(fake_agent: Start):
    first, second = fake_agent(), fake_agent()
    with Client() as reached, reached.arm(TARGET, count=9) as session:
        until(session, Armed), until(session, Armed)
        for agent in (first, second):
            (probe_id,) = agent.probes
            agent.send(
                {"type": "counters", **agent.counters[probe_id], "seen": 5, "passed_over": 2, "live": 1}
            )
        while (progress := until(session, Progress)).seen < 10:
            pass
        assert (progress.passed_over, progress.live, progress.agents, progress.asked) == (4, 2, 2, 9)
        assert 295 < progress.expires_in_s <= 300


def test_lost_pieces_are_fetched_again(fake_agent: Start):
    agent = fake_agent()
    with Client() as reached, reached.arm(TARGET, count=2) as session:
        until(session, Armed)
        agent.trace(chunks=5, drop=(1, 3))
        trace = until(session, TraceFinished)
        session.stop()
        _, end = follow(session)
    assert trace.data.count(b";") == 5
    assert (trace.cut_off, end.kept) == (False, 1)
    assert agent.of("collect")[0]["trace_ids"] == [trace.trace_id]


def test_pieces_that_are_lost_for_good_leave_what_came_before(fake_agent: Start, quick):
    agent = fake_agent(answers={"collect": lambda message: []})
    with Client() as reached, reached.arm(TARGET) as session:
        until(session, Armed)
        agent.trace(chunks=5, drop=(2,))
        events, end = follow(session)
    (trace,) = of(events, TraceFinished)
    assert (trace.data.count(b";"), trace.cut_off, end.exit_code) == (2, True, 0)


def test_traces_whose_messages_went_elsewhere_are_fetched_at_the_end(fake_agent: Start):
    agent = fake_agent()
    with Client() as reached, reached.arm(TARGET, count=2) as session:
        until(session, Armed)
        real, agent._send = agent._send, lambda message, to=None: None
        agent.trace()
        agent._send = real
        agent.end("ttl")
        events, end = follow(session)
    assert len(of(events, TraceFinished)) == 1
    assert (end.reason, end.kept, end.exit_code) == ("ttl", 1, 5)


# -- refusals and exit codes ----------------------------------------------------------------------------------


def test_all_refused_is_4(fake_agent: Start):
    for _ in range(2):
        fake_agent(refuses=("too-wide", "it matches 812 functions: name fewer, or --force"))
    events, end = arm()
    assert [(event.code, event.message[:10]) for event in of(events, AgentRefused)] == [
        ("too-wide", "it matches")
    ] * 2
    assert (end.reason, end.exit_code, end.kept) == ("refused", 4, 0)
    assert {one.result for one in end.per_agent} == {"refused"}


def test_some_refused_takes_the_code_of_the_rest(fake_agent: Start):
    fake_agent(refuses=("conflict", "debugpy is attached"))
    fake_agent(traces=1)
    events, end = arm()
    assert len(of(events, AgentRefused)) == 1
    assert (end.reason, end.exit_code, end.clean) == ("count", 0, True)


def test_fewer_than_asked_is_5(fake_agent: Start):
    agent = fake_agent(traces=1)
    with Client() as reached, reached.arm(TARGET, count=2) as session:
        until(session, TraceFinished)
        agent.end("ttl", option="--ttl")
        _, end = follow(session)
    assert (end.reason, end.message, end.option) == ("ttl", "ended by ttl", "--ttl")
    assert (end.kept, end.exit_code) == (1, 5)


def test_an_agent_that_is_not_clean_is_said(fake_agent: Start):
    agent = fake_agent()
    with Client() as reached, reached.arm(TARGET) as session:
        until(session, Armed)
        agent.end("internal", clean={**CLEAN, "events": 4, "ok": False})
        _, end = follow(session)
    assert (end.clean, end.reason, end.per_agent[0].ended.events) == (False, "internal", 4)


def test_nobody_says_where_it_looked(runtime_dir: Path):
    with Client() as reached:
        assert reached.agents() == []
        with pytest.raises(NobodyReached, match=f"no agents found; looked in {runtime_dir}"):
            reached.arm(TARGET)
        for operation in (reached.status, reached.disarm, reached.collect):
            with pytest.raises(NobodyReached):
                operation()


def test_nobody_of_those_found_matches(fake_agent: Start):
    fake_agent(service="shop")
    with Client(service="cart*") as reached:
        assert reached.agents() == []
        with pytest.raises(NobodyReached, match=r"none of the 1 agents found matches --service cart\*"):
            reached.arm(TARGET)


def test_all_silent_is_nobody(fake_agent: Start):
    fake_agent(answers={"hello": lambda message: []})
    started = time.monotonic()
    with (
        Client() as reached,
        pytest.raises(NobodyReached, match=r"no agent answered: fake@testhost.* is silent"),
    ):
        reached.arm(TARGET)
    assert time.monotonic() - started < 2


def test_an_endpoint_where_nobody_is(runtime_dir: Path):
    with (
        Client(connect=f"ipc://{runtime_dir}/nobody.sock") as reached,
        pytest.raises(NobodyReached, match="silent"),
    ):
        reached.arm(TARGET)
    with pytest.raises(UsageError, match="not an endpoint"):
        Client(connect="http://shop")
    with (
        Client(connect="tcp://shop") as reached,
        pytest.raises(UsageError, match="'tcp://shop' is not an endpoint"),
    ):
        reached.agents()


# -- detached -------------------------------------------------------------------------------------------------


def test_detached_ends_when_all_answered_and_collect_brings_the_traces(fake_agent: Start):
    agent, refusing = fake_agent(), fake_agent(refuses=("no-room", "memory is short"))
    _, end = arm(detach=True, ttl_s=60, count=2, tag="later")
    assert (end.reason, end.exit_code, end.clean) == ("detached", 0, None)
    assert {(one.result, one.reason) for one in end.per_agent} == {("armed", ""), ("refused", "no-room")}
    assert agent.of("arm")[0]["probe"]["lease_s"] is None
    assert agent.of("disarm") == agent.of("renew") == []
    agent.ends_itself = False
    agent.receiver = b"nobody"
    agent.trace(), agent.trace()
    with Client() as reached, reached.collect([end.probe_id]) as collected:
        traces = of(list(collected), TraceFinished)
        assert collected.found == 2
        assert {trace.data.count(b";") for trace in traces} == {2}
        assert {trace.meta.target for trace in traces} == {"m:f"}
        collected.acknowledge(traces[0].trace_id)
    assert agent.acknowledged == [traces[0].trace_id]
    with Client() as reached, reached.collect() as collected:
        assert [trace.trace_id for trace in of(list(collected), TraceFinished)] == [traces[1].trace_id]
    assert len(agent.held) == 1, "what is not acknowledged stays"
    assert refusing.held == {}


def test_detached_and_all_refused_is_4(fake_agent: Start):
    fake_agent(refuses=("disabled", "the file off is there"))
    _, end = arm(detach=True, ttl_s=60)
    assert (end.reason, end.exit_code) == ("refused", 4)


def test_collect_takes_prefixes_and_fetches_lost_pieces_again(fake_agent: Start):
    agent = fake_agent(ends_itself=False)
    arm(detach=True, ttl_s=60)
    agent.receiver = b"nobody"
    agent.trace(), agent.trace(chunks=4)
    wanted = list(agent.held)[1]
    lossy = agent._send
    dropped: list[int] = []

    def send(message, to=None):
        if isinstance(message, dict) and message.get("seq") == 2 and not dropped:
            dropped.append(2)
            return
        lossy(message, to)

    agent._send = send
    with Client(operator="ann@desk") as reached, reached.collect(trace_ids=[wanted[:7]]) as collected:
        (trace,) = of(list(collected), TraceFinished)
    assert (trace.trace_id, trace.data.count(b";"), dropped) == (wanted, 4, [2])
    assert {message["operator"] for message in agent.of("collect")} == {"ann@desk"}


def test_collect_takes_pieces_that_come_before_the_list(fake_agent: Start):
    agent = fake_agent(ends_itself=False)
    arm(detach=True, ttl_s=60)
    agent.receiver = b"nobody"
    agent.trace()
    real = agent._send
    later: list[tuple[Any, Any]] = []

    def send(message, to=None):
        if isinstance(message, dict) and message["type"] == "collected":
            later.append((message, to))
            return
        real(message, to)
        if message["type"] == "finished":
            real(*later.pop())

    agent._send = send
    with Client() as reached, reached.collect() as collected:
        (trace,) = list(collected)
    assert trace.data.count(b";") == 2


def test_collect_goes_on_without_an_agent_that_stops_in_the_middle(fake_agent: Start, monkeypatch):
    monkeypatch.setattr(collection, "COLLECT_S", 0.3)
    meta = {"trace_id": "0" * 8, "probe_id": "1" * 8}
    fake_agent(answers={"collect": lambda message: [{"type": "collected", "traces": [meta]}]})
    with Client() as reached, reached.collect() as collected:
        (lost,) = list(collected)
    assert isinstance(lost, AgentLost)
    assert lost.reason == "silent"


def spooled_trace(directory: Path, trace_id: str, **header: Any) -> Path:
    """Leave a trace in the spool as an agent does when its process ends."""
    meta = {"trace_id": trace_id, "probe_id": "1" * 8, "target": "m:f", "tag": "t"}
    about = {"agent_id": "a" * 12, "service": "gone", "host": "h", "pid": 9, "state": "dormant", "labels": {}}
    frame = pack(
        {"type": "spool", "agent": about, "trace": meta, "status": "tripped", "reason": "budget", **header}
    )
    (directory / "spool").mkdir(exist_ok=True)
    path = directory / "spool" / f"{trace_id}.tps"
    path.write_bytes(frame + b"the stream")
    return path


def test_traces_of_ended_processes_come_from_their_spool(runtime_dir: Path):
    path, other = spooled_trace(runtime_dir, "0" * 8), spooled_trace(runtime_dir, "1" * 8)
    with Client() as reached, reached.collect() as collected:
        first, _ = of(list(collected), TraceFinished)
        assert (first.data, first.status, first.reason, first.meta.tag) == (
            b"the stream",
            "tripped",
            "budget",
            "t",
        )
        assert (first.agent.service, first.agent.state) == ("gone", "silent")
        collected.acknowledge(first.trace_id)
    assert (path.exists(), other.exists()) == (False, True)
    with Client() as reached, reached.collect(trace_ids=["11"]) as collected:
        assert [trace.trace_id for trace in of(list(collected), TraceFinished)] == ["1" * 8]
    with Client(service="shop") as reached, pytest.raises(NobodyReached):
        reached.collect()


@pytest.mark.parametrize(
    "content", [b"", b"\xc1", b"\x80", pack({"type": "spool", "trace": 5}), b"\xdf\xff\xff\xff\xff"]
)
def test_what_is_no_trace_in_a_spool_is_passed_over(runtime_dir: Path, content: bytes):
    (runtime_dir / "spool").mkdir()
    (runtime_dir / "spool" / "00000000.tps").write_bytes(content)
    (runtime_dir / "spool" / "22222222.tps").symlink_to(spooled_trace(runtime_dir.parent, "2" * 8))
    os.mkfifo(runtime_dir / "spool" / "33333333.tps")
    spooled_trace(runtime_dir, "4" * 8).rename(runtime_dir / "spool" / "55555555.tps")
    with Client() as reached, pytest.raises(NobodyReached):
        reached.collect()


def test_a_trace_that_was_stored_is_taken_out_of_the_spool_too(fake_agent: Start, runtime_dir: Path, quick):
    agent = fake_agent()
    with Client() as reached, reached.arm(TARGET, count=2) as session:
        until(session, Armed)
        agent.trace()
        trace = until(session, TraceFinished)
        agent.end("process-exit")
        until(session, End)
        path = spooled_trace(runtime_dir, trace.trace_id)
        session.acknowledge(trace.trace_id)
    assert not path.exists()


# -- the lease and the loss of agents -------------------------------------------------------------------------


def test_the_lease_is_kept_while_the_caller_is_busy(fake_agent: Start, quick):
    assert (LEASE_S, RENEW_S) == (10.0, 3.0)
    agent = fake_agent()
    with Client() as reached, reached.arm(TARGET) as session:
        until(session, Armed)
        wait_for(lambda: len(agent.of("renew")) >= 4, 5)
        assert agent.of("renew")[0]["probe_ids"] == [session.probe_id]
    times = [
        at
        for at, message in zip(agent.received_at, agent.received, strict=True)
        if message["type"] == "renew"
    ]
    gaps = sorted(after - before for before, after in itertools.pairwise(times))
    assert gaps[0] > 0.05, "not more often than asked"


def test_leaving_the_block_disarms(fake_agent: Start):
    agent = fake_agent()
    with Client() as reached, reached.arm(TARGET) as session:
        until(session, Armed)
    assert agent.probes == {}
    assert agent.of("disarm")[0]["probe_ids"] == [session.probe_id]
    assert list(session) == []


def test_stopping_brings_what_there_is(fake_agent: Start):
    agent = fake_agent()
    with Client() as reached, reached.arm(TARGET, count=5) as session:
        until(session, Armed)
        agent.trace()
        until(session, TraceFinished)
        session.stop()
        session.stop()
        events, end = follow(session)
    assert (end.reason, end.kept, end.clean, end.exit_code) == ("disarm", 1, True, 5)
    assert of(events, AgentEnded)[0].ended.reason == "disarm"


def test_an_interrupt_loses_nothing(fake_agent: Start):
    agent = fake_agent()
    with Client() as reached, reached.arm(TARGET, count=2) as session:
        until(session, Armed)
        interrupt = threading.Timer(0.3, lambda: signal.raise_signal(signal.SIGINT))
        interrupt.start()
        with pytest.raises(KeyboardInterrupt):
            follow(session)
        agent.trace()
        session.stop()
        events, end = follow(session)
    assert (len(of(events, TraceFinished)), end.reason, end.kept) == (1, "disarm", 1)


def test_a_silent_agent_is_lost_and_its_piece_is_shown(fake_agent: Start, quick):
    agent = fake_agent()
    with Client() as reached, reached.arm(TARGET) as session:
        until(session, Armed)
        agent.trace(finish=False)
        until(session, TraceStarted)
        agent.mute = True
        events, end = follow(session)
    (lost,), (trace,) = of(events, AgentLost), of(events, TraceFinished)
    assert lost.reason == "silent"
    assert (trace.status, trace.reason, trace.cut_off) == ("open", "silent", True)
    assert (end.reason, end.kept, end.cut_off, end.clean, end.exit_code) == ("silent", 0, 1, False, 5)


def test_a_killed_process_ends_the_session_within_5_seconds(runtime_dir: Path):
    with python_process(FAKE, str(runtime_dir), "shop") as child, Client() as reached:
        child.line()
        with reached.arm(TARGET, live=True) as session:
            until(session, Armed)
            child.tell("piece")
            until(session, TraceChunk), until(session, TraceChunk)
            child.kill()
            started = time.monotonic()
            events, end = follow(session)
            assert time.monotonic() - started < 5
    (lost,), (trace,) = of(events, AgentLost), of(events, TraceFinished)
    assert (lost.reason, trace.status, trace.reason) == ("process ended", "open", "process ended")
    assert trace.data.count(b";") == 2
    assert (end.reason, end.kept, end.cut_off, end.exit_code) == ("process ended", 0, 1, 5)


def test_a_stopped_process_is_silent_and_the_others_go_on(fake_agent: Start, runtime_dir: Path, quick):
    well = fake_agent(service="well")
    with python_process(FAKE, str(runtime_dir), "stopped") as child, Client() as reached:
        child.line()
        with reached.arm(TARGET) as session:
            until(session, Armed), until(session, Armed)
            child.stop()
            assert until(session, AgentLost).agent.service == "stopped"
            well.trace()
            _, end = follow(session)
    assert (end.reason, end.exit_code, end.clean) == ("count", 0, False)


def test_an_arm_that_a_stopped_process_reads_too_late_does_not_stand(runtime_dir: Path, quick):
    with python_process(FAKE, str(runtime_dir), "stopped") as child, Client() as reached:
        child.line()
        lines = reached.reached()
        child.stop()
        with Session(
            probe(TARGET, operator="x", count=1, ttl_s=60, detach=True, limits=None, capture=None, scope=None, live=False, tag=None),
            chosen=lines, silent=[], scout=None, selection=reached.selection,
        ) as session:  # fmt: skip
            _, end = follow(session)
        assert (end.reason, end.exit_code) == ("silent", 3)
        child.resume()
        child.expect("disarm")
        assert reached.status()[0].probes == ()


def test_a_stopped_process_does_not_hold_up_the_end(fake_agent: Start, runtime_dir: Path, quick):
    well = fake_agent(service="well")
    with python_process(FAKE, str(runtime_dir), "stopped") as child, Client() as reached:
        child.line()
        with reached.arm(TARGET) as session:
            until(session, Armed), until(session, Armed)
            child.stop()
            well.trace()
            started = time.monotonic()
            _, end = follow(session)
        assert time.monotonic() - started < 4
    assert (end.kept, end.exit_code) == (1, 0)


def test_an_agent_that_is_silent_at_first_takes_part_once_it_answers(fake_agent: Start, runtime_dir: Path):
    fake_agent(service="well")
    with python_process(FAKE, str(runtime_dir), "stopped") as child, Client() as reached:
        child.line()
        child.stop()
        with reached.arm(TARGET) as session:
            assert until(session, AgentLost).agent.service == "stopped"
            child.resume()
            assert until(session, AgentJoined).agent.service == "stopped"
            assert until(session, Armed).joined
            child.tell("trace")
            _, end = follow(session)
    assert (end.kept, {one.result for one in end.per_agent}) == (1, {"ended"})


def test_an_agent_that_starts_later_is_armed_with_what_is_left(fake_agent: Start, quick):
    fake_agent(service="shop-1", traces=1)
    with Client(service="shop-*") as reached, reached.arm(TARGET, count=3, ttl_s=60) as session:
        until(session, TraceFinished)
        late = fake_agent(service="shop-2", traces=2)
        other = fake_agent(service="cart")
        joined = until(session, AgentJoined)
        assert joined.agent.service == "shop-2"
        _, end = follow(session)
    assert (end.kept, end.surplus, end.exit_code) == (3, 0, 0)
    probe = late.of("arm")[0]["probe"]
    assert (probe["count"], probe["probe_id"]) == (2, session.probe_id)
    assert 0 < probe["ttl_s"] <= 60
    assert other.of("arm") == []


def test_an_agent_that_is_being_asked_when_the_session_ends_took_no_part(fake_agent: Start, quick):
    first = fake_agent()
    with Client() as reached, reached.arm(TARGET) as session:
        until(session, Armed)
        late = fake_agent(answers={"hello": lambda _: []})
        wait_for(lambda: late.of("hello"), what="hello")
        first.end("ttl")
        _, end = follow(session)
    assert [one.agent.agent_id for one in end.per_agent] == [first.agent_id]
    assert end.clean


def test_a_recycled_worker_has_a_successor(fake_agent: Start, quick, monkeypatch):
    monkeypatch.setattr(attachment, "SUCCESSOR_S", 5.0)
    first = fake_agent()
    with Client() as reached, reached.arm(TARGET) as session:
        until(session, Armed)
        first.end("process-exit")
        first.close()
        until(session, AgentEnded)
        fake_agent(traces=1)
        _, end = follow(session)
    assert (end.reason, end.kept, len(end.per_agent)) == ("count", 1, 2)


def test_a_probe_that_is_gone_was_ended_by_its_lease(fake_agent: Start, quick):
    agent = fake_agent()
    with Client() as reached, reached.arm(TARGET) as session:
        until(session, Armed)
        agent.do(agent.probes.clear)
        _, end = follow(session)
    assert (end.reason, end.clean, end.exit_code) == ("lease", False, 5)


def test_the_session_ends_by_ttl_even_when_the_agent_does_not(fake_agent: Start, quick):
    fake_agent()
    _, end = arm(ttl_s=0.1)
    assert (end.reason, end.option, end.exit_code) == ("ttl", "--ttl", 5)


def test_an_agent_that_does_not_answer_arm_is_silent(fake_agent: Start, quick):
    fake_agent(answers={"arm": lambda message: []})
    events, end = arm()
    assert of(events, AgentLost)[0].reason == "silent"
    assert (end.reason, end.exit_code) == ("silent", 3)


# -- agents that misbehave ------------------------------------------------------------------------------------

NONSENSE = [
    b"",
    b"\xc1",
    ({"type": "unknown"}, b"more"),
    b"\x93\x01\x02\x03",
    {"type": "counters"},
    {"type": "counters", "probe_id": "XX"},
    {"type": "chunk", "probe_id": 7, "trace_id": "0" * 8, "seq": 0, "data": b""},
    {"type": "chunk", "probe_id": "?", "trace_id": "0" * 8, "seq": 0, "data": b""},
    {"type": "ended", "probe_id": "0" * 8, "reason": 5},
    {"type": "renewed", "probes": 5},
    {"type": "disarmed", "ended": 7},
    {"type": "disarmed", "ended": [7]},
    {"type": "error", "code": 5, "message": None},
]


@pytest.mark.parametrize("nonsense", NONSENSE, ids=range(len(NONSENSE)))
def test_nonsense_is_reported_and_left_out(fake_agent: Start, nonsense: Any):
    agent = fake_agent()
    with Client() as reached, reached.arm(TARGET) as session:
        until(session, Armed)
        agent.send(nonsense)
        agent.trace()
        events, end = follow(session)
    assert (end.reason, end.kept) == ("count", 1)
    assert len(of(events, AgentFault)) == (
        0 if isinstance(nonsense, dict) and nonsense.get("probe_id") in (7, "?") else 1
    )


def test_pieces_that_do_not_fit_are_faults(fake_agent: Start, monkeypatch):
    from tracepatch_ctl import assembly

    monkeypatch.setattr(assembly, "MAX_STREAM_BYTES", 100)
    agent = fake_agent()
    with Client() as reached, reached.arm(TARGET) as session:
        until(session, Armed)
        chunk = {
            "type": "chunk",
            "probe_id": session.probe_id,
            "trace_id": "0" * 8,
            "seq": 0,
            "data": b"x" * 101,
        }
        agent.send(chunk)
        assert "larger than the 100 bytes" in until(session, AgentFault).message
        session.stop()
        follow(session)


def test_an_agent_that_talks_nonsense_only_is_lost(fake_agent: Start):
    agent = fake_agent()
    with Client() as reached, reached.arm(TARGET) as session:
        until(session, Armed)
        for _ in range(30):
            agent.send(b"nonsense")
        events, end = follow(session)
    assert (len(of(events, AgentFault)), end.reason, end.exit_code) == (1, "misbehaving", 5)


@pytest.mark.parametrize(
    "answer", [{"type": "hello"}, {"type": "hello", "agent": []}, b"\xc1", {"type": "x", "v": 99}]
)
def test_an_agent_whose_hello_is_nonsense_is_listed_as_misbehaving(fake_agent: Start, answer: Any):
    fake_agent(service="well", traces=1)
    fake_agent(service="odd", answers={"hello": lambda message: [answer]})
    with Client() as reached:
        odd, well = reached.agents()
        assert (odd.state, well.state) == ("misbehaving", "dormant")
        assert odd.reason
        with reached.arm(TARGET) as session:
            _, end = follow(session)
    assert (end.kept, len(end.per_agent)) == (1, 1)


def test_another_version_is_named(fake_agent: Start):
    fake_agent(answers={"hello": lambda message: [{"type": "hello", "v": 99}]})
    with Client() as reached:
        (agent,) = reached.agents()
    assert "protocol version 99" in agent.reason


# -- the other operations -------------------------------------------------------------------------------------


def test_status_targets_extend_and_disarm(fake_agent: Start):
    first, second = fake_agent(service="a"), fake_agent(service="b")
    _, end = arm(detach=True, ttl_s=60, count=2, tag="t")
    with Client() as reached:
        status = sorted(reached.status(), key=lambda one: one.agent.service)
        assert [(one.agent.service, one.agent.state, len(one.probes)) for one in status] == [
            ("a", "waiting", 1),
            ("b", "waiting", 1),
        ]
        probe = status[0].probes[0]
        assert (probe.probe_id, probe.count, probe.tag, probe.detached) == (end.probe_id, 2, "t", True)
        (targets, _) = reached.targets("m:*", limit=3)
        assert (targets.total, targets.matched[0].function, first.of("targets")[0]["limit"]) == (1, "f", 3)
        second.do(second.probes.clear)
        (extended,) = reached.extend(end.probe_id[:6], count=7, ttl_s=90)
        assert (extended.agent.service, extended.probe.count, extended.probe.expires_in_s) == ("a", 7, 90.0)
        assert reached.refusals == []
        (disarmed,) = reached.disarm([end.probe_id])
        assert (disarmed.agent.service, disarmed.ended[0].probe_id, disarmed.ended[0].clean) == (
            "a",
            end.probe_id,
            True,
        )
        with pytest.raises(NoSuchProbe, match="no probe 'ffff'"):
            reached.disarm(["ffff"])
        with pytest.raises(UsageError):
            reached.extend(end.probe_id)


def test_disarm_names_the_operator(fake_agent: Start):
    agent = fake_agent()
    with Client(operator="ann@desk") as reached:
        reached.disarm()
        reached.disarm(everybody=True)
    asked = [(one["probe_ids"], one["operator"], one["everybody"]) for one in agent.of("disarm")]
    assert asked == [(None, "ann@desk", False), (None, "ann@desk", True)]


def test_an_ambiguous_prefix_is_said(fake_agent: Start):
    agent = fake_agent()
    with Client() as reached:
        for probe_id in ("aa000001", "aa000002"):
            agent.probes[probe_id] = {}
            agent.counters[probe_id] = {"probe_id": probe_id, "targets": ["m:f"]}
        with pytest.raises(UsageError, match="'aa' is the beginning of aa000001, aa000002"):
            reached.extend("aa", count=2)


def test_errors_and_silence_of_single_agents_are_kept_apart(fake_agent: Start, monkeypatch):
    monkeypatch.setattr(client, "REQUEST_S", 0.3)
    fake_agent(service="well")
    fake_agent(
        service="off", answers={"status": lambda m: [{"type": "error", "code": "disabled", "message": "off"}]}
    )
    fake_agent(service="mute", answers={"status": lambda m: []})
    fake_agent(service="odd", answers={"status": lambda m: [{"type": "status", "probes": 5}]})
    with Client() as reached:
        assert [one.agent.service for one in reached.status()] == ["well"]
        assert [(one.agent.service, one.code) for one in reached.refusals] == [("off", "disabled")]
        assert sorted((one.service, one.state) for one in reached.unreached) == [
            ("mute", "silent"),
            ("odd", "misbehaving"),
        ]


@pytest.mark.parametrize(
    ("options", "chosen"),
    [
        ({}, "ab"),
        ({"service": "shop-*"}, "a"),
        ({"service": ["shop-*", "cart"]}, "ab"),
        ({"host": "testhost", "pid": 7}, "a"),
        ({"host": "other"}, ""),
        ({"label": "env=prod"}, "a"),
        ({"label": "env"}, "ab"),
        ({"label": ["env=*", "zone=x"]}, "b"),
        ({"agent": "aaaa"}, "a"),
    ],
)
def test_which_agents(fake_agent: Start, options: dict[str, Any], chosen: str):
    fake_agent(service="shop-1", agent_id="a" * 12, pid=7, labels={"env": "prod"})
    fake_agent(service="cart", agent_id="b" * 12, pid=8, labels={"env": "test", "zone": "x"})
    with Client(**options) as reached:
        assert sorted(agent.agent_id[0] for agent in reached.agents()) == list(chosen)


def test_an_agent_that_is_named_by_its_endpoint(fake_agent: Start):
    agent, _ = fake_agent(traces=1), fake_agent(traces=1)
    with Client(connect=str(agent.path)) as reached:
        assert [one.agent_id for one in reached.agents()] == [agent.agent_id]
        with reached.arm(TARGET) as session:
            _, end = follow(session)
    assert len(end.per_agent) == 1


def test_what_an_agent_looks_like_in_json(fake_agent: Start):
    fake_agent(service="shop", labels={"env": "prod"})
    with Client() as reached:
        line = reached.agents()[0].to_json()
    assert set(line) >= {
        "type", "service", "host", "pid", "ppid", "python", "core", "core_reason", "labels", "state", "endpoint", "uptime_s",
    }  # fmt: skip
    assert (line["type"], line["labels"]) == ("agent", {"env": "prod"})


def test_the_operator_without_a_name(monkeypatch):
    import getpass

    def nameless() -> str:
        raise KeyError("getpwuid(): uid not found: 4711")

    monkeypatch.setattr(getpass, "getuser", nameless)
    assert operator_name().startswith(f"uid {os.geteuid()}@")


def test_nothing_is_left_open(fake_agent: Start):
    fake_agent(traces=1)
    arm()
    before = len(os.listdir("/dev/fd"))
    for _ in range(3):
        arm(detach=True, ttl_s=5)
    assert len(os.listdir("/dev/fd")) <= before + 8
    wait_for(lambda: not [one for one in threading.enumerate() if one.name == "tracepatch-session"], 5)
