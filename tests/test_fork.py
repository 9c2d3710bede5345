"""Forks: every child has a fresh, dormant agent of its own, and a dead parent's socket answers nobody."""

from __future__ import annotations

import os
import signal
import sys

import pytest

from agent_helpers import cards, host, peer, talk
from processes import python_process, wait_for
from test_agent_life import refuses

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")


def child_of(program) -> tuple[int, str]:
    program.tell("fork")
    _, pid, agent_id, forks = program.expect("child").split()
    assert forks == "1"
    return int(pid), agent_id


def test_a_child_answers_under_its_own_name(runtime_dir) -> None:
    with talk(runtime_dir) as (program, parent):
        before = parent.arm(count=5)
        assert before["type"] == "armed"
        pid, agent_id = child_of(program)
        try:
            assert agent_id in cards(runtime_dir)
            with peer(f"ipc://{runtime_dir}/{agent_id}.sock") as child:
                answer = child.ask("hello")
                assert answer["agent"]["pid"] == pid
                assert answer["agent"]["ppid"] == program.pid
                assert (answer["agent"]["state"], answer["probes"]) == ("dormant", 0)
                assert child.arm()["type"] == "armed"
            hello = parent.ask("hello")
            assert (hello["agent"]["pid"], hello["probes"]) == (program.pid, 1)
            assert hello["agent"]["agent_id"] != agent_id
        finally:
            os.kill(pid, signal.SIGKILL)


def test_a_killed_parent_refuses_although_its_child_lives(runtime_dir) -> None:
    with talk(runtime_dir) as (program, parent):
        parent.ask("hello")  # a connection that the child inherits, too
        pid, agent_id = child_of(program)
        try:
            endpoint = parent.socket.LAST_ENDPOINT.decode()
            program.child.kill()
            program.child.wait()
            assert refuses(endpoint)
            with peer(f"ipc://{runtime_dir}/{agent_id}.sock") as child:
                assert child.ask("hello")["agent"]["pid"] == pid
        finally:
            os.kill(pid, signal.SIGKILL)


def test_the_childs_end_takes_only_its_own_files_away(runtime_dir) -> None:
    with talk(runtime_dir) as (program, parent):
        before = cards(runtime_dir)
        program.tell("fork exits")
        agent_id = program.expect("child").split()[2]
        wait_for(lambda: agent_id not in cards(runtime_dir))
        assert cards(runtime_dir) == before
        assert parent.ask("hello")["agent"]["pid"] == program.pid


def test_a_child_that_is_gone_at_once_leaves_no_socket(runtime_dir) -> None:
    program = """
import os, tracepatch
tracepatch.start()
for _ in range(20):
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
print(len(os.listdir(os.environ["TRACEPATCH_RUNTIME_DIR"])))
"""
    with python_process(program) as started:
        assert started.expect("2") == "2"


def test_grandchildren(runtime_dir) -> None:
    program = """
import os, sys, tracepatch
agent = tracepatch.start()
for _ in range(3):
    if os.fork():
        os.wait()
        break
    agent._loop.ready.wait(5)
    print(agent.agent_id, agent.state, flush=True)
"""
    with python_process(program) as started:
        lines = [started.line() for _ in range(3)]
        assert len({line.split()[0] for line in lines}) == 3
        assert all(line.endswith(" dormant") for line in lines)
        assert started.wait() == 0
    wait_for(lambda: os.listdir(runtime_dir) == [])


def test_a_forked_multiprocessing_child_cleans_up(runtime_dir) -> None:
    program = """
import multiprocessing, os, tracepatch
def work():
    agent._loop.ready.wait(5)
    print("worker", agent.state, flush=True)
agent = tracepatch.start()
process = multiprocessing.get_context("fork").Process(target=work)
process.start()
process.join()
print("left", len(os.listdir(os.environ["TRACEPATCH_RUNTIME_DIR"])), process.exitcode, flush=True)
"""
    with python_process(program) as started:
        assert started.expect("worker") == "worker dormant"
        assert started.expect("left") == "left 2 0"


def test_a_stopped_agent_stays_stopped_in_a_child(runtime_dir) -> None:
    program = """
import os, threading, tracepatch
tracepatch.start()
tracepatch.stop()
if os.fork() == 0:
    print(threading.active_count(), len(os.listdir(os.environ["TRACEPATCH_RUNTIME_DIR"])), flush=True)
    os._exit(0)
os.wait()
"""
    with python_process(program) as started:
        assert started.line() == "1 0"


def test_a_fork_without_pythons_hooks_is_noticed_by_the_pid(runtime_dir) -> None:
    if not sys.platform.startswith("linux"):
        pytest.skip("calls the C library's fork by its Linux name")
    program = """
import ctypes, os, sys, tracepatch
agent = tracepatch.start()
before = agent.agent_id
if ctypes.PyDLL(None).fork() == 0:
    again = tracepatch.start()
    again._loop.ready.wait(5)
    print(again is agent, agent.agent_id != before, agent.state, flush=True)
    os._exit(0)
os.wait()
"""
    with python_process(program) as started:
        assert started.line() == "True True dormant"


def test_a_fork_while_start_runs_in_another_thread(runtime_dir) -> None:
    program = """
import os, threading, tracepatch, tracepatch.agent as module
module._guard.acquire()
if os.fork() == 0:
    print(tracepatch.start().state, flush=True)
    os._exit(0)
os.wait()
"""
    with python_process(program) as started:
        assert started.line() == "dormant"


def test_daemons_that_close_every_descriptor_survive(runtime_dir) -> None:
    program = """
import os, sys, time, tracepatch
agent = tracepatch.start()
if os.fork() == 0:
    os.closerange(3, 256)
    agent._loop.ready.wait(5)
    print("daemon", agent.state, flush=True)
    os._exit(0)
print("status", os.wait()[1], flush=True)
"""
    with python_process(program) as started:
        assert started.expect("daemon").startswith("daemon ")
        assert started.expect("status") == "status 0"


def test_no_descriptor_of_the_application_is_closed(runtime_dir) -> None:
    program = """
import os, socket, tracepatch
agent = tracepatch.start()
here = os.environ["TRACEPATCH_RUNTIME_DIR"]
server = socket.socket(socket.AF_UNIX); server.bind(here + "/own"); server.listen()
client = socket.socket(socket.AF_UNIX); client.connect(here + "/own")
ours = socket.socket(socket.AF_UNIX); ours.connect(agent.endpoint[6:])
a, b = socket.socketpair(); tcp = socket.socket(); r, w = os.pipe()
if os.fork() == 0:
    print([s.getsockname() is not None and os.fstat(s.fileno()).st_ino > 0 for s in (server, client, ours, a, b, tcp)], flush=True)
    os.write(w, b"x"); print(os.read(r, 1), flush=True)
    os._exit(0)
os.wait()
for s in (server, client, ours, a, b, tcp): s.close()
"""
    with python_process(program) as started:
        assert started.line() == str([True] * 6)
        assert started.line() == "b'x'"


def test_many_forks_under_load(runtime_dir) -> None:
    with host(runtime_dir) as (program, endpoint), peer(endpoint) as connected:
        connected.arm(count=500)
        for _ in range(10):
            program.tell("trace 1000")
            program.tell("fork gone")
        for _ in range(10):
            program.expect("child")
        for _ in range(10):
            assert connected.event("finished")["status"] == "complete"
        assert connected.ask("hello")["probes"] == 1
