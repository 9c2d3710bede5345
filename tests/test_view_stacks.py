"""The text of `stacks`: what is alike together, what is stuck first, nothing that a terminal obeys."""

from __future__ import annotations

from dataclasses import replace

from tracepatch_ctl.reports import Agent
from tracepatch_ctl.standing import AgentStacks, Frame, TaskStack, ThreadStack, WaitsFor
from tracepatch_ctl.view.stacks import draw

AGENT = Agent(
    agent_id="a",
    service="shop",
    host="web-1",
    pid=7,
    endpoint="",
    state="dormant",
    labels={},
    python="3.13.0",
)
SLEEP = Frame("sleep", "/usr/lib/python3.13/asyncio/tasks.py", 718)
TASK = TaskStack(
    frames=(Frame("work", "/srv/app/jobs.py", 31), SLEEP),
    left_out=0,
    name="Task-1",
    kind="asyncio",
    cls="_asyncio.Task",
    coroutine="work",
    state="waiting",
    thread=1,
    loop="uvloop.Loop",
    cancelling=False,
    waits_for=WaitsFor(call="asyncio.sleep", type="_asyncio.Future", tasks=(), count=0),
    awaited_by=(),
)
THREAD = ThreadStack(
    frames=(Frame("main", "/srv/app/__main__.py", 3),),
    left_out=0,
    ident=1,
    native_id=1,
    name="MainThread",
    daemon=False,
    main=True,
    loop="uvloop.Loop",
    task=None,
    idle="event loop",
)


def text(*tasks: TaskStack, threads: tuple[ThreadStack, ...] = (THREAD,), **fields) -> str:
    found = AgentStacks(
        agent=AGENT,
        threads=threads,
        threads_total=len(threads),
        tasks=tasks,
        tasks_total=len(tasks) + fields.pop("more", 0),
        took_ns=1_500_000,
        **fields,
    )
    return "\n".join(draw(found))


def test_the_whole() -> None:
    stuck = replace(
        TASK,
        name="stuck",
        state="running",
        waits_for=None,
        awaited_by=("main",),
        frames=(TASK.frames[0], *[Frame("fib", "/srv/app/fib.py", 4)] * 3),
    )
    alike = [replace(TASK, name=f"Task-{number}") for number in (10, 9, 100)]
    assert (
        text(
            *alike,
            stuck,
            threads=(replace(THREAD, idle=None, task="stuck"),),
            more=9_000,
            not_shown={"work": 8_999},
            notes=("greenlets are not shown",),
        )
        == """\
shop@web-1 pid 7 · Python 3.13.0 · 1 thread · 9004 tasks · read in 1.5 ms

thread 'MainThread' · loop uvloop.Loop · runs task 'stuck'

task 'stuck' · running · awaited by 'main'
    work  /srv/app/jobs.py:31
    fib   /srv/app/fib.py:4  ×3

×3 tasks 'Task-9' … 'Task-100' · waits for asyncio.sleep
    work   /srv/app/jobs.py:31
    sleep  asyncio/tasks.py:718

8999 more tasks not shown: ×8999 work; --limit shows more

1 task not chosen by --task
(greenlets are not shown)"""
    )


def test_frames_of_a_running_task_that_is_not_shown_stand_at_its_thread() -> None:
    assert "    main  /srv/app/__main__.py:3" in text(threads=(replace(THREAD, idle=None, task="stuck"),))


def test_what_a_task_waits_for() -> None:
    gather = WaitsFor(call="asyncio.gather", type="_GatheringFuture", tasks=("a", "b"), count=7)
    assert "waits for asyncio.gather: tasks 'a', 'b' and 5 more" in text(replace(TASK, waits_for=gather))
    other = WaitsFor(call=None, type="_asyncio.Task", tasks=("a",), count=1)
    assert "waits for task 'a'" in text(replace(TASK, waits_for=other))
    plain = WaitsFor(call=None, type="_asyncio.Future", tasks=(), count=0)
    assert "waits for Future\n" in text(replace(TASK, waits_for=plain))
    assert "trio task 'Task-1' · ready · being cancelled" in text(
        replace(TASK, kind="trio", cls="trio._core._run.Task", state="ready", waits_for=None, cancelling=True)
    )


def test_frames_left_out_and_equal_ones() -> None:
    deep = tuple(Frame("fib", "/srv/app/fib.py", 4) for _ in range(99))
    lines = text(replace(TASK, frames=(*deep, SLEEP), left_out=2_000)).splitlines()
    assert "    fib    /srv/app/fib.py:4  ×30" in lines
    assert "    … 2000 frames not shown" in lines
    assert "    fib    /srv/app/fib.py:4  ×69" in lines


def test_names_cannot_reach_the_terminal() -> None:
    hostile = "\x1b[2J\u202e"
    ready = replace(TASK, state=hostile, waits_for=None)
    shown = text(
        ready,
        replace(
            TASK,
            name=hostile,
            cls=hostile,
            kind=hostile,
            awaited_by=(hostile,),
            waits_for=WaitsFor(call=hostile, type=hostile, tasks=(hostile,), count=1),
            frames=(Frame(hostile, hostile, 1),),
        ),
        threads=(replace(THREAD, name=hostile, loop=hostile, task=hostile, idle=hostile),),
        not_shown={hostile: 1},
        notes=(hostile,),
    )
    assert "\x1b" not in shown
    assert "\u202e" not in shown
