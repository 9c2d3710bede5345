"""Programs out of everything that a function can be, for comparing what two recorders make of the same run.

Each is called without arguments, by its name in `PROGRAMS`, and does the same in every run: threads take turns.
"""

from __future__ import annotations

import _thread
import asyncio
import collections
import contextvars
import dataclasses
import functools
import json
import operator
import random
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

AGAIN = range(4)
"""What is met for the first time takes another way, always: so all is done again."""
PROGRAMS: dict[str, Callable[[], Any]] = {}


def program(function: Callable[[], Any]) -> Callable[[], Any]:
    PROGRAMS[function.__name__] = function
    return function


def leaf(value: object) -> object:
    return value


def add(left: int, right: int = 1) -> int:
    return left + right


# ---- signatures


def keyword_only(first: int, /, second: int, *, third: int = 3, fourth: object = None) -> tuple[object, ...]:
    return first, second, third, fourth


def rest(first: int, *args: object, flag: bool = False, **kwargs: object) -> int:
    return first + len(args) + len(kwargs) + flag


def fifteen(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o):  # type: ignore[no-untyped-def] # noqa: E741
    return a + o


def sixteen(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p=16):  # type: ignore[no-untyped-def] # noqa: E741
    return a + p


def seventeen(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q=17):  # type: ignore[no-untyped-def] # noqa: E741
    return a + q


_NAMES = ", ".join(f"argument_{number}" for number in range(30))
exec(f"def thirty({_NAMES}):\n    return argument_0 + argument_29")


def in_cells(
    first: int, second: object, third: str, *args: object, key: str = "k", **kwargs: object
) -> object:
    def inner(more: int) -> object:
        nonlocal first
        first += more
        return first, second, key, args, kwargs

    return inner(1), inner(2), third


def lets_go(value: object, other: object) -> None:
    del value
    other = leaf("bound again")
    del other


def bound_again(value: object) -> object:
    value = leaf([value])
    return value


@program
def signatures() -> None:
    for _ in AGAIN:
        keyword_only(1, 2)
        keyword_only(1, second=2, third=4, fourth={"a": 1})
        rest(1)
        rest(1, 2, "three", flag=True, four=4, five=[5])
        fifteen(*range(15))
        sixteen(*range(15))
        sixteen(*range(16))
        seventeen(*range(16))
        globals()["thirty"](*range(30))
        globals()["thirty"](
            **{f"argument_{number}": "x" * number for number in range(30)}.copy() | {"argument_0": "y"}
        )
        in_cells(1, [2], "three", 4, five=5)
        lets_go("value", "other")
        bound_again(5)
        add(1)
        add(left=1, right=2)
        functools.partial(add, 5)(right=6)


# ---- values


class Color:
    def __init__(self, name: str, shade: int) -> None:
        self.name = name
        self.shade = shade


class Slotted:
    __slots__ = ("first", "second")

    def __init__(self, first: object) -> None:
        self.first = first

    def __repr__(self) -> str:
        return f"<slotted {self.first!r}>"


@dataclasses.dataclass
class Point:
    x: int
    y: float = 0.5

    def __repr__(self) -> str:
        return f"Point at {self.x}"


Pair = collections.namedtuple("Pair", "left right")


class Text(str):
    __slots__ = ()


class Angry:
    def __repr__(self) -> str:
        raise RuntimeError("not to be shown")

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("not to be compared")

    __hash__ = None  # type: ignore[assignment]


def shown() -> list[Any]:
    inside: list[Any] = [1]
    inside.append(inside)
    return [
        None, True, False, 0, 1, -1, 127, 128, 255, 256, 2**31, -(2**31) - 1, 2**53, 2**62, 2**64, -(2**70), 10**400,
        4111111111111111, 0.0, -0.0, 1.5, float("inf"), float("-inf"), 1e300, 3 + 4j, "", "a", "short", "longer text",
        "x" * 31, "x" * 32, "x" * 119, "x" * 120, "x" * 121, "x" * 255, "x" * 256, "x" * 70_000, "é", "\U0001f600" * 10,
        "\ud800", "new\nline", "\0", "Bearer abcdefghijklmnop", "password=hunter2", "4111 1111 1111 1111",
        b"", b"bytes", b"\xff" * 200, bytearray(b"x"), [], [1, 2], [1, [2, [3, [4]]]], list(range(100)), (), (1,),
        ("password", "hunter2"), ["--token", "abc-def"], {"a": 1}, {"nested": {"deep": {"deeper": 1}}}, {1: 2}, {},
        {"password": "hunter2-x"}, {str(n): n for n in range(50)}, {1, 2}, frozenset(("x",)), range(5), Ellipsis,
        Color("red", 3), Slotted([1]), Point(1), Pair(1, [2]), Text("text"), Angry(), inside, leaf, Color, re, len,
        ValueError("told"), int, object,
    ]  # fmt: skip


@program
def values() -> None:
    for value in shown():
        leaf(value)
        keyword_only(value, value)  # type: ignore[arg-type]
        rest(1, value, key=value)


@program
def texts_that_come_again() -> None:
    for number in range(300):
        leaf(f"text number {number % 40}")
        leaf("é" * (number % 9))
        leaf({"first key": "a value", "n": number})


@program
def many_texts() -> None:
    for number in range(2 * 4_200):
        leaf(f"text number {number % 4_200}")


def login(user: str, password: str) -> str:
    return leaf(f"{user} comes with {password}")  # type: ignore[return-value]


def get_token(user: str) -> str:
    return f"token-of-{user}-x81"


def set_setting(name: str, value: object) -> object:
    return leaf(value)


def secret_number() -> int:
    return 815


@program
def secrets() -> None:
    for number in AGAIN:
        login("ann", f"hunter2-Zq{number}")
        leaf(f"hunter2-Zq{number} comes later")
        leaf([f"hunter2-Zq{number}"])
        get_token("ann")
        leaf("token-of-ann-x81")
        set_setting("api_key", f"k-93-kk-{number}")
        set_setting("color", "red and blue")
        secret_number()
        leaf(815)
        leaf("k-93-kk-1")


# ---- kinds of functions


class Shop:
    """Methods of every kind; what its body calls is recorded, too."""

    made = leaf("in a class body")

    def __init__(self, name: str) -> None:
        self.name = name

    def method(self, value: object) -> object:
        return leaf(value)

    @classmethod
    def classy(cls, value: object) -> object:
        return leaf(value)

    @staticmethod
    def static(value: object) -> object:
        return leaf(value)

    @property
    def held(self) -> str:
        return self.name

    def __call__(self, value: object) -> object:
        return self.method(value)

    def __getitem__(self, key: object) -> object:
        return leaf(key)

    def __len__(self) -> int:
        return 5

    def __enter__(self) -> Shop:
        return self

    def __exit__(self, *args: object) -> bool:
        return args[0] is KeyError


def logged(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


@logged
@functools.lru_cache(maxsize=4)
def decorated(value: int) -> int:
    return add(value)


@program
def kinds() -> None:
    for _ in AGAIN:
        shop = Shop("corner")
        shop.method(1)
        shop(2)
        Shop.classy(3)
        shop.static(4)
        leaf(shop.held)
        leaf(shop["key"])
        leaf(len(shop))
        with shop, suppress(ValueError):
            raise KeyError("caught by the shop")
        decorated(1)
        decorated(1)

        class Local(Shop):
            again = leaf("in another body")

            def method(self, value: object) -> object:
                return super().method((value, self.__class__.__name__))

        Local("x").method(5)
        (lambda left, *right: leaf((left, right)))(1, 2, 3)
        [leaf(number) for number in range(3)]
        {leaf(number): add(number) for number in range(3)}
        sum(add(number) for number in range(3))
        eval("leaf(1) or add(1)", globals())
        exec("def made(x, y=2):\n    return leaf((x, y))\nmade(1)\nmade(1, y=3)", globals().copy())
        with opened("file") as name:
            leaf(name)


@contextmanager
def opened(name: str) -> Iterator[str]:
    leaf("opens")
    try:
        yield name
    finally:
        leaf("closes")


# ---- libraries and what they call back


@program
def libraries() -> None:
    for _ in AGAIN:
        json.dumps({"a": [1, 2, {"b": None}]}, default=leaf, indent=1)
        json.loads('{"a": [1, 2.5, "x"]}', object_hook=leaf)
        re.sub("a", lambda found: str(leaf(found[0])), "banana")
        sorted([3, 1, 2], key=functools.cmp_to_key(lambda left, right: add(left, -right)))
        list(map(leaf, [1, 2]))
        max([1, 5, 3], key=leaf)
        functools.reduce(add, [1, 2, 3])
        operator.methodcaller("method", 5)(Shop("called"))
        random.Random(3).choices([1, 2, 3], k=5)
        with suppress(ValueError):
            json.dumps({"a": object()}, default=fails)
        collections.OrderedDict(a=leaf(1)).popitem()
        Pair(1, 2)._replace(left=leaf(3))
        Point(1) == Point(2)


# ---- exceptions


def fails(value: object) -> None:
    leaf(value)
    raise ValueError(f"no {type(value).__name__}")


def goes_through(value: object) -> None:
    try:
        fails(value)
    finally:
        leaf("cleaned")


def catches(value: object) -> object:
    try:
        goes_through(value)
    except ValueError as error:
        return leaf(error)
    return None


def raises_another(value: object) -> None:
    try:
        fails(value)
    except ValueError as error:
        raise KeyError(value) from error


@program
def exceptions() -> None:
    for _ in AGAIN:
        catches(1)
        with suppress(ValueError):
            goes_through(2)
        with suppress(ValueError):
            list(map(fails, [1, 2]))  # through a native frame
        with suppress(ValueError):
            sorted([1, 2], key=fails)  # type: ignore[arg-type]
        with suppress(LookupError):
            raises_another("key")
        with suppress(OSError):
            (leaf("/nowhere") and open)("/nowhere/at/all")
        with suppress(UnicodeDecodeError):
            b"\xff".decode()
        with suppress(ZeroDivisionError):
            leaf(1 // 0)
        with suppress(BaseException):
            raise SystemExit(leaf(3))
        for _ in range(3):
            catches("again and again")


@program
def root_that_raises() -> None:
    leaf(1)
    raise LookupError("that is how it ends")


# ---- depth


def deeper(left: int) -> int:
    return left and deeper(left - 1) + 1


def even(number: int) -> bool:
    return number == 0 or odd(number - 1)


def odd(number: int) -> bool:
    return number != 0 and even(number - 1)


@program
def recursion() -> None:
    deeper(5)
    even(7)
    deeper(150)
    deeper(320)
    leaf("and back")


@program
def many_calls() -> None:
    for number in range(2_600):
        add(number, number)
        if number % 50 == 0:
            deeper(4)


# ---- generators, coroutines


def counts(most: int) -> Iterator[object]:
    for number in range(most):
        yield leaf(number)


def chained(most: int) -> Iterator[object]:
    yield from counts(most)
    got = yield leaf("more?")
    leaf(got)
    yield from chained(most - 1) if most else ()


def given() -> Iterator[object]:
    got = None
    while True:
        try:
            got = yield leaf(got)
        except ValueError as error:
            got = leaf(str(error))


@program
def generators() -> None:
    for _ in AGAIN:
        list(counts(3))
        items: Any = chained(2)
        for item in items:
            leaf(item)
        one, other = counts(3), counts(3)
        for pair in zip(one, other, strict=True):
            leaf(pair)
        talks: Any = given()
        next(talks)
        talks.send("sent")
        talks.throw(ValueError("thrown"))
        talks.close()
        half = given()  # of others 3.13 does not tell that they end, and what comes at their address depends
        next(half)
        del half
        never = counts(2)
        del never
        list(map(leaf, counts(2)))


async def waits(value: object, turns: int = 1) -> object:
    for _ in range(turns):
        await asyncio.sleep(0)
        leaf(value)
    return value


async def numbers(most: int) -> AsyncIterator[object]:
    for number in range(most):
        await asyncio.sleep(0)
        yield leaf(number)


async def cancelled() -> None:
    try:
        await asyncio.sleep(1000)
    finally:
        leaf("cancelled")


async def serve() -> None:
    await waits("alone")
    leaf([item async for item in numbers(3)])
    await asyncio.gather(*(waits(f"side by side {number}", 3) for number in range(4)))
    task = asyncio.create_task(cancelled(), name="to be cancelled")
    await asyncio.sleep(0)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    other = asyncio.ensure_future(waits("other", 2))
    for number in range(4):
        leaf(number)
        await asyncio.sleep(0)
    await other
    asyncio.get_running_loop().call_soon(leaf, "called soon")
    await asyncio.sleep(0)
    with suppress(ValueError):
        await waits(fails(1))


@program
def tasks() -> None:
    asyncio.run(serve())


# ---- threads


def side_by_side(*functions: Callable[[Callable[[], None]], None]) -> None:
    """Run these in threads, in this Context; each says where it is another's turn."""
    turns, begun, ends = ([_thread.allocate_lock() for _ in functions] for _ in range(3))
    for lock in (*turns, *begun, *ends):
        lock.acquire()

    def run(at: int) -> None:
        def turn() -> None:
            turns[(at + 1) % len(turns)].release()
            turns[at].acquire()

        begun[at].release()
        turns[at].acquire()
        try:
            functions[at](turn)
        finally:
            turns[(at + 1) % len(turns)].release()
            ends[at].release()

    for at in range(len(functions)):
        _thread.start_new_thread(contextvars.copy_context().run, (run, at))
        begun[at].acquire()
    turns[0].release()
    for lock in ends:
        lock.acquire()


def takes_turns(turn: Callable[[], None]) -> None:
    for number in range(5):
        add(number)
        turn()
        leaf("after the turn")


def deep_turns(turn: Callable[[], None], left: int = 3) -> None:
    turn()
    if left:
        deep_turns(turn, left - 1)
    turn()


@program
def threads() -> None:
    side_by_side(takes_turns, takes_turns)
    leaf("between")


@program
def more_threads() -> None:
    side_by_side(deep_turns, deep_turns)


@program
def everything() -> None:
    for name in ("signatures", "kinds", "libraries", "exceptions", "generators", "secrets"):
        PROGRAMS[name]()
