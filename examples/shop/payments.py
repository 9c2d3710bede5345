"""Paying through a bank that is slow and sometimes says no."""

from __future__ import annotations

import asyncio
import zlib
from typing import Any


class DeclinedError(Exception):
    """The bank declined a payment or a refund."""


async def charge(customer: str, cents: int, card_number: str) -> dict[str, Any]:
    """Charge a card and return the payment."""
    answer = await ask_bank("charge", cents, {"card_number": card_number, "currency": "EUR"})
    return {"id": payment_id(customer, cents), "status": answer}


async def refund(payment: str, cents: int, api_key: str) -> dict[str, str]:
    """Ask the bank to give money back."""
    answer = await ask_bank("refund", cents, {"payment": payment, "api_key": api_key})
    return {"payment": payment, "status": answer}


async def ask_bank(what: str, cents: int, details: dict[str, str]) -> str:
    """Send one request to the bank, which takes its time."""
    await asyncio.sleep(0.08)
    if what == "refund":
        raise DeclinedError(f"refund of {cents} declined for key {details['api_key']}")
    return "paid"


def discounted(cents: int, coupon: str | None) -> int:
    """Return the price after the coupon."""
    return cents * 9 // 10 if coupon == "TEATIME" else cents


def payment_id(customer: str, cents: int) -> str:
    """Return the id of a payment."""
    return f"pay-{zlib.crc32(f'{customer}:{cents}'.encode()):08x}"
