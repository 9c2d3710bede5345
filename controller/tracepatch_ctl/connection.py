"""One line to one agent, and asking many agents the same thing at once."""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import zmq

from tracepatch_shared.errors import MessageError, NobodyReached, TracepatchError, by_code
from tracepatch_shared.messages import MAX_REPLY_BYTES, Message, field, pack, unpack

from .discovery import Place
from .reports import Agent
from .sockets import Address, knock

HELLO_S = 1.0
"""Time that an agent has to answer `hello`; after it, it is listed as `silent`."""

SILENT = "no answer within {:g} s: the process is stopped, or its GIL is held"

_QUEUED = 20_000
"""Messages that may wait in one line: an agent sends what it holds at once, and drops what finds no room."""

_BURST = 500
"""Messages taken from one line before the others get their turn."""


class Line:
    """A DEALER socket to one agent. Used by one thread at a time; handing it over needs no more than not using it.

    `agent` is what the place's file says until somebody sets what the agent itself answered.
    """

    def __init__(
        self, context: zmq.Context[zmq.Socket[bytes]], endpoint: str, place: Place | None = None
    ) -> None:
        self.endpoint = endpoint
        self.place = place
        self.agent = presumed(endpoint, place)
        self.waiting: deque[Message | MessageError] = deque()
        """Messages that came while `ask` waited for others."""
        self._ids = itertools.count(1)
        self._monitor: zmq.Socket[bytes] | None = None
        self._address = Address(place.path) if place else None
        self._socket = context.socket(zmq.DEALER)
        try:
            self._socket.setsockopt(zmq.LINGER, 0)
            self._socket.setsockopt(zmq.MAXMSGSIZE, MAX_REPLY_BYTES)
            self._socket.setsockopt(zmq.RCVHWM, _QUEUED)
            self._socket.setsockopt(zmq.RECONNECT_IVL, 250)
            self._socket.connect(f"ipc://{self._address.path}" if self._address else endpoint)
        except BaseException:
            self.close()
            raise

    @property
    def socket(self) -> zmq.Socket[bytes]:
        """The socket, for a poller only."""
        return self._socket

    @property
    def monitor(self) -> zmq.Socket[bytes]:
        """A socket that becomes readable when the connection breaks; opened by the first use."""
        if self._monitor is None:
            self._monitor = self._socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        return self._monitor

    def send(self, message: Mapping[str, Any]) -> int:
        """Send a request and return its id; a line that is full drops it, and the answer does not come."""
        number = next(self._ids)
        try:
            self._socket.send(pack({**message, "id": number}), zmq.NOBLOCK)
        except zmq.Again:
            pass
        return number

    def receive(self) -> Iterator[Message | MessageError]:
        """Yield what is there, without waiting: messages, and an error for each that cannot be understood."""
        while self.waiting:
            yield self.waiting.popleft()
        for _ in range(_BURST):
            try:
                frames = self._socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            try:
                if len(frames) != 1:
                    raise MessageError(f"a message has one frame, not {len(frames)}")
                yield unpack(frames[0], max_bytes=MAX_REPLY_BYTES)
            except MessageError as error:
                yield error

    def broke(self) -> bool:
        """Return whether the monitor saw the connection break since the last call."""
        seen = False
        while self._monitor is not None:
            try:
                self._monitor.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                break
            seen = True
        return seen

    def process_ended(self) -> bool:
        """Return whether nobody listens at the socket any more; always False for other than local endpoints."""
        return self.place is not None and knock(self.place.path) in ("refused", "gone")

    def close(self, *, linger_ms: int = 0) -> None:
        """Close the socket; what was not sent within `linger_ms` is lost. Returns at once."""
        if self._monitor is not None:
            self._socket.disable_monitor()
            self._monitor.close(0)
            self._monitor = None
        self._socket.close(linger_ms)
        if self._address:
            self._address.close()


def presumed(endpoint: str, place: Place | None) -> Agent:
    """Return what is known of an agent that has not answered yet: what its file says, checked, and state `silent`."""
    card: Mapping[str, Any] = place.card if place else {}

    def text(name: str) -> str:
        return card[name] if type(card.get(name)) is str else ""

    return Agent(
        agent_id=place.agent_id if place else "",
        service=text("service"),
        host=text("host"),
        pid=card["pid"] if type(card.get("pid")) is int else 0,
        endpoint=endpoint,
        state="silent",
        labels={},
        version=text("version"),
        reason=SILENT.format(HELLO_S),
    )


def ask(
    lines: Sequence[Line], request: Mapping[str, Any], *, timeout_s: float = HELLO_S
) -> dict[Line, Message | TracepatchError]:
    """Ask all of them at once and return each one's answer, or the error it answered with.

    A line that does not answer in time gives `NobodyReached`, one that answers nonsense `MessageError`. Messages that
    are no answer to this request stay in `line.waiting`.
    """
    poller = zmq.Poller()
    asked: dict[zmq.Socket[bytes], tuple[Line, int]] = {}
    for line in lines:
        asked[line.socket] = (line, line.send(request))
        poller.register(line.socket, zmq.POLLIN)
    answers: dict[Line, Message | TracepatchError] = {}
    deadline = time.monotonic() + timeout_s
    while asked and (left := deadline - time.monotonic()) > 0:
        for socket, _ in poller.poll(max(1, int(left * 1000))):
            if socket not in asked:
                continue
            line, number = asked[socket]
            answer = _answer(line, number)
            if answer is not None:
                answers[line] = answer
                del asked[socket]
                poller.unregister(socket)
    for line, _ in asked.values():
        answers[line] = NobodyReached(f"{line.agent.name}: {SILENT.format(timeout_s)}")
    return answers


def refusal(message: Message) -> TracepatchError:
    """Return the error that an `error` answer stands for."""
    try:
        return by_code(field(message, "code", str), field(message, "message", str))
    except MessageError as error:
        return error


def flush(lines: Iterable[Line]) -> None:
    """Wait, at most a second, until these agents have read everything that was sent to them."""
    ask(list(lines), {"type": "hello"})


def _answer(line: Line, number: int) -> Message | TracepatchError | None:
    kept: list[Message | MessageError] = []
    answer: Message | TracepatchError | None = None
    for message in line.receive():
        if isinstance(message, MessageError):
            # What cannot be read has no number either; while an answer is due, it is taken for that answer.
            answer = answer or message
        elif message.get("re") == number:
            answer = refusal(message) if message["type"] == "error" else message
        else:
            kept.append(message)
    line.waiting.extend(kept)
    return answer
