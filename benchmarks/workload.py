"""Calls as a server makes them: small functions, an object per request, a list of rows.

Its functions are what is measured while a function beside them is armed, and what a task runs beside a traced one.
"""

from __future__ import annotations


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
