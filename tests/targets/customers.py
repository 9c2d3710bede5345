"""A server whose customers pay one after the other, until somebody says `end`."""

import sys
import threading
from dataclasses import dataclass

import tracepatch


@dataclass
class Basket:
    total: int


def charge(user_id: int, amount: int) -> str:
    return f"{user_id} paid {amount}"


def pay(user_id: int, basket: Basket | None, *extra: str, **options: object) -> str:
    return charge(user_id, basket.total if basket else 0)


def serve(over: threading.Event) -> None:
    number = 0
    while not over.wait(0.001):
        number += 1
        pay(number % 50, Basket(number) if number % 7 else None, "x", voucher=number % 3)


if __name__ == "__main__":
    sys.modules["customers"] = sys.modules["__main__"]
    tracepatch.start(service="customers")
    over = threading.Event()
    server = threading.Thread(target=serve, args=(over,))
    server.start()
    print("serving", flush=True)
    sys.stdin.readline()
    over.set()
    server.join()
