"""Receipts, sent after the response."""

from __future__ import annotations

import asyncio

sent = 0


async def send(customer: str, payment: str, cents: int) -> None:
    """Send a receipt by mail."""
    global sent
    await asyncio.sleep(0.01)
    mail(f"{customer}@example.org", f"You paid {cents / 100:.2f} EUR ({payment}).")
    sent += 1


def mail(address: str, text: str) -> bool:
    """Pretend to send a mail."""
    return bool(address and text)
