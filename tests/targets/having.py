"""Tasks in which a call occurs that tells whether they are meant: deep down, inside a library, in a branch."""

from __future__ import annotations

import asyncio
import importlib
import json
import threading
import weakref
from collections.abc import Iterator
from typing import Any

LOCK = threading.Lock()


def load_user(user_id: int, name: str = "", **options: Any) -> str:
    del options
    return f"{user_id} {name}"


def audit(user_id: int) -> None:
    pass


def deep(levels: int, user_id: int) -> str:
    return deep(levels - 1, user_id) if levels else load_user(user_id)


def work(user_id: int, levels: int = 0) -> str:
    return deep(levels, user_id)


def busy(user_id: int, calls: int) -> None:
    for number in range(calls):
        audit(number)
    load_user(user_id)


class Encoder(json.JSONEncoder):
    """Called back by the library, which the application calls."""

    def default(self, o: Any) -> Any:
        load_user(o.user_id)
        return o.user_id


class User:
    def __init__(self, user_id: int) -> None:
        self.user_id = user_id


def dump(user_id: int) -> str:
    return json.dumps({"user": User(user_id)}, cls=Encoder)


def in_a_library(user_id: int) -> str:
    return json.dumps({"user": user_id})


async def branch(user_id: int) -> str:
    await asyncio.sleep(0)
    return load_user(user_id)


async def serve(user_id: int) -> None:
    await asyncio.gather(branch(user_id), asyncio.to_thread(audit, user_id))


def threads(user_id: int) -> None:
    thread = threading.Thread(target=load_user, args=(user_id,))
    thread.start()
    thread.join()


def items(user_id: int) -> Iterator[int]:
    yield user_id


def iterate(user_id: int) -> None:
    list(items(user_id))


def late(module: str, user_id: int) -> None:
    """Import a module and call its function."""
    importlib.import_module(module).load_late(user_id)


def closure(user_id: int) -> int:
    """Call a function whose argument is a cell."""

    def outer(user_id: int) -> int:
        def inner() -> int:
            return user_id

        return inner()

    return outer(user_id)


def drops(basket: Any) -> Iterator[bool]:
    """Tell whether an argument is gone when it is deleted; a generator, as a caller holds those of a plain function."""
    watch = weakref.ref(basket)
    del basket
    yield watch() is None


def drop() -> list[bool]:
    return list(drops(User(1)))
