"""Deliveries: two drivers and one van."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any


@asynccontextmanager
async def drivers(_app: Any) -> AsyncIterator[None]:
    """Let the drivers work while the shop is open."""
    van, parcels = asyncio.Lock(), asyncio.Queue[str]()
    working = [asyncio.create_task(drive(van, parcels), name=f"driver-{number}") for number in (1, 2)]
    yield
    for driver in working:
        driver.cancel()
    await asyncio.gather(*working, return_exceptions=True)


async def drive(van: asyncio.Lock, parcels: asyncio.Queue[str]) -> None:
    """Take the van and deliver. Whoever has it keeps it, so that there is something to look at."""
    async with van:
        while True:
            await deliver(parcels)


async def deliver(parcels: asyncio.Queue[str]) -> None:
    """Bring the next parcel to its customer."""
    parcel = await parcels.get()
    await asyncio.sleep(len(parcel) / 1000)
