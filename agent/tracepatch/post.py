"""What is on its way to controllers: the pieces of traces, and letters that must not get lost.

A *delivery* brings one trace to one controller and keeps its own place in the stream, so that a controller that reads
slowly, comes back, or collects what another one watches loses nothing. A *letter* is one message that waits while the
controller's queue is full: an answer, or the end of a probe, which comes after the traces it is about.

A queue that is full is tried again every 20 ms, and ten times as often just after its controller has taken something;
after 10 s nothing is tried, and no timer runs, until the controller is heard again. Agent thread only.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

from tracepatch_shared.messages import pack

from .endpoint import Endpoint, Gone
from .held import Trace

AT_ONCE = 64
"""Chunks sent before the loop looks at its other duties again."""

RETRY_S = 0.02
SOON_S = 0.002
STALLED_S = 10.0

MAX_LETTERS = 256
"""Letters that wait for one controller; more are dropped and counted."""


@dataclass(eq=False)
class Delivery:
    """How far one controller has got one trace."""

    trace: Trace
    next: int = 0
    done: bool = False

    @property
    def waiting(self) -> bool:
        """Whether there is something to send."""
        return not self.done and (self.next < len(self.trace.pieces) or self.trace.ended)

    def frame(self) -> bytes:
        """Return what comes next: a chunk, or that it was the last."""
        return self.trace.chunk(self.next) if self.next < len(self.trace.pieces) else self.trace.finished()

    def moved(self) -> None:
        """Note that `frame` has left."""
        if self.next < len(self.trace.pieces):
            self.next += 1
        else:
            self.done = True


@dataclass(eq=False)
class Snapshot(Delivery):
    """The same of what there is now of a trace that records on; nobody acknowledges it."""

    chunks: int = 0

    @property
    def waiting(self) -> bool:
        return not self.done

    def frame(self) -> bytes:
        return self.trace.chunk(self.next) if self.next < self.chunks else self.trace.standing(self.chunks)

    def moved(self) -> None:
        if self.next < self.chunks:
            self.next += 1
        else:
            self.done = True


class Receiver:
    """One controller: what it is owed, and whether it takes anything."""

    def __init__(self, address: bytes, now_s: float) -> None:
        self.address = address
        self.deliveries: dict[str, Delivery] = {}
        self.letters: deque[bytes] = deque()
        self.moved_s = now_s
        """Monotonic seconds when it last took something, or had nothing to take."""
        self.stalled = False

    @property
    def waiting(self) -> bool:
        """Whether there is something to send."""
        return bool(self.letters) or any(delivery.waiting for delivery in self.deliveries.values())


class Post:
    """Everything that is on its way."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.gone: set[bytes] = set()
        """Controllers found without a connection since this was last emptied."""
        self._endpoint = endpoint
        self._receivers: dict[bytes, Receiver] = {}

    def answer(self, address: bytes, message: dict[str, Any], now_s: float) -> None:
        """Send a message now, before all that waits; keep it as a letter where the queue is full."""
        frame = pack(message)
        receiver = self._receivers.get(address)
        if receiver is None or not receiver.letters:
            try:
                if self._endpoint.offer(address, frame):
                    return
            except Gone:
                self._lose(address)
                return
        self._letter(address, frame, now_s)

    def last_word(self, address: bytes, message: dict[str, Any], now_s: float) -> None:
        """Send a message after the traces that are on their way to the same controller."""
        self._letter(address, pack(message), now_s)

    def news(self, address: bytes, message: dict[str, Any]) -> None:
        """Send a message that newer ones replace: dropped and counted where it cannot leave now."""
        try:
            if not self._endpoint.offer(address, pack(message)):
                self._endpoint.dropped += 1
        except Gone:
            self._lose(address)

    def deliver(self, trace: Trace, address: bytes, now_s: float, *, again: bool = False) -> None:
        """Bring a trace to a controller from its first piece on; `again` also where it got all of it before."""
        deliveries = self._receiver(address, now_s).deliveries
        if again or trace.trace_id not in deliveries:
            deliveries[trace.trace_id] = Delivery(trace)

    def show(self, trace: Trace, address: bytes, now_s: float) -> None:
        """Bring what there is of a trace that records on, besides what the same controller is brought of it."""
        deliveries = self._receiver(address, now_s).deliveries
        deliveries[f"{trace.trace_id} now"] = Snapshot(trace, chunks=len(trace.pieces))

    def forget(self, trace_id: str) -> None:
        """Drop the deliveries of a trace that is not held any more."""
        for receiver in list(self._receivers.values()):
            receiver.deliveries.pop(trace_id, None)
            if not receiver.deliveries and not receiver.letters:
                del self._receivers[receiver.address]

    def brings(self, trace_id: str) -> bool:
        """Return whether a trace is on its way to a controller, or waits for its acknowledgement."""
        return any(trace_id in receiver.deliveries for receiver in self._receivers.values())

    def owes(self) -> bool:
        """Return whether a controller that is there has not acknowledged a trace, or not got a letter."""
        return bool(self._receivers)

    def heard(self, address: bytes, now_s: float) -> None:
        """Go on with a controller that had stalled: it said something."""
        receiver = self._receivers.get(address)
        if receiver is not None and receiver.stalled:
            receiver.stalled, receiver.moved_s = False, now_s

    def send(self, now_s: float) -> float | None:
        """Send what can be sent now; return the seconds until there is more to try, None when there is not."""
        left = AT_ONCE
        again_s: float | None = None
        for receiver in list(self._receivers.values()):
            if receiver.stalled:
                continue
            try:
                left = self._send_to(receiver, left, now_s)
            except Gone:
                self._lose(receiver.address)
                continue
            if left == 0:
                return 0.0
            if not receiver.waiting:
                receiver.moved_s = now_s
                for key, delivery in list(receiver.deliveries.items()):
                    if type(delivery) is Snapshot:
                        del receiver.deliveries[key]
                if not receiver.deliveries:
                    del self._receivers[receiver.address]
            elif now_s - receiver.moved_s > STALLED_S:
                receiver.stalled = True
            else:
                again_s = RETRY_S if now_s - receiver.moved_s > RETRY_S else SOON_S
        return again_s

    # ---- inside -------------------------------------------------------------------------------------------------

    def _send_to(self, receiver: Receiver, left: int, now_s: float) -> int:
        """Send to one controller until its queue is full or `left` messages have gone; return how many may still go."""
        for delivery in receiver.deliveries.values():
            while delivery.waiting:
                if left == 0 or not self._endpoint.offer(receiver.address, delivery.frame()):
                    return left
                delivery.moved()
                receiver.moved_s = now_s
                left -= 1
        while receiver.letters:
            if left == 0 or not self._endpoint.offer(receiver.address, receiver.letters[0]):
                return left
            receiver.letters.popleft()
            receiver.moved_s = now_s
            left -= 1
        return left

    def _letter(self, address: bytes, frame: bytes, now_s: float) -> None:
        letters = self._receiver(address, now_s).letters
        if len(letters) < MAX_LETTERS:
            letters.append(frame)
        else:
            self._endpoint.dropped += 1

    def _receiver(self, address: bytes, now_s: float) -> Receiver:
        receiver = self._receivers.get(address)
        if receiver is None:
            receiver = self._receivers[address] = Receiver(address, now_s)
        return receiver

    def _lose(self, address: bytes) -> None:
        self._receivers.pop(address, None)
        self._endpoint.dropped += 1
        self.gone.add(address)
