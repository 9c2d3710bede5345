"""An event loop that is never idle: every turn computes for a while, and lets go of the GIL for some microseconds."""

from __future__ import annotations

import asyncio
import sys
import time

import tracepatch

TURN_S = float(sys.argv[1])


def turn(loop: asyncio.AbstractEventLoop) -> None:
    until_s = time.perf_counter() + TURN_S
    while time.perf_counter() < until_s:
        pass
    loop.call_soon(turn, loop)


def tell(loop: asyncio.AbstractEventLoop) -> None:
    print("interval", sys.getswitchinterval(), flush=True)
    loop.call_later(0.5, tell, loop)


def main() -> None:
    tracepatch.start(service="never-idle")
    loop = asyncio.new_event_loop()
    loop.call_soon(turn, loop)
    loop.call_later(0.2, tell, loop)
    print("up", flush=True)
    loop.run_forever()


if __name__ == "__main__":
    main()
