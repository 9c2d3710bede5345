"""`job:` targets: real workers of real task queues, the command line."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ctl import COMMAND, ctl, environment
from processes import TARGETS, process, wait_for
from targets import queues

WORKERS = [
    ("celery", "prefork", 3),
    ("huey", "thread", 1),
]
"""Library, pool, processes."""
if os.environ.get("TRACEPATCH_FRAMEWORKS"):  # make frameworks
    WORKERS += [("celery", "threads", 1), ("celery", "solo", 1), ("huey", "process", 3)]
    WORKERS += [("rq", "simple", 1), ("dramatiq", "threads", 1), ("arq", "asyncio", 1)]
ON_REDIS = ("rq", "dramatiq", "arq")


@pytest.fixture
def env(runtime_dir: Any, tmp_path: Path) -> dict[str, str]:
    return environment(XDG_STATE_HOME=str(tmp_path / "state"), PYTHONWARNINGS="ignore")


@contextlib.contextmanager
def redis(folder: Path) -> Iterator[None]:
    """Run a server whose socket is in this folder."""
    server = shutil.which("redis-server")
    if server is None:
        pytest.skip("there is no redis-server (Debian: apt-get install redis-server)")
    socket = folder / "redis.sock"
    with process([server, "--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", str(folder)]):
        wait_for(socket.exists, 20, what="redis-server")
        yield


@contextlib.contextmanager
def working(
    library: str, pool: str, processes: int, folder: Path, env: dict[str, str]
) -> Iterator[queues.Send]:
    """Run a worker until all its processes can be armed; yield what sends it jobs."""
    pytest.importorskip(library)
    with contextlib.ExitStack() as stack:
        if library in ON_REDIS:
            stack.enter_context(redis(folder))
        yield stack.enter_context(worker(library, pool, processes, folder, env))


@contextlib.contextmanager
def worker(
    library: str, pool: str, processes: int, folder: Path, env: dict[str, str]
) -> Iterator[queues.Send]:
    command = [sys.executable, str(TARGETS / "queues.py"), library, pool, str(folder), f"shop-{os.getpid()}"]
    with process(command, env=env, cwd=folder) as running:
        running.expect("up")
        send = queues.sender(library, str(folder))
        send("touch", str(folder / "works"))
        wait_for((folder / "works").exists, 60, what="a worker")
        wait_for(lambda: len(agents(env)) >= processes, 30, what="its processes")
        try:
            yield send
        finally:
            if pool == "process":  # Huey's outlive a consumer that is killed
                running.signal(signal.SIGTERM)
                running.wait()


def agents(env: dict[str, str]) -> list[dict[str, Any]]:
    done = ctl("agents", "--service", f"shop-{os.getpid()}", "--json", env=env)  # 1 while one of them begins
    found = [json.loads(line) for line in done.stdout.splitlines()]
    return [one for one in found if one["type"] == "agent" and one["state"] != "silent"]


def traced(env: dict[str, str], *words: str, send: Any) -> list[dict[str, Any]]:
    """Arm all processes of the worker, call `send`, and return what came."""
    command = [
        *COMMAND,
        "arm",
        *words,
        "--service",
        f"shop-{os.getpid()}",
        "--json",
        "--ttl",
        "20s",
        "--budget",
        "25%",
    ]
    with process(command, env=env) as arm:
        ready = len(agents(env))
        wait_for(
            lambda: sum('"armed"' in line for line in arm.lines) >= ready or arm.child.poll() is not None,
            what="armed",
        )
        send()
        assert arm.wait(30) == 0, (arm.stderr, arm.lines)
        came = [json.loads(line) for line in arm.lines]
    end = came[-1]
    assert (end["type"], end["clean"]) == ("end", True)
    return [one for one in came if one["type"] == "trace"]


def functions(trace: dict[str, Any]) -> list[str]:
    found = list(trace["roots"])
    for node in found:
        found += node["children"]
    return [node["function"].rpartition(".")[2] for node in found]


@pytest.mark.parametrize(
    ("library", "pool", "processes"), WORKERS, ids=["-".join(row[:2]) for row in WORKERS]
)
def test_jobs(library: str, pool: str, processes: int, env: dict[str, str], tmp_path: Path) -> None:
    with working(library, pool, processes, tmp_path, env) as send:

        def mixed() -> None:
            for number in range(8):
                send("send_email", number, subject="news" if number % 2 else "late")
                send("recover", number)

        where = 'args[0] in (3, 5) and subject == "news" and id is not None and endswith(name, "send_email")'
        found = traced(env, "job:send_*", "--where", where, "-n", "2", send=mixed)
        root = "__main__" if library == "arq" else library  # arq has no entry of its own
        assert {trace["roots"][0]["module"].partition(".")[0] for trace in found} == {root}
        assert len(found) == 2
        for trace in found:
            assert functions(trace)[-2:] == ["send_email", "render"], functions(trace)
            assert functions(trace).count("render") == 1
            assert trace["task"]["kind"] == "job"
            assert trace["task"]["name"].endswith(".send_email")
            assert trace["task"]["id"]
            assert trace["task"]["queue"]
            assert trace["status"] == "complete"

        def failing() -> None:
            for name in ("send_email", "recover", "refuse", "recover"):
                send(name, 1)

        (trace,) = traced(env, "job:*", "--errors", send=failing)
        assert trace["task"]["name"].endswith(".refuse")
        assert "refuse" in functions(trace)

        if (
            library == "celery"
        ):  # what is run at once inside another job is a part of it, its failure is its own
            (trace,) = traced(
                env, "job:outer", "job:refuse", "--keep", "calls > 3", send=lambda: send("outer", 1)
            )
            assert trace["task"]["name"].endswith(".outer")
            assert (trace["task"]["failed"], "refuse" in functions(trace)) == (False, True)

        found = traced(env, "job:again", "--errors", "-n", "2", send=lambda: send("again", 1))
        assert len({trace["task"]["id"] for trace in found}) == 1  # both tries of one job
