"""`stacks` against real processes: what threads and tasks of each kind do, while nothing is armed."""

from __future__ import annotations

import contextlib
import json
import re
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ctl import ctl
from processes import TARGETS, Process, python_process, wait_for
from tracepatch import slices, stacks
from tracepatch_ctl import Client
from tracepatch_ctl.standing import AgentStacks, Stack, TaskStack

SITUATIONS = TARGETS / "standing.py"
HERE = {
    found[1]: number
    for number, line in enumerate(SITUATIONS.read_text().splitlines(), 1)
    if (found := re.search(r"# here: (.*)$", line))
}
GROUPS = sys.version_info >= (3, 11)


@contextlib.contextmanager
def standing(situation: str, *args: str) -> Iterator[Process]:
    with python_process(SITUATIONS, situation, *args) as process:
        process.expect("ready")
        yield process


def look(process: Process, **options) -> AgentStacks:
    with Client(pid=str(process.pid)) as client:
        (found,) = client.stacks(**options)
        assert client.refusals == client.unreached == []
        return found


def look_until(process: Process, holds: Callable[[AgentStacks], bool]) -> AgentStacks:
    """Look until all stand where they will."""

    def attempt() -> AgentStacks | None:
        found = look(process)
        return found if holds(found) else None

    return wait_for(attempt)


def all_wait(found: AgentStacks) -> bool:
    return bool(found.tasks) and all(task.state == "waiting" for task in found.tasks)


def lines(stack: Stack) -> list[int]:
    """Return the lines in the program, outermost first."""
    return [frame.line for frame in stack.frames if Path(frame.file) == SITUATIONS]


def named(stacks: AgentStacks) -> dict[str, TaskStack]:
    return {task.name: task for task in stacks.tasks}


@pytest.mark.parametrize("situation", ["chains", "uvloop"])
def test_every_task_with_its_whole_chain(runtime_dir, situation: str) -> None:
    with standing(situation) as process:
        found = look_until(process, all_wait)
        tasks = named(found)
    assert process.lines == ["ready"], "no method of the application's tasks was called"
    assert found.tasks_total == len(found.tasks)
    assert found.not_shown == {}
    waits = {name: task.waits_for for name, task in tasks.items()}
    assert lines(tasks["customer"]) == [HERE["customer"], HERE["consume"], HERE["lock"]]
    assert tasks["customer"].coroutine == "customer"
    assert tasks["customer"].frames[-1].function == "Lock.acquire"
    assert (waits["customer"].call, waits["customer"].type) == ("asyncio.Lock.acquire", "_asyncio.Future")
    assert (lines(tasks["reader"]), waits["reader"].call) == ([HERE["get"]], "asyncio.Queue.get")

    assert (lines(tasks["awaiter"]), waits["awaiter"].tasks) == ([HERE["task"]], ("reader",))
    assert (lines(tasks["gatherer"]), waits["gatherer"].call) == ([HERE["gather"]], "asyncio.gather")
    assert (lines(tasks["secretive"]), waits["secretive"].type) == ([HERE["future"]], "__main__.LoudFuture")
    assert (waits["gatherer"].tasks, waits["gatherer"].count) == (("customer", "reader"), 2)
    assert {"awaiter", "gatherer"} <= set(tasks["reader"].awaited_by)
    assert "gatherer" in tasks["customer"].awaited_by

    assert "password=[redacted]" in tasks
    assert waits["password=[redacted]"].call == "asyncio.sleep"
    if GROUPS:
        assert tasks["member"].awaited_by == ("group",)
        assert waits["group"].call == "asyncio.TaskGroup.__aexit__"
    if sys.version_info >= (3, 12):
        assert lines(tasks["eager"]) == [HERE["nap"]]
    (thread,) = found.threads
    if situation == "chains":
        assert tasks["loud one"].cls == "__main__.Loud"
        assert lines(tasks["loud one"]) == [HERE["nap"]]
        assert (thread.loop, thread.idle, thread.main) == (tasks["reader"].loop, "event loop", True)
        assert tasks["reader"].thread == thread.ident
    else:
        assert tasks["reader"].loop == "uvloop.Loop"


def test_tasks_that_cannot_be_listed_without_their_own_code_are_said(runtime_dir) -> None:
    with standing("louder") as process:
        found = look_until(process, lambda found: bool(found.notes) or all_wait(found))
    assert process.lines == ["ready"]
    if sys.version_info >= (3, 14):
        (note,) = found.notes
        assert "Louder.done" in note
    else:
        assert lines(named(found)["loud one"]) == [HERE["nap"]]


def test_a_hung_loop(runtime_dir) -> None:
    with standing("hung") as process:
        found = look_until(process, lambda found: lines(named(found)["stuck"])[-1:] == [HERE["compute"]])
        tasks = named(found)
    assert tasks["stuck"].state == "running"
    assert lines(tasks["stuck"]) == [HERE["stuck"], HERE["compute"]]
    assert (tasks["beside"].state, lines(tasks["beside"])) == ("waiting", [HERE["nap"]])
    (thread,) = found.threads
    assert (thread.task, thread.idle, thread.ident) == ("stuck", None, tasks["stuck"].thread)
    assert lines(thread)[-2:] == [HERE["stuck"], HERE["compute"]]


def test_a_loop_that_computes_without_end(runtime_dir) -> None:
    with standing("busy") as process:
        spins = (HERE["spin"] - 1, HERE["spin"])
        (task,) = look_until(process, lambda found: lines(found.tasks[0])[-1] in spins).tasks
    assert (task.state, len(task.frames)) == ("running", 1)


def test_many_tasks_are_bounded_and_the_odd_one_is_there(runtime_dir) -> None:
    with standing("many", "10000") as process:
        found = look(process)
        few = look(process, limit=3)
        text = ctl("stacks", "--pid", str(process.pid)).stdout
        odd = ctl("stacks", "--pid", str(process.pid), "--task", "the odd*").stdout
        all_of_them = look(process, limit=10_000)
    assert (found.tasks_total, len(found.tasks)) == (10_002, 500)
    assert found.not_shown == {"napper": 9_502}
    assert {task.coroutine for task in few.tasks} == {"napper", "reader", "many.<locals>.main"}
    if not all_of_them.notes:
        assert len(all_of_them.tasks) == 10_000
    else:  # a machine that is busy
        assert "not all: more than was read in" in all_of_them.notes[0]
    assert len(all_of_them.tasks) + sum(all_of_them.not_shown.values()) == 10_002
    assert "×498 tasks 'Task-" in text
    assert "9502 more tasks not shown: ×9502 napper; --limit shows more" in text
    assert len(text.splitlines()) < 20
    assert "task 'the odd one' · waits for asyncio.Queue.get" in odd
    assert "10001 tasks not chosen by --task" in odd
    assert "napper" not in odd


def test_threads(runtime_dir) -> None:
    with standing("threads") as process:
        found = look_until(process, lambda found: len(found.threads) == 8 and all_wait(found))
        text = ctl("stacks", "--pid", str(process.pid), "--thread", "pool*").stdout
        chosen = look(process, thread="wait*")
    threads = {thread.name: thread for thread in found.threads}
    function = "threads.<locals>.wait_for_it" if GROUPS else "wait_for_it"
    assert (threads["waiter"].daemon, threads["MainThread"].daemon) == (True, False)
    assert [frame.function for frame in threads["waiter"].frames][-4:] == [function] * 4
    assert lines(threads["waiter"])[-1] == HERE["held"]
    assert (len(threads["deep"].frames), lines(threads["deep"])[-1]) == (100, HERE["held"])
    assert threads["deep"].left_out > 300
    assert threads["other loop"].loop == "asyncio.unix_events._UnixSelectorEventLoop"
    assert found.threads[0].name == "MainThread"
    assert threads["pool_0"].idle == "executor"
    assert threads["waiter"].idle is None
    assert "tracepatch" not in threads
    assert "×4 threads 'pool_0' … 'pool_3' · idle (executor)" in text
    assert [thread.name for thread in chosen.threads] == ["waiter"]


def test_trio(runtime_dir) -> None:
    with standing("trio") as process:
        found = look_until(process, all_wait)
    tasks = named(found)
    assert {task.kind for task in found.tasks} == {"trio"}
    assert lines(tasks["child"]) == [HERE["child"]]
    assert tasks["child"].waits_for.call == "trio.Lock.acquire"
    assert (lines(tasks["nap"]), tasks["nap"].waits_for.call) == ([HERE["trio nap"]], "trio.sleep")
    assert tasks["nap"].awaited_by == ("__main__.trio.<locals>.main",)
    (thread,) = found.threads
    assert (thread.loop, thread.idle) == ("trio", "event loop")


def test_tasks_that_go_on_while_they_are_read(runtime_dir) -> None:
    with standing("restless") as process, Client(pid=str(process.pid)) as client:
        for _ in range(30):
            (found,) = client.stacks()
            assert client.unreached == client.refusals == []
            for task in found.tasks:
                functions = [frame.function.rpartition(".")[2] for frame in task.frames]
                # Whatever moment it was: one of the two, from its root on, without a hole.
                assert functions[0] in ("short", "main")
                assert functions[0] == "main" or set(functions) <= {"short", "sleep", "__sleep0"}
        assert process.child.poll() is None


def test_nothing_is_armed_by_looking(runtime_dir) -> None:
    with standing("chains") as process:
        look(process)
        with Client(pid=str(process.pid)) as client:
            (agent,) = client.agents()
            (status,) = client.status()
    assert (agent.state, status.probes) == ("dormant", ())


def test_objects(runtime_dir) -> None:
    with standing("hung") as process:
        look_until(process, lambda found: len(found.tasks) == 3)
        done = ctl("stacks", "--pid", str(process.pid), "--json")
    forms = [json.loads(line) for line in done.stdout.splitlines()]
    assert [form["type"] for form in forms] == ["thread", "task", "task", "task", "stacks"]
    assert forms[-1]["tasks"] == forms[-1]["tasks_shown"] == 3
    assert done.returncode == 0


def test_an_older_agent_says_so(fake_agent) -> None:
    agent = fake_agent(service="old")
    agent.answers["stacks"] = lambda message: [
        {
            "type": "error",
            "code": "bad-message",
            "message": "'stacks' is no type of request that is known here",
        }
    ]
    done = ctl("stacks", "--connect", f"ipc://{agent.path}")
    assert done.returncode == 4
    assert done.stdout == ""
    assert "does not know `stacks`: it is older than this command" in done.stderr


@pytest.mark.parametrize(
    "answer",
    [
        {"codes": [["f"]]},
        {"threads": [{"ident": 1, "frames": [[0, 1]]}]},
        {"tasks": [7]},
        {"tasks": [{"state": "waiting", "frames": [["f", 1]]}]},
        {"not_shown": {"f": "many"}},
    ],
)
def test_a_malformed_answer_is_an_agents_fault(fake_agent, answer: dict) -> None:
    agent = fake_agent(service="odd")
    agent.answers["stacks"] = lambda message: [{"type": "stacks", **answer}]
    with Client(connect=f"ipc://{agent.path}") as client:
        assert client.stacks() == []
        (fault,) = client.unreached
        assert fault.state == "misbehaving"


@pytest.fixture
def waiting_threads() -> Iterator[None]:
    """Two threads besides this one."""
    gate = threading.Event()
    threads = [threading.Thread(target=gate.wait) for _ in range(2)]
    for thread in threads:
        thread.start()
    yield
    gate.set()
    for thread in threads:
        thread.join()


def test_the_answer_is_bounded_in_bytes_and_says_so(waiting_threads, monkeypatch) -> None:
    monkeypatch.setattr(stacks, "MAX_BYTES", 1)
    found = stacks.Stacks().to_wire()
    assert len(found["threads"]) == 1 < found["threads_total"]
    assert found["notes"][0].startswith("this is not all: more than the 0 MiB")


def test_the_time_is_bounded_and_said(waiting_threads) -> None:
    clock = iter(range(10_000))
    found = stacks.Stacks(clock=lambda: float(next(clock))).to_wire()
    assert len(found["threads"]) == 0 < found["threads_total"]
    assert "this is not all: more than was read in 3 s" in found["notes"][0]


def test_the_application_gets_its_turn_between_slices(waiting_threads, monkeypatch) -> None:
    breaths = []

    class Flag:
        def wait(self, timeout_s: float) -> None:
            breaths.append(timeout_s)

    monkeypatch.setattr(slices.primitives, "Flag", Flag)
    now = iter(n * slices.SLICE_S for n in range(10_000))
    found = stacks.Stacks(clock=lambda: next(now)).to_wire()
    assert len(found["threads"]) == found["threads_total"]
    assert len(breaths) >= 2
