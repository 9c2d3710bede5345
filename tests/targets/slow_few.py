"""A process with an agent that handles requests on an event loop, 200 in flight, one in a hundred of them slow.

`run N` handles N requests and prints `done`; `state` prints what is left of tracing in here, as JSON.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys

import tracepatch

IN_FLIGHT = 200
EVERY = 100
"""One request in so many is slow."""
SLOW_S = 0.3


async def look_up(number: int) -> str:
    await asyncio.sleep(SLOW_S if number % EVERY == EVERY - 1 else 0.001)
    return f"user {number}"


async def handle(number: int) -> int:
    name = await look_up(number)
    return number + len(render(name))


def render(name: str) -> str:
    return f"<p>{name}</p>"


async def serve(count: int, numbers: itertools.count[int]) -> None:
    async def client() -> None:
        for _ in range(count // IN_FLIGHT):
            await handle(next(numbers))

    await asyncio.gather(*(client() for _ in range(IN_FLIGHT)))


def state() -> dict[str, int]:
    from tracepatch import agent

    assert agent._agent is not None
    tracing = agent._agent._tracing
    loop = agent._agent._loop
    assert loop is not None
    probes = list(loop._roster.probes.values())
    return {
        "recordings": len(tracing.recordings),  # type: ignore[union-attr]
        "held_bytes": tracing.held_bytes + loop._held.bytes,  # type: ignore[union-attr]
        "traces": len(loop._held.traces),
        "slots": sum(len(probe.slots) for probe in probes),
        "permits": sum(len(probe.permits) for probe in probes),
    }


def main() -> None:
    numbers = itertools.count()
    tracepatch.start(service=sys.argv[1])
    print("up", flush=True)
    for line in sys.stdin:
        word, _, count = line.partition(" ")
        if word == "run":
            asyncio.run(serve(int(count), numbers))
            print("done", flush=True)
        else:
            print(json.dumps(state()), flush=True)


if __name__ == "__main__":
    main()
