"""How an application gets an agent and gets rid of it: import, start, stop, the end of the process."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import msgpack
import pytest

import tracepatch
from agent_helpers import cards, host, log_line, peer, talk
from processes import python_process, wait_for


def run(program: str, **env: str) -> list[str]:
    with python_process(program, env=env) as started:
        assert started.wait() == 0, started.stderr
        return started.lines


def test_import_loads_and_starts_nothing() -> None:
    program = """
import sys, threading
before = set(sys.modules)
import tracepatch
new = {name.partition(".")[0] for name in set(sys.modules) - before}
print(sorted(new & {"zmq", "msgpack", "logging", "socket", "asyncio", "click", "rich"}))
print(threading.active_count())
print(hasattr(sys, "monitoring") and [sys.monitoring.get_tool(n) for n in range(6)])
"""
    loaded, threads, tools = run(program)
    assert loaded == "[]"
    assert threads == "1"
    assert tools in ("False", str([None] * 6))


def test_the_public_names() -> None:
    assert sorted(tracepatch.__all__) == [
        "TraceNode",
        "__version__",
        "asgi",
        "job",
        "start",
        "stop",
        "trace",
        "wsgi",
    ]
    assert set(tracepatch.__all__) <= set(dir(tracepatch))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = tracepatch.nothing


@pytest.mark.parametrize("arguments", [{"service": 5}, {"labels": [1]}, {"packages": "x"}])
def test_bad_arguments_raise_and_start_nothing(runtime_dir, arguments: dict) -> None:
    with pytest.raises(TypeError):
        tracepatch.start(**arguments)
    assert os.listdir(runtime_dir) == []


def test_start_is_idempotent_and_stop_undoes_it(runtime_dir) -> None:
    program = """
import os, sys, threading
import tracepatch
tracepatch.stop()
first = tracepatch.start(service="one")
again = tracepatch.start(service="two")
print(first is again, again.service, [t.name for t in threading.enumerate()][1:], len(os.listdir(sys.argv[1])))
tracepatch.stop()
tracepatch.stop()
print(first.state, first.endpoint, threading.active_count(), len(os.listdir(sys.argv[1])))
other = tracepatch.start(service="three")
print(other is first, other.service, other.state, len(os.listdir(sys.argv[1])))
"""
    with python_process(program, str(runtime_dir)) as started:
        assert started.line() == "True one ['tracepatch'] 2"
        assert started.line() == "disabled None 1 0"
        assert started.line() == "False three dormant 2"
        assert started.wait() == 0
        assert started.stderr == ""
    assert os.listdir(runtime_dir) == []


def test_the_switch_in_the_environment_turns_all_of_it_off(runtime_dir) -> None:
    program = """
import sys, threading
import tracepatch
agent = tracepatch.start(service="x")
print(agent.state, agent.endpoint, threading.active_count(), "zmq" in sys.modules, agent.problem)
tracepatch.stop()
"""
    assert run(program, TRACEPATCH_DISABLE="1") == ["disabled None 1 False TRACEPATCH_DISABLE is set"]
    assert os.listdir(runtime_dir) == []


def test_the_service_is_named_after_what_runs(runtime_dir, tmp_path: Path) -> None:
    program = "import tracepatch; print(tracepatch.start().service)"
    assert run(program) == ["python"]
    script = tmp_path / "my service.py"
    script.write_text(program)
    with python_process(script) as started:
        assert started.line() == "my-service"
    (tmp_path / "shopkeeper").mkdir()
    (tmp_path / "shopkeeper" / "__main__.py").write_text(program)
    runner = "import runpy, sys; sys.path.insert(0, sys.argv[1]); runpy.run_module('shopkeeper', run_name='__main__', alter_sys=True)"
    with python_process(runner, str(tmp_path)) as started:
        assert started.line() == "shopkeeper"


def test_a_forced_core_that_is_missing_is_an_error(runtime_dir) -> None:
    program = "import tracepatch; tracepatch.start()"
    with python_process(program, env={"TRACEPATCH_CORE": "nonsense"}) as started:
        assert started.wait() == 1
        assert "TRACEPATCH_CORE" in started.stderr


def test_the_end_of_the_process_hands_over_to_whoever_is_attached(runtime_dir) -> None:
    with talk(runtime_dir) as (program, peer):
        peer.arm(count=2)
        program.tell("begin")
        program.expect("begin")
        program.tell("exit")
        finished = peer.event("finished")
        assert (finished["status"], finished["reason"]) == ("tripped", "process-exit")
        peer.say("ack", trace_ids=[finished["trace_id"]])
        assert peer.event("ended")["reason"] == "process-exit"
        assert program.wait() == 0
        assert os.listdir(runtime_dir) == []


def test_what_nobody_takes_goes_to_the_spool(runtime_dir) -> None:
    with host(runtime_dir) as (program, endpoint):
        with peer(endpoint) as connected:
            connected.arm(count=2, lease_s=None, tag="night")
        program.tell("trace 5000")
        trace_id = program.expect("trace").split()[1]
        program.tell("exit")
        assert program.wait() == 0
    assert cards(runtime_dir) == {}
    (file,) = (runtime_dir / "spool").iterdir()
    assert (file.name, file.stat().st_mode & 0o777) == (f"{trace_id}.tps", 0o600)
    assert file.parent.stat().st_mode & 0o777 == 0o700
    with file.open("rb") as content:
        unpacker = msgpack.Unpacker(content, raw=False)
        header = unpacker.unpack()
        stream = file.read_bytes()[unpacker.tell() :]
    assert (header["type"], header["trace"]["trace_id"], header["trace"]["tag"]) == (
        "spool",
        trace_id,
        "night",
    )
    assert header["agent"]["service"] == "host"
    assert (header["status"], header["chunks"]) == ("complete", 3)
    assert stream == b"\x90" + b"\0" * 5000 + b"\x91\x0e"


def test_the_end_is_bounded_when_the_controller_does_not_acknowledge(runtime_dir) -> None:
    with talk(runtime_dir) as (program, peer):
        peer.arm(count=1)
        program.tell("trace")
        peer.event("finished")
        program.tell("exit")
        program.expect("leaving")
        assert program.wait(timeout=3) == 0
        assert len(list((runtime_dir / "spool").iterdir())) == 1


def test_the_end_of_an_idle_process_takes_no_time(runtime_dir) -> None:
    program = """
import atexit, time, tracepatch
atexit.register(lambda: print(time.monotonic() - began < 0.7))  # the first one runs last
tracepatch.start()
began = time.monotonic()
"""
    assert run(program) == ["True"]


def test_a_spool_that_cannot_be_written_is_no_error(runtime_dir) -> None:
    (runtime_dir / "spool").touch()
    with host(runtime_dir) as (program, endpoint):
        with peer(endpoint) as connected:
            connected.arm(count=2, lease_s=None)
        program.tell("trace")
        program.expect("trace")
        program.tell("exit")
        assert program.wait() == 0
        assert "lost" in log_line(program, "spool")
    assert os.listdir(runtime_dir) == ["spool"]


def test_a_killed_process_leaves_a_socket_that_refuses(runtime_dir) -> None:
    with host(runtime_dir) as (program, endpoint):
        program.signal(signal.SIGTERM)
        program.wait()
        assert refuses(endpoint)


def refuses(endpoint: str) -> bool:
    import socket

    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(endpoint.removeprefix("ipc://"))
        except ConnectionRefusedError:
            return True
        return False


def test_one_line_in_the_log_at_start(runtime_dir) -> None:
    with host(runtime_dir) as (program, endpoint):
        assert endpoint in log_line(program, "tracepatch INFO")
        wait_for(lambda: len(program.errors) == 1)
