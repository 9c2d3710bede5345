"""`--slower-than` on a process that serves 200 requests at a time, of which one in a hundred is slow."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from acceptance_helpers import arming
from agent_helpers import Peer, cards, peer
from ctl import environment
from processes import TARGETS, Process, python_process, wait_for
from tracepatch_shared.tree import TraceReader

HANDLE = "__main__:handle"


@pytest.fixture
def env(runtime_dir, tmp_path):
    return environment(XDG_STATE_HOME=str(tmp_path / "state"))


@contextlib.contextmanager
def serving(runtime_dir) -> Iterator[tuple[Process, str]]:
    """Run the process; yield it and its agent's endpoint."""
    with python_process(
        TARGETS / "slow_few.py", "few", env={"TRACEPATCH_RUNTIME_DIR": str(runtime_dir)}
    ) as app:
        app.expect("up")
        (agent_id,) = wait_for(lambda: list(cards(runtime_dir)))
        yield app, f"ipc://{runtime_dir}/{agent_id}.sock"


def state(app: Process) -> dict[str, int]:
    app.tell("state")
    return json.loads(app.expect("{"))


def run(app: Process, count: int) -> None:
    app.tell(f"run {count}")
    app.expect("done", 120)


def counters(connection: Peer) -> dict[str, Any]:
    (probe,) = connection.ask("status")["probes"]
    return probe


def roots(messages: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the roots of the traces whose pieces are among the messages."""
    readers: dict[str, TraceReader] = {}
    for message in messages:
        if message["type"] == "chunk":
            readers.setdefault(message["trace_id"], TraceReader()).feed(message["data"])
    return {trace_id: reader.trace.roots[0] for trace_id, reader in readers.items()}


def test_only_slow_ones_come_and_the_others_cost_no_message(runtime_dir) -> None:
    with serving(runtime_dir) as (app, endpoint), peer(endpoint) as connection:
        answer = connection.arm(
            targets=[HANDLE],
            count=1000,
            ttl_s=600.0,
            keep="duration > 200ms",
            limits={"concurrent": 16, "budget": 0.25},
        )
        assert (answer["type"], answer["keep"]) == ("armed", "duration > 200ms")
        run(app, 10_000)
        settled = wait_for(lambda: (found := counters(connection))["live"] == 0 and found)
        while message := connection.next(0.5):
            connection.events.append(message)
        messages = connection.events
        assert {message["type"] for message in messages} <= {"chunk", "finished", "counters"}
        about = [message["trace_id"] for message in messages if message["type"] in ("chunk", "finished")]
        found = roots(messages)
        assert set(about) == set(found)
        assert len(found) == settled["kept"] > 0
        assert all(root.wall_ns > 200e6 for root in found.values())
        assert settled["seen"] == 10_000
        assert settled["kept"] + settled["not_kept"] + settled["passed_over"] == 10_000
        assert settled["not_kept"] > settled["kept"]
        assert settled["nearest"]["value"] < 0.2


def test_nothing_is_left_of_thousands_that_were_dropped(runtime_dir) -> None:
    with serving(runtime_dir) as (app, endpoint), peer(endpoint) as connection:
        connection.arm(
            targets=[HANDLE],
            count=3,
            ttl_s=600.0,
            keep="duration > 50s and error",
            limits={"concurrent": 16, "budget": 0.25},
        )
        dropped = 0
        while dropped < 3_000:
            run(app, 10_000)
            dropped = counters(connection)["not_kept"]
        wait_for(lambda: counters(connection)["live"] == 0)
        assert state(app) == {"recordings": 0, "held_bytes": 0, "traces": 0, "slots": 16, "permits": 3}
        (ended,) = connection.ask("disarm", probe_ids=["aaaaaaaa"], operator="ann@desk", everybody=False)[
            "ended"
        ]
        assert (ended["clean"]["ok"], ended["counters"]["kept"]) == (True, 0)
        assert not any(message["type"] in ("chunk", "finished") for message in connection.events)


def test_the_command_line_says_what_became_of_the_others(runtime_dir, env) -> None:
    with (
        serving(runtime_dir) as (app, _),
        arming(app, HANDLE, "-n", "2", "--slower-than", "200ms", "--budget", "25", env=env) as arm,
    ):
        while arm.child.poll() is None:
            run(app, 2_000)
        assert arm.wait() == 0
        assert len(re.findall(r"^trace ", "\n".join(arm.lines), re.M)) == 2
        (end,) = [line for line in arm.errors if " kept, " in line]
        assert re.match(
            r"2 of 2 kept, \d+ seen, \d+ passed over \(--concurrent\), \d+ not kept: slowest [\d.]+ ms; ", end
        ), end
        assert_untouched_but_for(app)


def assert_untouched_but_for(app: Process) -> None:
    assert wait_for(lambda: not any(state(app).values()))


def test_where_nothing_was_kept_one_option_is_named(runtime_dir, env) -> None:
    with (
        serving(runtime_dir) as (app, _),
        arming(
            app,
            HANDLE,
            "--slower-than",
            "4s",
            "--concurrent",
            "16",
            "--sample",
            "1/50",
            "--budget",
            "25",
            "--ttl",
            "6s",
            env=env,
        ) as arm,
    ):
        while arm.child.poll() is None:
            run(app, 200)
        assert arm.wait() == 5
        (end,) = [line for line in arm.errors if " kept, " in line]
    assert re.search(
        r"0 of 1 kept, .*, \d+ sampled out \(--sample\), \d+ not kept: slowest .*; try --sample 1/5;", end
    ), end
