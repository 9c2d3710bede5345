"""What controllers can ask a real agent process, and what becomes of what they should not have sent."""

from __future__ import annotations

import os
import time

import msgpack
import pytest

from agent_helpers import cards, host, log_line, peer, probe, talk
from processes import wait_for


def test_hello_says_who_it_is(runtime_dir) -> None:
    with talk(runtime_dir, TRACEPATCH_LABELS="env=prod") as (program, peer):
        answer = peer.ask("hello")
        agent = answer["agent"]
        assert (answer["type"], answer["probes"], answer["finished"]) == ("hello", 0, 0)
        assert (agent["service"], agent["pid"], agent["ppid"]) == ("host", program.pid, os.getpid())
        assert agent["python"].count(".") == 2
        assert (agent["core"], agent["state"], agent["implementation"]) == ("fake", "dormant", "tracepatch")
        assert agent["labels"] == {"env": "prod"}
        assert agent["endpoint"] == f"ipc://{runtime_dir}/{agent['agent_id']}.sock"
        assert 0 < agent["uptime_s"] < 60
        card = cards(runtime_dir)[agent["agent_id"]]
        assert card.keys() == {
            "agent_id",
            "pid",
            "pid_ns",
            "start_time",
            "service",
            "host",
            "version",
            "created",
        }
        assert card["pid"] == program.pid


BAD = {
    "random": os.urandom(200),
    "empty": b"",
    "no map": msgpack.packb([1, 2]),
    "int keys": msgpack.packb({1: 2}),
    "no version": msgpack.packb({"type": "hello", "id": 1}),
    "no type": msgpack.packb({"v": 1, "id": 1}),
    "unknown type": msgpack.packb({"v": 1, "type": "explode", "id": 1}),
    "no id": msgpack.packb({"v": 1, "type": "hello"}),
    "id is text": msgpack.packb({"v": 1, "type": "hello", "id": "1"}),
    "id is huge": msgpack.packb({"v": 1, "type": "hello", "id": 1 << 63}),
    "no probe": msgpack.packb({"v": 1, "type": "arm", "id": 1}),
    "probe is a list": msgpack.packb({"v": 1, "type": "arm", "id": 1, "probe": []}),
    "ids are numbers": msgpack.packb({"v": 1, "type": "renew", "id": 1, "probe_ids": [1]}),
    "ids are a path": msgpack.packb({"v": 1, "type": "ack", "trace_ids": ["../../x"]}),
    "deep": b"\x91" * 100_000 + b"\x90",
    "too large": msgpack.packb({"v": 1, "type": "hello", "id": 1, "filler": b"\0" * (1 << 20)}),
    "an extension": msgpack.packb({"v": 1, "type": "hello", "id": 1, "x": msgpack.ExtType(1, b"xx")}),
    "not utf-8": b"\x83\xa1v\x01\xa4type\xa2\xff\xfe\xa2id\x01",
}


def test_bad_messages_are_answered_and_change_nothing(runtime_dir) -> None:
    with talk(runtime_dir) as (program, peer):
        for what, frame in BAD.items():
            peer.raw(frame)
            answer = peer.next()
            assert answer is not None, what
            assert answer["type"] == "error", what
            assert answer["code"] in {"bad-message", "version"}, (what, answer)
            assert len(answer["message"]) < 300, what
        peer.raw(b"a", b"b", b"c", b"d")
        assert peer.next()["code"] == "bad-message"
        agent = peer.ask("hello")["agent"]
        assert agent["state"] == "dormant"
        assert agent["malformed"] == len(BAD) + 1
        assert not [line for line in program.errors if "WARNING" in line]


def test_a_frame_beyond_all_bounds_costs_only_its_connection(runtime_dir) -> None:
    with host(runtime_dir) as (_, endpoint):
        with peer(endpoint) as huge:
            huge.raw(b"\0" * (8 << 20))
            assert huge.next(0.5) is None
        with peer(endpoint) as other:
            assert other.ask("hello")["agent"]["state"] == "dormant"


WRONG = {
    "probe_id": ["", "AAAAAAAA", "aaaa", "../../etc", 5, None],
    "targets": [[], "shop:1", [5], ["a\nb"], ["x" * 1001], ["a"] * 21],
    "count": [0, -1, 1.5, True, "1", None],
    "ttl_s": [0, -1, float("nan"), float("inf"), "60", True, None],
    "lease_s": [0, -1, float("nan"), "10"],
    "operator": ["", 5, "a\nb", None, "x" * 201],
    "live": [1, "yes"],
    "limits": [[1], {"max_depth": 0}, {"max_bytes": "8"}, {"budget": -1.0}],
    "capture": [{"items": -1}],
    "scope": [[1], {"all": 1}, {"lib": "x"}, {"only": [5]}],
    "args": ["no"],
    "threads": [1, "yes"],
    "tag": ["", 5, "a\x1b[31m"],
}


@pytest.mark.parametrize("field", WRONG)
def test_a_malformed_probe_is_refused_by_name(runtime_dir, field: str) -> None:
    with talk(runtime_dir) as (_, peer):
        for value in WRONG[field]:
            answer = peer.arm(**{field: value})
            assert (answer["type"], answer["code"]) == ("error", "bad-message"), (field, value, answer)
        assert peer.ask("hello")["probes"] == 0


def test_malformed_looks_are_refused(runtime_dir) -> None:
    with talk(runtime_dir) as (_, connected):
        for fields in ({"task": 7}, {"thread": "x" * 1001}, {"limit": "many"}, {"limit": True}):
            assert connected.ask("stacks", **fields)["code"] == "bad-message", fields
        found = connected.ask("stacks", limit=-5, operator="ann@desk")
        assert len(found["threads"]) == 1, "a limit is at least 1"


def test_arm_answers_what_it_matched(runtime_dir) -> None:
    with talk(runtime_dir) as (program, peer):
        answer = peer.arm(targets=["shop:2"], count=3, ttl_s=40)
        assert answer["type"] == "armed"
        assert [entry["function"] for entry in answer["matched"]] == ["handle", "handle"]
        assert (answer["matched_total"], answer["near"], answer["waits_for_import"]) == (2, [], False)
        assert 39 < answer["expires_in_s"] <= 40
        assert peer.ask("hello")["agent"]["state"] == "waiting"
        assert peer.arm(targets=["shop:2"], count=3, ttl_s=40)["type"] == "armed"
        assert peer.ask("hello")["probes"] == 1
        status = peer.ask("status")
        assert [entry["operator"] for entry in status["probes"]] == ["ann@desk"]
        assert "ann@desk" in log_line(program, "tracepatch INFO probe aaaaaaaa armed")
        log_line(program, "tracepatch.audit INFO armed probe=aaaaaaaa operator=ann@desk")


def test_refusals_have_names(runtime_dir) -> None:
    with talk(runtime_dir) as (program, peer):
        too_wide = peer.arm(targets=["shop:51"])
        assert too_wide["code"] == "too-wide"
        assert "51" in too_wide["message"]
        assert "--force" in too_wide["message"]
        assert peer.arm(targets=["compiled"])["code"] == "not-traceable"
        assert peer.arm(targets=["malformed"])["code"] == "usage"
        assert peer.arm(targets=["broken"])["code"] == "internal"
        assert peer.ask("hello")["probes"] == 0
        assert peer.arm("bbbbbbbb", targets=["shop:51"], force=True)["type"] == "armed"
        nothing = peer.arm("cccccccc", targets=["nothing"])
        assert (nothing["type"], nothing["matched_total"], nothing["near"]) == ("armed", 0, ["shop:handle"])
        assert peer.arm("dddddddd", targets=["later", "compiled"])["waits_for_import"] is True
        log_line(program, "WARNING probe aaaaaaaa of ann@desk refused: 51")


def test_ceilings_hold_and_are_said(runtime_dir) -> None:
    with talk(runtime_dir) as (_, peer):
        answer = peer.arm(
            count=5000,
            ttl_s=1e9,
            lease_s=None,
            limits={"concurrent": 17, "budget": 1.0},
            capture={"items": 9999},
        )
        assert answer["type"] == "armed"
        assert answer["limits"]["concurrent"] == 16
        assert answer["limits"]["budget"] == 0.25
        assert answer["limits"]["count"] == 1000
        assert len(answer["lowered"]) == 5
        assert answer["expires_in_s"] == 24 * 3600


def test_the_trace_is_streamed_and_kept_until_acknowledged(runtime_dir) -> None:
    with talk(runtime_dir) as (program, peer):
        peer.arm(count=1)
        program.tell("trace 1000")
        trace_id = program.expect("trace").split()[1]
        chunks = [peer.event("chunk") for _ in range(3)]
        assert [chunk["seq"] for chunk in chunks] == [0, 1, 2]
        assert b"".join(chunk["data"] for chunk in chunks) == b"\x90" + b"\0" * 1000 + b"\x91\x0e"
        finished = peer.event("finished")
        assert (finished["trace_id"], finished["chunks"], finished["status"]) == (trace_id, 3, "complete")
        ended = peer.event("ended")
        assert (ended["reason"], ended["option"]) == ("count", "-n")
        assert ended["clean"] == {
            "events": 0,
            "tool_id_freed": True,
            "hooks": 0,
            "hooked_threads": 0,
            "ok": True,
        }
        assert (ended["counters"]["kept"], ended["counters"]["seen"], ended["counters"]["finished"]) == (
            1,
            1,
            1,
        )
        hello = peer.ask("hello")
        assert (hello["agent"]["state"], hello["probes"], hello["finished"]) == ("dormant", 0, 1)
        peer.say("ack", trace_ids=[trace_id])
        wait_for(lambda: peer.ask("hello")["finished"] == 0)


def test_a_running_trace_is_sent_ten_times_a_second(runtime_dir) -> None:
    with talk(runtime_dir) as (program, peer):
        peer.arm()
        program.tell("begin")
        trace_id = program.expect("begin").split()[1]
        peer.event("chunk")
        for _ in range(5):
            program.tell(f"quietly {trace_id}")
            assert peer.event("chunk", timeout=0.5)["data"] == b"quiet"


def test_another_controller_can_collect(runtime_dir) -> None:
    with host(runtime_dir) as (program, endpoint):
        with peer(endpoint) as first:
            first.arm(count=2, lease_s=None, tag="t1")
            program.tell("trace 10")
            program.expect("trace")
        with peer(endpoint) as second:
            wait_for(lambda: second.ask("hello")["finished"] == 1)
            answer = second.ask("collect", probe_ids=["aaaaaaaa"], trace_ids=None)
            (meta,) = answer["traces"]
            assert (meta["target"], meta["calls"], meta["tag"], meta["bytes"]) == ("shop:handle", 2, "t1", 13)
            assert [second.event("chunk")["seq"] for _ in range(3)] == [0, 1, 2]
            assert second.event("finished")["trace_id"] == meta["trace_id"]
            assert second.ask("collect", probe_ids=["bbbbbbbb"], trace_ids=None)["traces"] == []
            second.ask("collect", probe_ids=None, trace_ids=[meta["trace_id"]])
            assert second.event("chunk")["seq"] == 0
            log_line(program, "tracepatch.audit INFO collected")


def test_a_large_trace_reaches_a_slow_controller_whole(runtime_dir) -> None:
    with talk(runtime_dir) as (program, peer):
        peer.arm(count=200, limits={"concurrent": 1})
        for _ in range(200):
            program.tell("trace 65000")
        program.expect("trace")
        time.sleep(0)
        for _ in range(200):
            assert peer.event("finished", timeout=20)["chunks"] == 3
        assert peer.ask("hello")["agent"]["dropped"] == 0


def test_renewing_moves_the_events_to_whoever_renews(runtime_dir) -> None:
    with host(runtime_dir) as (program, endpoint), peer(endpoint) as first, peer(endpoint) as second:
        first.arm(count=2)
        program.tell("begin")
        program.expect("begin")
        first.event("chunk")
        (counters,) = second.ask("renew", probe_ids=["aaaaaaaa", "bbbbbbbb"])["probes"]
        assert counters["live"] == 1
        assert second.event("chunk")["seq"] == 0
        second.ask("disarm", probe_ids=["aaaaaaaa"], operator="bob", everybody=False)
        assert second.event("ended")["reason"] == "disarm"
        assert second.event("finished")["status"] == "tripped"


def test_extend(runtime_dir) -> None:
    with talk(runtime_dir) as (program, peer):
        peer.arm(count=1, ttl_s=10)
        counters = peer.ask("extend", probe_id="aaaaaaaa", ttl_s=100, count=2)["probe"]
        assert counters["count"] == 2
        assert counters["expires_in_s"] > 90
        for _ in range(3):
            program.tell("trace")
        assert peer.event("ended")["counters"]["kept"] == 2
        assert peer.ask("extend", probe_id="aaaaaaaa", ttl_s=100)["code"] == "no-such-probe"
        assert peer.ask("extend", probe_id="bbbbbbbb", count=0)["code"] == "bad-message"
        assert peer.arm()["code"] == "no-such-probe"


def test_disarm_chooses(runtime_dir) -> None:
    with talk(runtime_dir) as (program, peer):
        for number, operator in enumerate(["ann", "ann", "bob", "eve"]):
            peer.arm(f"0000000{number}", operator=operator)
        by_id = peer.ask("disarm", probe_ids=["00000002", "ffffffff"], operator="ann", everybody=False)[
            "ended"
        ]
        assert [entry["probe_id"] for entry in by_id] == ["00000002"]
        assert by_id[0]["clean"]["ok"]
        mine = peer.ask("disarm", probe_ids=None, operator="ann", everybody=False)["ended"]
        assert [entry["probe_id"] for entry in mine] == ["00000000", "00000001"]
        everybody = peer.ask("disarm", probe_ids=None, operator="ann", everybody=True)["ended"]
        assert everybody[0]["clean"]["tool_id_freed"]
        assert peer.ask("hello")["agent"]["state"] == "dormant"
        log_line(program, "tracepatch.audit INFO disarmed probe=00000003 operator=ann")


def test_lease_and_ttl_end_a_probe(runtime_dir) -> None:
    with talk(runtime_dir) as (_, peer):
        peer.arm("aaaaaaaa", lease_s=0.5)
        peer.arm("bbbbbbbb", lease_s=None, ttl_s=0.6)
        assert peer.event("ended")["reason"] == "lease"
        ended = peer.event("ended")
        assert (ended["reason"], ended["option"]) == ("ttl", "--ttl")
        assert ended["clean"]["ok"]


def test_a_stopped_process_is_dormant_when_it_goes_on(runtime_dir) -> None:
    with talk(runtime_dir) as (program, peer):
        peer.arm(lease_s=0.5)
        program.stop()
        peer.say("renew", id=77, probe_ids=["aaaaaaaa"])
        assert peer.next(0.7) is None
        program.resume()
        assert peer.event("ended")["reason"] == "lease"
        assert peer.ask("hello")["agent"]["state"] == "dormant"


def test_a_renewal_that_waited_too_long_revives_nothing(runtime_dir) -> None:
    with talk(runtime_dir) as (program, peer):
        peer.arm(lease_s=1.0)
        program.tell("hold 2000000")
        program.expect("holding")
        assert peer.next(0.2) is None  # by now it holds
        peer.say("renew", id=77, probe_ids=["aaaaaaaa"])
        assert peer.event("renewed")["probes"] == []
        assert peer.event("ended")["reason"] == "lease"


def test_the_kill_switch_file(runtime_dir) -> None:
    with talk(runtime_dir) as (_, peer):
        peer.arm()
        (runtime_dir / "off").touch()
        assert peer.event("ended", timeout=3)["reason"] == "off"
        refusal = peer.arm("bbbbbbbb")
        assert refusal["code"] == "disabled"
        assert str(runtime_dir / "off") in refusal["message"]
        assert peer.ask("hello")["agent"]["state"] == "disabled"
        (runtime_dir / "off").unlink()
        assert peer.arm("cccccccc")["type"] == "armed"


@pytest.mark.parametrize("broken", ["arm", "drain", "disarm", "release"])
def test_a_bug_of_ours_disarms_everything_and_leaves_it_reachable(runtime_dir, broken: str) -> None:
    with talk(runtime_dir) as (program, peer):
        peer.arm("aaaaaaaa")
        program.tell(f"break {broken}")
        program.expect("broken")
        if broken == "arm":
            assert peer.arm("bbbbbbbb")["code"] == "internal"
        elif broken != "drain":
            peer.ask("disarm", probe_ids=["aaaaaaaa"], operator="x", everybody=False)
        ended = peer.event("ended")
        assert ended["clean"]["ok"] is (broken != "release")
        log_line(program, "Please report it: ZeroDivisionError at")
        program.tell("mend")
        program.expect("mended")
        assert peer.ask("hello")["probes"] == 0
        again = peer.arm("cccccccc")
        assert again["type"] == ("error" if broken == "release" else "armed")
        assert program.child.poll() is None


def test_counters_come_when_they_change(runtime_dir) -> None:
    with talk(runtime_dir) as (program, peer):
        peer.arm(count=2)
        program.tell("trace")
        wait_for(lambda: peer.event("counters")["kept"] == 1)


def test_probes_are_bounded(runtime_dir) -> None:
    with talk(runtime_dir) as (_, peer):
        for number in range(32):
            assert peer.arm(f"{number:08x}")["type"] == "armed"
        assert peer.arm("ffffffff")["code"] == "no-room"


def test_full_ends_the_probe_and_keeps_what_is_there(runtime_dir) -> None:
    with talk(runtime_dir) as (program, peer):
        peer.ask("arm", probe=probe(count=100, lease_s=None, limits={"total_bytes": 100_000}))
        for _ in range(3):
            program.tell("trace 40000")
        ended = peer.event("ended")
        assert ended["reason"] == "full"
        assert ended["counters"]["finished"] >= 2
        held = peer.ask("collect", probe_ids=None, trace_ids=None)["traces"]
        assert len(held) == ended["counters"]["finished"]
        assert peer.arm("bbbbbbbb", limits={"total_bytes": 100_000})["code"] in {"no-room", None}


def test_hello_is_answered_while_the_end_of_a_probe_takes_its_time(runtime_dir) -> None:
    with talk(runtime_dir) as (program, peer):
        peer.arm("aaaaaaaa")
        program.tell("break behind")
        program.expect("broken")
        peer.say("disarm", id=1001, probe_ids=["aaaaaaaa"], operator="x", everybody=False)
        peer.say("status", id=1002)
        assert peer.ask("hello")["probes"] == 0
        assert peer.ask("hello")["type"] == "hello"
        assert not [event for event in peer.events if event.get("re") in (1001, 1002)]
        program.tell("mend")
        program.expect("mended")
        assert peer.event("disarmed")["ended"][0]["probe_id"] == "aaaaaaaa"
        assert peer.event("status")["re"] == 1002
