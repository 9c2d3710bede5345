"""A real server under load: traced, left as it was, and ended while it is armed."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from acceptance_helpers import agent, arming, dormant, objects
from ctl import ctl, environment
from processes import ROOT, Process, process, wait_for
from test_dormancy import switches
from tracepatch_ctl.cli.demo import send_requests

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")
CHECKOUT = "shop.app:checkout"
WATCHED_S = 3.0


@pytest.fixture
def env(runtime_dir, tmp_path):
    return environment(XDG_STATE_HOME=str(tmp_path / "state"))


@contextlib.contextmanager
def server() -> Iterator[tuple[Process, str]]:
    """Serve the shop as its users would; yield the process and its url."""
    command = [sys.executable, "-m", "uvicorn", "shop.app:app", "--port", "0", "--no-access-log"]
    path = os.pathsep.join(filter(None, (str(ROOT / "examples"), os.environ.get("PYTHONPATH"))))
    with process(command, env={**os.environ, "PYTHONPATH": path}) as running:
        pattern = re.compile(r"running on (http://\S+)")
        found = wait_for(lambda: pattern.search(running.stderr), 30, what="a server")
        yield running, found[1]


@contextlib.contextmanager
def load(url: str) -> Iterator[None]:
    """Send requests while the block runs."""
    enough = threading.Event()
    customer = threading.Thread(target=send_requests, args=(url, enough))
    customer.start()
    try:
        yield
    finally:
        enough.set()
        customer.join(10)


def agent_switches(pid: int) -> dict[str, int]:
    """Return the context switches of zmq's two threads and of ours, which starts right before them."""
    found = switches(pid)
    ours = sorted(found, key=int)[:3]
    names = [Path(f"/proc/{pid}/task/{thread}/comm").read_text() for thread in ours]
    assert [name.startswith("ZMQ") for name in names] == [False, True, True], names
    return {thread: found[thread] for thread in ours}


def unmoved(pid: int, watched_s: float) -> bool:
    before = agent_switches(pid)
    time.sleep(watched_s)
    return agent_switches(pid) == before


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts context switches in /proc")
def test_three_traces_and_then_as_it_was(env) -> None:
    with server() as (app, url):
        of = ("--pid", str(app.pid))
        with load(url):
            done = ctl("arm", CHECKOUT, "-n", "3", *of, "--json", env=env)
            assert done.returncode == 0, done.stderr
            came = [json.loads(line) for line in done.stdout.splitlines()]
            traces = [one for one in came if one["type"] == "trace"]
            assert len(traces) == 3
            assert [(trace["roots"][0]["function"], trace["status"]) for trace in traces] == [
                ("checkout", "complete")
            ] * 3
            end = came[-1]
            assert (end["reason"], end["kept"], end["clean"]) == ("count", 3, True)
            assert dormant(app.pid, env=env)
            # Requests go on, and no thread of ours runs for them.
            wait_for(lambda: unmoved(app.pid, 0.3), what="settled")
            assert unmoved(app.pid, WATCHED_S)
        assert objects("status", *of, env=env) == []
        assert agent(app.pid, env=env)["state"] == "dormant"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_what_nobody_collected_outlives_the_server(env, number: int) -> None:
    with server() as (app, url):
        of = ("--pid", str(app.pid))
        with load(url):
            done = ctl("arm", CHECKOUT, "-n", "2", "--detach", "--ttl", "1m", *of, env=env)
            assert done.returncode == 0, done.stderr
            wait_for(lambda: dormant(app.pid, env=env), what="dormant")
        app.signal(number)
        app.wait(10)
        collected = objects("collect", *of, env=env)
        assert [trace["roots"][0]["function"] for trace in collected] == ["checkout"] * 2
        assert ctl("collect", *of, env=env).returncode == 3  # nobody has anything any more


def test_a_server_terminated_while_armed(env, runtime_dir) -> None:
    with server() as (app, _), arming(app, CHECKOUT, env=env) as arm:
        app.signal(signal.SIGTERM)
        ended = time.monotonic()
        assert app.wait(5) in (0, -signal.SIGTERM)
        assert arm.wait(3) == 5
        assert time.monotonic() - ended < 5
        assert "ended: its process ended" in arm.errors
        # uvicorn ends itself by the signal, so no exit hook runs and the files stay until somebody looks.
        assert ctl("agents", "--pid", str(app.pid), env=env).returncode == 3
        assert not [file for file in runtime_dir.iterdir() if file.suffix in (".sock", ".json")]
