"""Coroutines that no trace records: the tests leave this module out of their scope."""

from __future__ import annotations

import asyncio


async def patient(*, again: bool) -> str:
    return await _catches(again=again)


async def _catches(*, again: bool) -> str:
    try:
        await asyncio.sleep(10)
    except asyncio.CancelledError:
        if again:
            await asyncio.sleep(0.02)
    return "caught"
