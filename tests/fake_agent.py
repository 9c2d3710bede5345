"""An agent that speaks the protocol and traces nothing, for tests of the controller."""

from __future__ import annotations

import json
import os
import queue
import secrets
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import zmq

from tracepatch_shared.messages import pack, unpack

Message = dict[str, Any]
CLEAN = {"events": 0, "tool_id_freed": True, "hooks": 0, "hooked_threads": 0, "ok": True}


class FakeAgent:
    """A thread with a ROUTER socket in `directory`.

    `traces` are served right after arming, `refuses` is a (code, message) for every arm, `answers` replaces the answer to
    a request type: a function of the request that returns messages, each sent as it is (bytes go raw, a tuple as frames). What it received
    is in `received`; `do` runs something on its thread.
    """

    def __init__(
        self,
        directory: Path,
        *,
        service: str = "fake",
        traces: int = 0,
        refuses: tuple[str, str] | None = None,
        answers: dict[str, Callable[[Message], list[Any]]] | None = None,
        labels: dict[str, str] | None = None,
        agent_id: str | None = None,
        pid: int | None = None,
        ends_itself: bool = True,
        threads: bool = True,
        chooses: bool = True,
    ) -> None:
        self.agent_id = agent_id or secrets.token_hex(6)
        self.directory = directory
        self.service = service
        self.labels = labels or {}
        self.pid = pid or os.getpid()
        self.traces, self.refuses, self.answers, self.ends_itself = (
            traces,
            refuses,
            answers or {},
            ends_itself,
        )
        self.threads = threads
        self.chooses = chooses
        """Whether it knows the options, which came later than the others."""
        self.says: dict[str, Any] = {}
        """Further fields of `armed`."""
        self.counts: dict[str, Any] = {}
        """Counters that each probe begins with."""
        self.received: list[Message] = []
        self.received_at: list[float] = []
        self.probes: dict[str, Message] = {}
        self.counters: dict[str, Message] = {}
        self.held: dict[str, tuple[Message, list[bytes]]] = {}
        self.acknowledged: list[str] = []
        self.receiver: bytes = b""
        self.mute = False
        self.tells = False
        self.path = directory / f"{self.agent_id}.sock"
        self._todo: queue.Queue[Callable[[], None]] = queue.Queue()
        self._bell, self._wake = socket.socketpair()
        self._wake.setblocking(False)
        self._over = False
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.ROUTER)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.bind(f"ipc://{self.path}")
        card = {
            "agent_id": self.agent_id,
            "pid": self.pid,
            "service": service,
            "host": "testhost",
            "version": "0.2.0",
        }
        (directory / f"{self.agent_id}.json").write_text(json.dumps(card))
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    # -- for the test's thread

    def do(self, action: Callable[[], None]) -> None:
        """Run `action` on the agent's thread and wait for it."""
        done = threading.Event()
        self._todo.put(lambda: (action(), done.set()))  # type: ignore[func-returns-value,arg-type]
        self._bell.send(b"!")
        assert done.wait(5)

    def trace(self, probe_id: str | None = None, **options: Any) -> None:
        """Serve one trace of the probe, see `_trace`."""
        self.do(lambda: self._trace(probe_id or next(iter(self.probes)), **options))

    def end(self, reason: str = "ttl", probe_id: str | None = None, **fields: Any) -> None:
        """End the probe as the agent does by itself."""
        self.do(lambda: self._send(self._ended(probe_id or next(iter(self.probes)), reason, **fields)))

    def send(self, message: Any) -> None:
        """Send anything to the receiver of the probe's events."""
        self.do(lambda: self._send(message))

    def close(self, *, remove: bool = True) -> None:
        """Close the socket; libzmq removes its file, the particulars stay with `remove=False`."""
        if self._over:
            return
        self._over = True
        self._bell.send(b"!")
        self._thread.join(5)
        self._socket.close()
        self._context.term()
        self._bell.close()
        self._wake.close()
        if remove:
            (self.directory / f"{self.agent_id}.json").unlink(missing_ok=True)

    def of(self, kind: str) -> list[Message]:
        """Return the requests of one type."""
        return [message for message in self.received if message["type"] == kind]

    # -- the agent's thread

    def _run(self) -> None:
        poller = zmq.Poller()
        poller.register(self._socket, zmq.POLLIN)
        poller.register(self._wake, zmq.POLLIN)
        while not self._over:
            poller.poll()
            try:
                self._wake.recv(100)
            except BlockingIOError:
                pass
            while not self._todo.empty():
                self._todo.get()()
            while not self._over:
                try:
                    sender, frame = self._socket.recv_multipart(zmq.NOBLOCK)
                except zmq.Again:
                    break
                self._answer(sender, unpack(frame))

    def _answer(self, sender: bytes, message: Message) -> None:
        self.received.append(message)
        self.received_at.append(time.monotonic())
        if self.mute:
            return
        if self.tells:
            print(message["type"], flush=True)
        kind, number = message["type"], message.get("id")
        if kind in self.answers:
            if kind in ("arm", "renew"):
                self.receiver = sender
            for answer in self.answers[kind](message):
                self._send({"re": number, **answer} if isinstance(answer, dict) else answer, sender)
            return
        if kind == "hello":
            self._send(
                {
                    "type": "hello",
                    "re": number,
                    "agent": self._agent(),
                    "probes": len(self.probes),
                    "finished": len(self.held),
                },
                sender,
            )
        elif kind == "status":
            self._send(
                {
                    "type": "status",
                    "re": number,
                    "agent": self._agent(),
                    "probes": list(self.counters.values()),
                },
                sender,
            )
        elif kind == "targets":
            matched = [{"function": "f", "module": "m", "file": "m.py", "line": 1, "kind": "function"}]
            self._send({"type": "targets", "re": number, "matched": matched, "total": 1, "near": []}, sender)
        elif kind == "arm":
            self._arm(sender, number, message["probe"])
        elif kind == "renew":
            self.receiver = sender
            probes = [self.counters[probe_id] for probe_id in message["probe_ids"] if probe_id in self.probes]
            self._send({"type": "renewed", "re": number, "probes": probes}, sender)
        elif kind == "extend":
            if message["probe_id"] not in self.probes:
                self._send(
                    {"type": "error", "re": number, "code": "no-such-probe", "message": "no such probe"},
                    sender,
                )
                return
            counters = self.counters[message["probe_id"]]
            counters["count"] = message.get("count", counters["count"])
            counters["expires_in_s"] = message.get("ttl_s", counters["expires_in_s"])
            self._send({"type": "extended", "re": number, "probe": counters}, sender)
        elif kind == "disarm":
            ids = (
                list(self.probes)
                if message["probe_ids"] is None
                else [one for one in message["probe_ids"] if one in self.probes]
            )
            ended = [self._ended(probe_id, "disarm") for probe_id in ids]
            for one in ended:
                if self.receiver:
                    self._send(one)
            self._send({"type": "disarmed", "re": number, "ended": ended}, sender)
        elif kind == "collect":
            self._collect(sender, number, message)
        elif kind == "ack":
            self.acknowledged.extend(message["trace_ids"])
            for trace_id in message["trace_ids"]:
                self.held.pop(trace_id, None)

    def _arm(self, sender: bytes, number: int, probe: Message) -> None:
        if self.refuses:
            code, text = self.refuses
            self._send({"type": "error", "re": number, "code": code, "message": text}, sender)
            return
        probe_id = probe["probe_id"]
        self.probes[probe_id] = probe
        if probe["lease_s"] is not None:
            self.receiver = sender
        self.counters[probe_id] = {
            "probe_id": probe_id, "targets": probe["targets"], "operator": probe["operator"], "tag": probe["tag"],
            "detached": probe["lease_s"] is None, "armed_at": time.time(), "expires_in_s": probe["ttl_s"],
            "count": probe["count"], "seen": 0, "passed_over": 0, "kept": 0, "live": 0, "finished": 0, "held_bytes": 0,
            "matched_total": 1, "errors": 0, **self.counts,
        }  # fmt: skip
        matched = [{"function": "f", "module": "m", "file": "m.py", "line": 1, "kind": "function"}]
        self._send(
            {
                "type": "armed", "re": number, "probe_id": probe_id, "matched": matched, "matched_total": 1, "near": [],
                "waits_for_import": False, "limits": {}, "lowered": [], "expires_in_s": probe["ttl_s"],
                **({"threads": probe.get("threads", False)} if self.threads else {}),
                **({name: probe.get(name) for name in ("keep", "having", "traceparent", "sample", "rate")} if self.chooses else {}),
                **self.says,
            },
            sender,
        )  # fmt: skip
        for _ in range(self.traces):
            if probe_id in self.probes:
                self._trace(probe_id)

    def _trace(
        self,
        probe_id: str,
        *,
        chunks: int = 2,
        drop: tuple[int, ...] = (),
        finish: bool = True,
        status: str = "complete",
    ) -> None:
        """Serve a trace of `chunks` pieces; those in `drop` get lost on the way, `finish=False` leaves it running."""
        trace_id = secrets.token_hex(4)
        pieces = [f"{self.service}:{trace_id}:{seq};".encode() for seq in range(chunks)]
        for seq, data in enumerate(pieces):
            if seq not in drop:
                self._send(
                    {"type": "chunk", "probe_id": probe_id, "trace_id": trace_id, "seq": seq, "data": data}
                )
        counters = self.counters[probe_id]
        counters["seen"] += 1
        if not finish:
            counters["live"] += 1
            return
        end = {
            "type": "finished",
            "probe_id": probe_id,
            "trace_id": trace_id,
            "chunks": chunks,
            "status": status,
            "reason": None,
        }
        self.held[trace_id] = (end, pieces)
        counters["kept"] += 1
        counters["finished"] = len(self.held)
        self._send(end)
        self._send({"type": "counters", **counters})
        if self.ends_itself and counters["kept"] >= counters["count"]:
            self._send(self._ended(probe_id, "count"))

    def _collect(self, sender: bytes, number: int, message: Message) -> None:
        chosen = {
            trace_id: (end, pieces)
            for trace_id, (end, pieces) in self.held.items()
            if (message["probe_ids"] is None or end["probe_id"] in message["probe_ids"])
            and (message["trace_ids"] is None or trace_id in message["trace_ids"])
        }
        metas = [
            {
                "trace_id": trace_id, "probe_id": end["probe_id"], "target": "m:f", "started_at_ns": 1, "status": end["status"],
                "bytes": sum(map(len, pieces)), "calls": 1, "tag": None,
            }
            for trace_id, (end, pieces) in chosen.items()
        ]  # fmt: skip
        self._send({"type": "collected", "re": number, "traces": metas}, sender)
        for trace_id, (end, pieces) in chosen.items():
            for seq, data in enumerate(pieces):
                self._send(
                    {
                        "type": "chunk",
                        "probe_id": end["probe_id"],
                        "trace_id": trace_id,
                        "seq": seq,
                        "data": data,
                    },
                    sender,
                )
            self._send(end, sender)

    def _ended(self, probe_id: str, reason: str, **fields: Any) -> Message:
        self.probes.pop(probe_id)
        counters = self.counters.pop(probe_id)
        counters["live"] = 0
        return {
            "type": "ended", "probe_id": probe_id, "reason": reason, "message": f"ended by {reason}", "option": None,
            "counters": counters, "spent_ns": 1000, "others_share": 0.001, "clean": CLEAN, **fields,
        }  # fmt: skip

    def _agent(self) -> Message:
        return {
            "service": self.service, "host": "testhost", "pid": self.pid, "ppid": 1, "python": "3.13.0", "core": "monitoring",
            "core_reason": "", "labels": self.labels, "state": "waiting" if self.probes else "dormant",
            "endpoint": f"ipc://{self.path}", "uptime_s": 1.5, "agent_id": self.agent_id, "version": "0.2.0",
            "implementation": "tracepatch",
        }  # fmt: skip

    def _send(self, message: Any, to: bytes | None = None) -> None:
        frames = message if isinstance(message, tuple) else (message,)
        packed = [frame if isinstance(frame, bytes) else pack(frame) for frame in frames]
        self._socket.send_multipart([to or self.receiver, *packed])


def main() -> None:
    """Run one in a process of its own: `python fake_agent.py DIRECTORY [SERVICE]`; it prints its id.

    It prints the type of each request. A line `trace` on standard input serves a trace, `piece` the beginning of one;
    the end of the input ends it.
    """
    directory = Path(sys.argv[1])
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    agent = FakeAgent(directory, service=sys.argv[2] if len(sys.argv) > 2 else "fake")
    agent.tells = True
    print(agent.agent_id, flush=True)
    for line in sys.stdin:
        if line.strip() == "trace":
            agent.trace()
        elif line.strip() == "piece":
            agent.trace(finish=False)
    agent.close()


if __name__ == "__main__":
    main()
