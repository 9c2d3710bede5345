"""Values that tell when anybody calls one of their methods, and random ones for conditions.

`touched` holds what was called since `watched()` began.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import datetime
import decimal
import enum
import pathlib
import random
import types
import uuid
import weakref
from collections.abc import Iterator
from typing import Any

touched: list[str] = []
_watching = [False]


@contextlib.contextmanager
def watched() -> Iterator[list[str]]:
    """Note what is called of the instrumented classes from now on; while they are made, they are asked for their hash."""
    touched.clear()
    _watching[0] = True
    try:
        yield touched
    finally:
        _watching[0] = False


def noting(name: str, answer: Any = NotImplemented) -> Any:
    def method(*_arguments: Any, **_named: Any) -> Any:
        if _watching[0]:
            touched.append(name)
            raise RuntimeError(name)
        return answer

    return method


METHODS = [
    "repr",
    "str",
    "len",
    "iter",
    "next",
    "eq",
    "ne",
    "bool",
    "getattr",
    "getattribute",
    "get",
    "set",
    "call",
    "contains",
    "getitem",
    "missing",
    "index",
    "int",
    "float",
    "bytes",
    "format",
    "dir",
    "sizeof",
    "reduce",
    "reduce_ex",
    "enter",
    "exit",
    "lt",
    "le",
    "gt",
    "ge",
    "length_hint",
    "reversed",
    "add",
    "radd",
    "sub",
    "mul",
    "truediv",
    "floordiv",
    "mod",
    "neg",
    "pos",
    "abs",
    "instancecheck",
    "subclasscheck",
    "fspath",
    "trunc",
    "round",
    "complex",
    "divmod",
    "pow",
    "and",
    "or",
    "xor",
    "invert",
]
NAMESPACE = {f"__{name}__": noting(name) for name in METHODS} | {
    "__hash__": noting("hash", hash("kind")),
    "__class__": property(noting("class")),
    "__module__": "hostile",
    "total": property(noting("property")),
    "lower": noting("lower"),
    "startswith": noting("startswith"),
}


class Meta(type):
    __getattribute__ = noting("meta getattribute")  # type: ignore[assignment]
    __eq__ = noting("meta eq")
    __hash__ = noting("meta hash", 7)  # type: ignore[assignment]
    __repr__ = noting("meta repr")
    __instancecheck__ = noting("meta instancecheck")
    __subclasscheck__ = noting("meta subclasscheck")
    __bool__ = noting("meta bool")
    __len__ = noting("meta len")
    __mro__ = property(noting("meta mro"))  # type: ignore[assignment]
    __dict__ = property(noting("meta dict"))  # type: ignore[assignment]


def hostile(*bases: type, metaclass: type = type, **more: Any) -> Any:
    namespace = {name: method for name, method in NAMESPACE.items() if name not in more}
    return metaclass("Hostile", bases, namespace | more)


class Key(str):
    """A key that has the hash of its text, and tells when it is compared."""

    __slots__ = ()
    __hash__ = str.__hash__
    __eq__ = noting("key eq", False)  # type: ignore[assignment]


class Collider:
    """A key that has the hash of another's text."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __hash__(self) -> int:
        if _watching[0]:
            touched.append("hash")
        return hash(self.text)

    __eq__ = noting("collider eq", False)  # type: ignore[assignment]


class Text(str, enum.Enum):
    PAID = "paid"


class Number(enum.IntEnum):
    ONE = 1


class Plain(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Order:
    total: Any = 5
    kind: Any = "book"


class Slotted:
    __slots__ = ("kind", "total")

    def __init__(self, total: Any) -> None:
        self.total = total


class Lazy:
    @property
    def total(self) -> int:
        touched.append("lazy")
        return 5

    def __getattr__(self, name: str) -> int:
        touched.append("lazy getattr")
        return 5


Pair = collections.namedtuple("Pair", "total kind")


class Money(decimal.Decimal):
    __eq__ = noting("money eq")
    __lt__ = noting("money lt")
    __hash__ = decimal.Decimal.__hash__


def made() -> dict[str, Any]:
    """Return values of every kind by a label."""
    found: dict[str, Any] = {
        "none": None,
        "true": True,
        "int": 42,
        "negative": -1,
        "bits": 1 << 255,
        "beyond bits": 1 << 257,
        "huge": 1 << 3_000_000,
        "float": 0.5,
        "nan": float("nan"),
        "inf": float("inf"),
        "text": "Ada Lovelace",
        "empty": "",
        "long": "ab" * 1_000_000,
        "long again": "ab" * 1_000_000,
        "dotted": "a" * 20_000,
        "letters": "İ" * 100_000,
        "surrogate": "\ud800",
        "bytes": b"abc",
        "many bytes": b"ab" * 1_000_000,
        "list": [1, "a", None, [2, [3]]],
        "deep": None,
        "circle": [],
        "big list": list(range(200_000)),
        "big texts": ["x" * 50] * 9_000,
        "lists": [["b"] * 3] * 2_000,
        "lists of lists": [["x"] * 90] * 90,
        "objects": [object() for _ in range(9_000)],
        "ids": [uuid.UUID(int=5)] * 9_000,
        "huge ones": [1 << 3_000_000] * 90,
        "alike": ["x" * 49 + "y"] * 9_000,
        "numbers": {number: number for number in range(9_999)},
        "tuple": (1, 2),
        "set": {1, "a"},
        "frozen": frozenset((1, 2)),
        "dict": {"kind": "book", "total": 3, 0: "zero", b"kind": 1, "inner": {"kind": [1]}},
        "big dict": {f"k{number}": number for number in range(200_000)},
        "ordered": collections.OrderedDict(kind=1),
        "defaults": collections.defaultdict(list, kind=1),
        "order": Order(),
        "orders": Order(Order(Order(Pair(1, "x")))),
        "slotted": Slotted(3),
        "lazy": Lazy(),
        "pair": Pair(1, "x"),
        "str enum": Text.PAID,
        "int enum": Number.ONE,
        "enum": Plain.RED,
        "uuid": uuid.UUID(int=5),
        "decimal": decimal.Decimal("10.50"),
        "odd decimal": decimal.Decimal("sNaN"),
        "long decimal": decimal.Decimal("1" * 900),
        "money": Money("3.5"),
        "date": datetime.date(2024, 1, 2),
        "moment": datetime.datetime(2024, 1, 2, tzinfo=datetime.timezone.utc),
        "delta": datetime.timedelta(seconds=3),
        "path": pathlib.PurePosixPath("/a/b"),
        "error": ValueError("x"),
        "class": Order,
        "module": random,
        "function": made,
        "namespace": types.SimpleNamespace(total=4, kind=None),
        "proxy": types.MappingProxyType({"kind": 1}),
        "complex": 1j,
        "range": range(10**9),
        "array": bytearray(b"abc"),
    }
    for _ in range(3_000):
        found["deep"] = [found["deep"]]
    found["circle"].append(found["circle"])
    for metaclass in (type, Meta):
        odd = object.__new__(hostile(metaclass=metaclass))
        found[f"hostile {metaclass.__name__}"] = odd
        found[f"hostile class {metaclass.__name__}"] = hostile(metaclass=metaclass)
        for base, content in (
            (int, (5,)), (float, (0.5,)), (str, ("kind",)), (bytes, (b"kind",)), (list, ()), (tuple, ((1, 2),)), (dict, ()),
            (set, ()), (frozenset, ((1,),)), (collections.OrderedDict, ()), (decimal.Decimal, ("3.5",)),
            (datetime.datetime, (2024, 1, 2)), (ValueError, ("x",)), (types.ModuleType, ("m",)),
        ):  # fmt: skip
            more = {"__class__": property(noting("class")), "__new__": base.__new__}
            found[f"{base.__name__} {metaclass.__name__}"] = base.__new__(
                hostile(base, metaclass=metaclass, **more), *content
            )
        found[f"inside {metaclass.__name__}"] = [odd, {"kind": odd, "total": [odd]}, (odd,), Order(odd, odd)]
        found[f"order of {metaclass.__name__}"] = Order(odd, odd)
        found[f"slots {metaclass.__name__}"] = Slotted(odd)
        found[f"weak {metaclass.__name__}"] = weakref.ref(odd)
    found["lying keys"] = {Key("kind"): 1, Key("total"): 2, Collider("k"): 3, "other": 4}
    found["colliding set"] = {Collider("kind"), Collider("x"), Key("kind"), 5}
    keyed = Order()
    keyed.__dict__.update({Key("kind"): 1})
    keyed.__dict__[Collider("total")] = 1  # type: ignore[index]
    found["lying fields"] = keyed
    odd_dict = object.__new__(type("Odd", (), {"__dict__": property(noting("dict"))}))
    found["dict property"] = odd_dict
    found["lying class"] = object.__new__(type("Odd", (), {Key("__dict__"): 1, Key("_fields"): ("kind",)}))
    return found


class Values:
    """A source of random values."""

    def __init__(self, random: random.Random) -> None:
        self._random = random
        self._pool = list(made().values())

    def one(self, depth: int = 0) -> Any:
        chance = self._random
        kind = chance.randrange(12 if depth < 3 else 6)
        if kind < 3:
            return chance.choice(self._pool)
        if kind == 3:
            return chance.choice(
                (chance.randint(-100, 100), chance.getrandbits(chance.randrange(1, 400)), chance.random())
            )
        if kind == 4:
            return "".join(chance.choices("ab/*x-é\U0001f600\n\0", k=int(chance.expovariate(0.05))))
        if kind == 5:
            return bytes(chance.choices(b"ab/x\xff", k=chance.randrange(30)))
        inside = [self.one(depth + 1) for _ in range(chance.randrange(4))]
        if kind == 6:
            return inside
        if kind == 7:
            return tuple(inside)
        if kind == 8:
            return Order(*inside[:2])
        if kind == 9:
            return Pair(self.one(depth + 1), self.one(depth + 1))
        if kind == 10:
            return Slotted(self.one(depth + 1))
        keys = ("kind", "total", "x", 0, 1, b"kind", Key("kind"), Collider("kind"), Collider("total"))
        return dict(zip(chance.sample(keys, len(inside)), inside, strict=True))
