"""The calls that are measured: small functions with small arguments, and a chain of awaits."""

from __future__ import annotations

import asyncio


class User:
    """One object per request, as servers make them."""

    def __init__(self, uid: int, name: str) -> None:
        self.uid = uid
        self.name = name


def fetch_user(uid: int) -> User:
    return User(uid, "Alice")


def validate(user: User, strict: bool = True) -> bool:
    return user.name != "" and strict


def price(items: list[dict[str, object]], discount: float) -> float:
    total = 0.0
    for item in items:
        total += item_price(item, discount)
    return total


def item_price(item: dict[str, object], discount: float) -> float:
    return item["price"] * (1 - discount)  # type: ignore[operator]


def serve(uid: int) -> float:
    user = fetch_user(uid)
    validate(user)
    return price(ITEMS, 0.1)


def run(count: int) -> None:
    for uid in range(count):
        serve(uid)


ITEMS: list[dict[str, object]] = [{"sku": f"sku-{n}", "price": n * 1.5} for n in range(6)]

CALLS_PER_SERVE = 11
"""serve, fetch_user, User.__init__, validate, price and six times item_price."""


def unrelated() -> None:
    """Be what a probe waits for while something else is measured."""


AWAIT_DEPTH = 20


async def descend(depth: int) -> None:
    if depth:
        await descend(depth - 1)
    else:
        for _ in range(AWAITS):
            await asyncio.sleep(0)


AWAITS = 200
"""Awaits of one `descend`: each suspends and resumes `AWAIT_DEPTH` frames."""
