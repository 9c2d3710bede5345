"""However one side ends, the other one ends too, in time, and says why."""

from __future__ import annotations

import contextlib
import signal
import time

import pytest

from acceptance_helpers import agent, arming, assert_untouched, dormant, objects, worker
from ctl import ctl, environment
from processes import Process, wait_for
from tracepatch_shared.limits import LEASE_S


@pytest.fixture
def env(runtime_dir, tmp_path):
    return environment(XDG_STATE_HOME=str(tmp_path / "state"))


def of(app: Process) -> tuple[str, str]:
    return "--pid", str(app.pid)


def recording(pid: int, env: dict[str, str]) -> bool:
    return agent(pid, env=env)["state"] == "tracing"


def test_a_process_killed_while_traced(env) -> None:
    with worker() as app, arming(app, "__main__:hang", env=env) as arm:
        app.tell("hang")
        wait_for(lambda: objects("status", *of(app), env=env)[0]["held_bytes"], what="a piece of it sent")
        app.kill()
        killed = time.monotonic()
        assert arm.wait(5) == 5
        assert time.monotonic() - killed < 5
        assert "ended: its process ended" in arm.errors
        assert "NOT proven clean" in arm.errors[-1]
        shown = "\n".join(arm.lines)
        assert "__main__.hang()" in shown
        assert "still running" in shown
        assert "__main__.leaf(number=1) → 2" in shown
        assert ctl("show", "last", env=env).stdout.splitlines()[2:] == arm.lines[2:]


def test_a_process_stopped_while_armed(env) -> None:
    with worker() as app, arming(app, "__main__:hang", "--json", env=env) as arm:
        app.stop()
        stopped = time.monotonic()
        assert arm.wait(LEASE_S + 5) == 5
        assert time.monotonic() - stopped < LEASE_S + 5
        end = arm.lines[-1]
        assert '"type":"end"' in end
        assert '"reason":"silent"' in end
        assert agent(app.pid, env=env)["state"] == "silent"
        app.resume()
        wait_for(lambda: dormant(app.pid, env=env), 3, what="dormant")
        assert_untouched(app)


def test_a_controller_killed_while_armed_and_while_tracing(env) -> None:
    """Two of each at once: the lease is waited for only one time."""
    with contextlib.ExitStack() as stack:
        armed, traced = (stack.enter_context(worker(name)) for name in ("armed", "traced"))
        waiting = stack.enter_context(arming(armed, "__main__:hang", env=env))
        tracing = stack.enter_context(arming(traced, "__main__:work", "__main__:hang", "-n", "999", env=env))
        wait_for(lambda: any(line.startswith("trace ") for line in tracing.lines), what="a finished trace")
        traced.tell("hang")
        wait_for(lambda: recording(traced.pid, env), what="tracing")
        for controller in (waiting, tracing):
            controller.kill()
        killed = time.monotonic()
        for app in (armed, traced):
            wait_for(lambda: dormant(app.pid, env=env), LEASE_S + 3, what="dormant")
            assert_untouched(app)
        assert time.monotonic() - killed < LEASE_S + 3
        collected = objects("collect", *of(traced), env=env)
        assert collected, "what was recorded after the controller had gone"
        roots = {trace["roots"][0]["function"] for trace in collected}
        assert "work" in roots
        assert [one for one in collected if one["status"] != "complete" and "lease" in str(one["reason"])]
        assert objects("collect", *of(traced), env=env) == []


def test_arm_detached_and_collect_later(env, runtime_dir) -> None:
    with worker() as app:
        done = ctl("arm", "__main__:work", "-n", "2", "--detach", "--ttl", "1m", *of(app), env=env)
        assert done.returncode == 0, done.stderr
        wait_for(lambda: dormant(app.pid, env=env), 5, what="dormant")
        assert_untouched(app)
        collected = ctl("collect", *of(app), env=env)
        assert collected.returncode == 0, collected.stderr
        assert collected.stdout.count("__main__.work(count=3) → 6") == 2, collected.stdout
        assert len(objects("traces", env=env)) == 2
        assert list((runtime_dir / "spool").iterdir()) == []
        assert "no agent holds" in ctl("collect", *of(app), env=env).stderr


def test_ctrl_c_disarms(env) -> None:
    with worker() as app, arming(app, "__main__:work", "-n", "900", env=env) as arm:
        wait_for(lambda: any(line.startswith("trace ") for line in arm.lines), what="a finished trace")
        arm.signal(signal.SIGINT)
        assert arm.wait(5) == 130
        assert arm.errors[-1].endswith("clean")
        assert "NOT" not in arm.errors[-1]
        assert dormant(app.pid, env=env)
        assert_untouched(app)
        shown = {line.split()[1] for line in arm.lines if line.startswith("trace ")}
        assert shown == {entry["trace_id"] for entry in objects("traces", "-n", "1000", env=env)}
