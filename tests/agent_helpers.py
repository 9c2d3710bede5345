"""A bare controller for the agent's tests: one DEALER socket that says exactly what a test wants."""

from __future__ import annotations

import contextlib
import itertools
import json
import time
from collections.abc import Iterator
from pathlib import Path

import msgpack
import zmq

from processes import TARGETS, Process, python_process, wait_for

HOST = TARGETS / "agent_host.py"


class Peer:
    """One connection to an agent."""

    def __init__(self, endpoint: str) -> None:
        self.context = zmq.Context(io_threads=1)
        self.socket = self.context.socket(zmq.DEALER)
        self.socket.linger = 0
        self.socket.connect(endpoint)
        self.events: list[dict] = []
        self._ids = itertools.count(1)

    def close(self) -> None:
        self.socket.close()
        self.context.term()

    def raw(self, *frames: bytes) -> None:
        self.socket.send_multipart(frames)

    def next(self, timeout: float = 5.0) -> dict | None:
        if not self.socket.poll(timeout * 1000):
            return None
        return msgpack.unpackb(self.socket.recv(), raw=False)

    def say(self, type: str, **fields) -> None:
        self.raw(msgpack.packb({"v": 1, "type": type, **fields}, use_bin_type=True))

    def ask(self, type: str, timeout: float = 5.0, **fields) -> dict:
        """Send a request and return its answer; what comes in between goes to `events`."""
        number = next(self._ids)
        self.say(type, id=number, **fields)
        until = time.monotonic() + timeout
        while True:
            message = self.next(max(0.0, until - time.monotonic()))
            assert message is not None, f"no answer to {type}"
            if message.get("re") == number:
                return message
            self.events.append(message)

    def event(self, type: str, timeout: float = 5.0) -> dict:
        """Return the next event of a type; others stay in `events`."""
        until = time.monotonic() + timeout
        while True:
            for index, message in enumerate(self.events):
                if message["type"] == type:
                    return self.events.pop(index)
            message = self.next(max(0.0, until - time.monotonic()))
            assert message is not None, f"no {type}; there were {self.events}"
            self.events.append(message)

    def arm(self, probe_id: str = "aaaaaaaa", **options) -> dict:
        return self.ask("arm", probe=probe(probe_id, **options))


def probe(probe_id: str = "aaaaaaaa", **options) -> dict:
    return {
        "probe_id": probe_id,
        "targets": ["shop:1"],
        "count": 1,
        "ttl_s": 60.0,
        "lease_s": 30.0,
        "live": False,
        "operator": "ann@desk",
        "force": False,
        "limits": {},
        "capture": {},
        "scope": {"all": False, "lib": [], "only": [], "skip": []},
        "args": True,
        "tag": None,
        **options,
    }


@contextlib.contextmanager
def peer(endpoint: str) -> Iterator[Peer]:
    connected = Peer(endpoint)
    try:
        yield connected
    finally:
        connected.close()


@contextlib.contextmanager
def host(runtime_dir: Path, **env: str) -> Iterator[tuple[Process, str]]:
    """Run the program with the fake tracing; yield it and its agent's endpoint."""
    with python_process(HOST, env={"TRACEPATCH_RUNTIME_DIR": str(runtime_dir), **env}) as program:
        agent_id = program.expect("started").split()[1]
        yield program, f"ipc://{runtime_dir}/{agent_id}.sock"


@contextlib.contextmanager
def talk(runtime_dir: Path, **env: str) -> Iterator[tuple[Process, Peer]]:
    """Like `host`, with a connection to the agent."""
    with host(runtime_dir, **env) as (program, endpoint), peer(endpoint) as connected:
        yield program, connected


def cards(runtime_dir: Path) -> dict[str, dict]:
    """Return what the files beside the sockets say, by agent id."""
    found: dict[str, dict] = {}
    for file in runtime_dir.glob("*.json"):
        with contextlib.suppress(FileNotFoundError):  # its agent ended just now
            found[file.stem] = json.loads(file.read_text())
    return found


def log_line(program: Process, text: str) -> str:
    """Return the first line of standard error with this text, waiting for it."""
    return wait_for(
        lambda: next((line for line in program.errors if text in line), ""), what=f"log line {text!r}"
    )
