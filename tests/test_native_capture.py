"""What C packs is what Python captures and packs, byte for byte; it remembers nothing, and runs nobody's code."""

from __future__ import annotations

import abc
import collections
import datetime
import decimal
import enum
import functools
import gc
import importlib
import inspect
import itertools
import math
import os
import random
import re
import signal
import string
import sys
import threading
import types
import uuid
import weakref
import zlib
from collections.abc import AsyncIterator, Iterator
from typing import Any, NamedTuple

import pytest

import condition_values
from tracepatch.capture import Capturer
from tracepatch.redaction import RedactionPolicy, Redactor
from tracepatch.secret_texts import _DIGITS, _HINT, is_card, suspect
from tracepatch.stream import packer
from tracepatch_shared.limits import Capture

native: Any = pytest.importorskip(
    "tracepatch.cores._native", reason="installed where no C compiler is", exc_type=ImportError
)
pack: Any = packer()
PARSER: Any = re._parser if sys.version_info >= (3, 11) else importlib.import_module("sre_parse")  # type: ignore[attr-defined]

OPTIONS = [
    Capture(),
    Capture(depth=4, items=5, text=30),
    Capture(depth=1),
    Capture(depth=0),
    Capture(depth=8, items=3, text=4),
    Capture(depth=2, items=0),
    Capture(depth=3, items=1, text=0),
    Capture(depth=8, items=1000, text=10_000),
]
SECRETS: list[Any] = [
    {"password": "hunter2-Zq9"},
    {"pin": "123", "token": 48151623},
    {"secret": {"a": "x y-z", "b": ["é!éé", 77_001, "abc"]}},
    ["--password", "correct horse"],
    "password=Tr0ub4dor&3",
    {"cvv": 9_999, "card": "4111 1111 1111 1111"},
    {
        "secret": [
            len,
            math,
            Capture,
            re.compile("x"),
            functools.partial(len),
            1j,
            range(3),
            collections.deque(),
        ]
    },
]


class Plain:
    pass


class Below(Plain):
    pass


class Meta(type):
    pass


class Other(metaclass=Meta):
    pass


class Slots:
    __slots__ = ("inner",)


class MoreSlots(Slots):
    __slots__ = ("name", "password", "token_count", "value")


class SameSlots(Slots):
    __slots__ = ("inner", "other")


class Both(Plain):
    __slots__ = ("inner",)


class Text(str):
    __slots__ = ()


class Items(list):
    pass


class Pairs(dict):
    pass


class Ünïcode:
    pass


class Color(enum.Enum):
    RED = 1
    PASSWORD = "x"
    Ünïcode = 2


class Mode(enum.IntFlag):
    READ = 1
    WRITE = 2


class Nothing(enum.Enum):
    """Its members are made before their names are."""

    ONE = 1

    def __init__(self, value: Any) -> None:
        for number in range(20):
            setattr(self, f"field{number}", value)


class Couple(NamedTuple):
    uid: int
    user: str


class Point(NamedTuple):
    inner: Any
    name: Any = None
    password: Any = "x"


class Wide(collections.namedtuple("Wide", [f"field{number}" for number in range(25)])):
    __slots__ = ()


class Deep(Couple):
    """A named tuple with a `__dict__`."""


class Triple(tuple):
    __slots__ = ()


class Defaults(dict):
    __slots__ = ("inner",)


class Moving(Pairs):
    __slots__ = ("name", "value")


def called(*args: Any) -> Any:
    return args


def renamed(module: Any, qualname: str = "renamed") -> Any:
    def made() -> None: ...

    made.__module__, made.__qualname__ = module, qualname
    return made


def moved(module: Any, **members: Any) -> type:
    made = type("Moved", (), members)
    made.__module__ = module
    return made


def steps() -> Iterator[int]:
    yield 1


async def awaits() -> None: ...


async def flows() -> AsyncIterator[int]:
    yield 1


WAITS = awaits()
WAITS.close()
LINE = collections.deque([1, "a", {"uid": 7}], maxlen=5)
HOLDER = Plain()

NAMED = (
    called, len, Plain, Meta, Other, int, abc.ABC, collections.deque, Plain().__init__, called.__get__(HOLDER), [].append, "".join,
    functools.partial(len).__call__, types.MethodType(len, HOLDER), types.MethodType(Plain, 5), steps(), WAITS, flows(), math, sys,
    weakref.ref(HOLDER), weakref.proxy(HOLDER), types.MappingProxyType({}), renamed(None), renamed("builtins"), renamed("a", "é"), renamed(Text("a")),
    renamed("x" * 201), renamed("a", "x" * 200), renamed(5), moved(None), moved("builtins"), moved("é"), moved(Text("b")), moved(7),
    moved("a", __dict__=1), types.ModuleType("made"), types.ModuleType("é"), type("Né", (), {}), type("A" * 201, (), {}), zlib.compressobj(),
    lambda: 1, types.new_class("Odd", exec_body=lambda names: names.update({"__module__": "odd"})), type(sys.flags), re.Match, itertools.count,
)  # fmt: skip
"""What is shown by its name."""

MEMBERS = (
    *Color,
    Mode.READ,
    Mode.READ | Mode.WRITE,
    Nothing.ONE,
    re.IGNORECASE,
    signal.SIGINT,
    inspect.Parameter.KEYWORD_ONLY,
)


class Pair:
    """Two capturers with the same history: one that C reads for, one that Python does."""

    def __init__(self, options: Capture, policy: RedactionPolicy, mode: str = "safe") -> None:
        self.one, self.other = (Capturer(options, Redactor(policy), mode=mode) for _ in range(2))
        self.capture = native.capture(self.one)

    def check(self, value: Any) -> bool:
        """Tell whether C read a value, as Python did."""
        got = native.encode(self.capture, value)
        expected = self.other.value(value)
        if got is None:
            self.one.value(value)
        else:
            assert got == pack(expected), (value, expected)
        mine, theirs = self.one._redactor, self.other._redactor
        for name in set(Redactor.__slots__) - {"_clean", "plain", "plain_names", "plain_naming"}:
            assert getattr(mine, name) == getattr(theirs, name), name
        return got is not None


class Values:
    """A source of random values."""

    NAMES = (
        "uid", "name", "key", "value", "user", "items", "note", "Name", "header", "field", "sku", "price", "a-b", "a.b",
        "password", "token", "api_key", "auth", "-p", "--password", "username", "max_tokens", "color", "é", "",
    )  # fmt: skip
    PIECES = (
        "a", "bob", "name", "password", "x-api-key", "-", " ", "'", '"', ":", "=", "%3D", ",", "(", "[", "@", "/", ".", "\\",
        "4111111111111111", "12345678", "1 2", "--", "<", "</", "curl", "bearer ", "eyJ", "sk-", "sk_", "AKIA", "AIza", "é",
        "\n", "\ud800", "\0", "hunter2-Zq9", "123", "48151623", "x y-z", "abc", "77001", "Tr0ub4dor", "aHVudGVyMi1acTk",
    )  # fmt: skip
    NUMBERS = (
        0, 1, -1, 23, -32, -33, 127, 128, -128, -129, 255, 256, 32767, -32768, -32769, 65535, 65536, 77_001, -77_001, 9_999,
        48151623, (1 << 30) - 1, 1 << 30, -(1 << 30), 1 << 31, -(1 << 31), -(1 << 31) - 1, 1 << 32, (1 << 32) - 1,
        (1 << 63) - 1, 1 << 63, -(1 << 63), -(1 << 63) - 1, (1 << 64) - 1, 1 << 64, 1 << 300, 10**12, 4111111111111111,
        5500005555555559, 1_700_000_000_000_000_000,
    )  # fmt: skip
    OTHERS = (
        None, True, False, b"x", b"password", b"-p", b"a=b", b"\x00", b"\x7f\x1b\t", b"\xc3\xa9", b"\xff", b"x" * 121, b"", b"4111111111111111",
        1j, Text("abc"), "", Plain, len, ..., object(), threading.Lock(), functools.partial(len, 1), re.compile("x"), decimal.Decimal("1.5"),
        datetime.date(2024, 1, 2), uuid.UUID(int=5), {1, "a"}, frozenset(), collections.deque([1]), ValueError("x"), math, iter(()), Meta,
        collections.OrderedDict(a=1), range(3), slice(1), bytearray(b"x"), memoryview(b"x"), types.SimpleNamespace(a=1), b"hunter2-Zq9",
    )  # fmt: skip
    FLOATS = (0.0, -0.0, 1.5, -1e300, 5e-324, math.inf, -math.inf, math.nan, 1e16, 0.1)

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self._outer: list[Any] = []

    def text(self) -> str:
        chance = self.random
        kind = chance.randrange(8)
        if kind < 3:
            return chance.choice(self.NAMES)
        if kind < 5:
            return "".join(chance.choices(self.PIECES, k=chance.randrange(5)))
        if kind == 5:
            return chance.choice("ab") * chance.choice((1, 4, 5, 31, 32, 64, 65, 120, 121, 255, 256, 300))
        return "".join(chance.choices(string.ascii_letters + string.digits + "_-. /", k=chance.randrange(40)))

    def scalar(self) -> Any:
        chance = self.random
        kind = chance.randrange(9)
        if kind < 4:
            return self.text()
        if kind < 6:
            return (
                chance.choice(self.NUMBERS)
                if chance.random() < 0.7
                else chance.randrange(-(1 << 40), 1 << 64)
            )
        if kind == 6:
            return chance.choice(self.FLOATS)
        return chance.choice(chance.choice((self.OTHERS, NAMED, MEMBERS)))

    def standard(self, size: int, depth: int) -> Any:
        """Return a container of one of the standard classes, or an instance of a subclass of one."""
        chance = self.random
        made: Any = [self.value(depth + 1) for _ in range(size)]
        kind = chance.randrange(6)
        if kind == 0:
            return collections.deque(made)
        if kind == 1:
            return chance.choice((set, frozenset))(
                item for item in made if type(item) in (str, int, bytes, float)
            )
        if kind == 2:
            return Point(*made[:3]) if made and chance.random() < 0.7 else Deep(*[*made, 1, 2][:2])
        if kind == 3:
            return chance.choice((Triple, Items))(made)
        pairs = {self.text(): item for item in made}
        if kind == 4:
            ordered = collections.OrderedDict(pairs)
            if pairs and chance.random() < 0.5:
                ordered.move_to_end(next(iter(pairs)))
            return chance.choice((ordered, collections.defaultdict(list, pairs)))
        holds = chance.choice((Pairs, Defaults, Moving))(pairs)
        if type(holds) is not Defaults and chance.random() < 0.5:
            holds.value = self.value(depth + 1)
        return holds

    def value(self, depth: int = 0) -> Any:
        chance = self.random
        kind = chance.randrange(18) if depth < 5 else 0
        if kind < 6:
            return self.scalar()
        if kind > 15:
            return self.standard(chance.choice((0, 1, 2, 3, 21) if depth < 3 else (0, 1, 2)), depth)
        if kind == 15:
            return chance.choice(self._outer) if self._outer else self.scalar()  # a cycle
        size = chance.choice((0, 1, 1, 2, 2, 3, 3, 4, 5, 6, 21) if depth < 3 else (0, 1, 2, 3))
        if kind < 9:
            made: Any = []
            self._outer.append(made)
            made += [self.value(depth + 1) for _ in range(size)]
            self._outer.pop()
            return tuple(made) if kind == 7 else made if chance.random() < 0.95 else Items(made)
        pairs: dict[Any, Any] = {}
        owner: Any = pairs
        if kind >= 12:
            owner = chance.choice((Plain, Below, Other, Ünïcode, Both, Slots, MoreSlots, SameSlots))()
            pairs = getattr(owner, "__dict__", pairs)
            if chance.random() < 0.1 and owner is not pairs and not isinstance(owner, Slots):
                pairs = owner.__dict__ = Pairs()
        self._outer.append(owner)
        for _ in range(size):
            key: Any = (
                self.text() if chance.random() < 0.95 else chance.choice((1, (1, 2), Text("uid"), None))
            )
            pairs[key] = self.value(depth + 1)
        self._outer.pop()
        for name in ("inner", "name", "value", "password", "token_count", "other"):
            if isinstance(owner, (Both, Slots)) and hasattr(type(owner), name) and chance.random() < 0.6:
                setattr(owner, name, self.value(depth + 1))
        return owner


@pytest.mark.parametrize("seed", range(24))
@pytest.mark.parametrize("mode", ["safe", "repr"])
def test_c_packs_what_python_captures(seed, mode):
    values = Values(seed)
    chance = values.random
    options = OPTIONS[seed % len(OPTIONS)]
    policy = RedactionPolicy(
        enabled=seed % 7 != 5, extra_names=("sku", "Colour Code") if seed % 3 == 0 else ()
    )
    done = 0
    for _ in range(16):
        pair = Pair(options, policy, mode)
        for _ in range(40):
            value = chance.choice(SECRETS) if chance.random() < 0.03 else values.value()
            for _ in range(3):
                done += pair.check(value)  # the second time its names are known
    assert done > (300 if mode == "safe" else 100)


@pytest.mark.parametrize("remembered", [[], SECRETS[:1], SECRETS])
@pytest.mark.parametrize(
    "value",
    [
        0, -1, 1 << 20, 999, None, True, 1.5, math.nan, "", "hello", "order-17", "a" * 120, "user_name", "550e8400-e29b-41d4-a716-44665c440000",
        {"uid": 7, "user": "ann", "price": 1.5, "paid": True, "note": None}, [1, 2, 3, 4, 5], ["a", "b"], (1, "a", None), (), [], {},
        "é", "größer als ∞ \U0001f600", {"a": ["é"]}, "http://localhost:80/a?b=1&c=2", "2024-01-01T10:20:30.5", "SELECT 1 WHERE (a=1)",
        "see http://localhost/a?b=1 and more of this, a text of more than half the bound: 1",
        [{"a": 1}] * 6, {"name": "bob", "lines": [1, 2]}, {"name": 5, "key": None}, list(range(30)), tuple(range(30)), [[1], [[2, [3]]]],
    ],
)  # fmt: skip
def test_this_is_read_in_c(value, remembered):
    pair = Pair(Capture(), RedactionPolicy())
    for secret in remembered:
        pair.check(secret)
    pair.check(value)
    assert pair.check(value)


def instance(cls: type, **fields: Any) -> Any:
    made = cls()
    for name, item in fields.items():
        setattr(made, name, item)
    return made


@pytest.mark.parametrize(
    "value",
    [
        instance(Plain, uid=7, name="bob"), instance(Below, inner=instance(Plain)), instance(Other, a={"b": (1, 2)}),
        instance(Ünïcode, uid=7), Plain(), object(), threading.Lock(), Slots(), instance(Slots, inner=1), b"", b"bytes", [b"a"], {"a": b"x"},
        instance(MoreSlots, inner=b"x", value=[Slots()]), instance(Plain, lock=threading.Lock(), other=object()), [instance(Plain, a=[instance(Plain, a=[])])],
        called, len, Plain, Meta, int, called.__get__(HOLDER), Plain().__init__, [].append, steps(), WAITS, flows(), math, weakref.ref(HOLDER), weakref.proxy(HOLDER),
        types.MappingProxyType({}), renamed("builtins"), moved("builtins"), Color.RED, Mode.READ, [Color.RED, {"a": Mode.WRITE}], {5: 1, (1, 2): "a", None: [1]},
        {"a": len}, {"a": {1}}, {1, "a"}, frozenset(), {(1, "a"), 5}, set(range(30)), LINE, collections.deque(), collections.deque(range(30)), [LINE] * 3,
        collections.OrderedDict(uid=1), collections.defaultdict(list, uid=[1]), [[collections.OrderedDict(uid=1), [collections.defaultdict(list)]]],
        Pairs(), Pairs(uid=1), instance(Pairs, uid=5), Defaults(uid=1), instance(Defaults, inner=5), Items(), Items([1, "a"]), Triple((1, 2)), sys.version_info,
        os.stat("."), Couple(1, "a"), {str(n): n for n in range(21)}, instance(Plain, **{f"f{n}": n for n in range(25)}),
        Both(), instance(Both, inner=1), instance(Both, inner=1, uid=7), instance(Items, uid=1), Deep(1, "a"), Nothing.ONE, (b"a", b"b"), [b"a", 1, 2], [(b"host", b"shop"), (b"accept", b"*/*")], {b"a": 1}, dict.fromkeys(range(30)),
    ],
)  # fmt: skip
def test_these_objects_are_read_in_c(value):
    pair = Pair(Capture(), RedactionPolicy())
    pair.check(value)
    assert pair.check(value)


@pytest.mark.parametrize(
    "value",
    [
        {"password": 1}, {"name": "password", "value": 1}, ["password", "x"], ["a", "--token", "x"], ("token", 1, 2), (b"password", b"b"), [b"token", 1, 2], {b"password": 1},
        {"a": "x" * 121}, {"a": "\ud800"}, {"é": 1}, {"a": "password=x"}, {"a": 4111111111111111}, {"a": 1 << 64},
        {"a": b"\xff"}, {"key": b"a"}, instance(Plain, _token="x"), ValueError(), Text("a"), {Text("a"): 1},
        1 << 64, -(1 << 63) - 1, 4111111111111111, "password=é", "\ud800", "x" * 121, "Bearer abcdef", b"a\0", 1j, SameSlots(), Color.Ünïcode,
        renamed(None), renamed("a", "é"), renamed(Text("a")), moved(7), type("Né", (), {}), types.ModuleType("é"), Wide(*range(25)),
        functools.partial(len, 1), Point(1, "a"),
    ],
)  # fmt: skip
def test_this_is_not(value):
    pair = Pair(Capture(), RedactionPolicy())
    for _ in range(3):
        assert not pair.check(value)


def test_what_is_seen_again_is_hidden_again():
    pair = Pair(Capture(), RedactionPolicy())
    shown = ["see hunter2-Zq9", 48151623, "123", {"a": "48151623"}, "x48151623"]
    for value in shown:
        pair.check(value)
        assert pair.check(value)
    for secret in SECRETS[:2]:
        pair.check(secret)
    for value in shown[:-1]:
        assert not pair.check(value)


@pytest.mark.parametrize("remembered", [[], SECRETS[:1]])
@pytest.mark.parametrize(
    "value",
    [
        None, True, False, 0, -7, 999, 0.0, -0.0, 1.0, 1e16, 0.1, math.inf, math.nan, -1e300, "", "hello", "a b", "x" * 118, 'say "x"',
        "http://localhost/?a=1", [], (), {}, (1,), [1, "a", None], {"a": 1, "b": [1.5, True]}, ["a", "b"], {"name": "bob", "key": 5},
        list(range(20)), {f"key{number}": "v" * 60 for number in range(20)}, [["x" * 64] * 5] * 8, [["x" * 64] * 8] * 5, "two words",
    ],
)  # fmt: skip
def test_the_repr_of_this_is_made_in_c(value, remembered):
    for limit in (2, 120, 3_000):
        pair = Pair(Capture(text=limit, depth=3, items=20), RedactionPolicy(), "repr")
        for secret in remembered:
            pair.check(secret)
        pair.check(value)
        assert pair.check(value) or len(repr(value)) > (limit if type(value) is str else 2_800)


@pytest.mark.parametrize(
    "value",
    [
        {"password": 1}, {"a/b": 1}, {"": 1}, ["password", "x"], ["a -token x"], ["-token"], ["it's"], "it's", "a\\b", "a\nb", "é", ["é"],
        1 << 31, [4111111111111111], [4111111111111111.0], {1: 2}, Plain(), [b"x"], b"x", 1j, Text("a"), Items(), {"form-data": 1},
        "password=x", {"key": "api_key", "value": "x"}, ["Bearer abcdef"], [[[[1]]]], list(range(21)), "x[", "(b",
    ],
)  # fmt: skip
def test_the_repr_of_this_is_not(value):
    if value == "x[" or value == "(b":
        value *= 4
    pair = Pair(Capture(), RedactionPolicy(), "repr")
    for _ in range(3):
        assert not pair.check(value)


@pytest.mark.parametrize("length", range(2_795, 2_804))
def test_a_repr_is_made_in_c_up_to_the_same_length(length):
    texts = [["x" * 62] * 6] * 7
    texts.append(["x" * (length - len(repr([*texts, [""]])))])
    assert len(repr(texts)) == length or len(texts[-1][0]) > 64
    pair = Pair(Capture(text=3_000), RedactionPolicy(), "repr")
    pair.check(texts)
    assert pair.check(texts) == (length <= 2_800)


# ---- texts


def matching(pattern: Any, chance: random.Random) -> str:
    """Return a text that a parsed expression matches."""
    text = ""
    for kind, what in pattern:
        name = str(kind)
        if name == "LITERAL":
            text += chr(what)
        elif name == "IN":
            item, limits = chance.choice(what)
            text += chr(limits if str(item) == "LITERAL" else chance.randint(*limits))
        elif name == "BRANCH":
            text += matching(chance.choice(what[1]), chance)
        elif name == "SUBPATTERN":
            text += matching(what[3], chance)
        elif name == "MAX_REPEAT":
            count = chance.randint(what[0], min(what[1], what[0] + 1))
            text += "".join(matching(what[2], chance) for _ in range(count))
        elif name == "ASSERT" and what[0] > 0:
            text += matching(what[1], chance)
        elif name == "ASSERT":
            found = matching(what[1], chance)
            assert found[-1] == text
            text = found
        else:
            raise AssertionError(f"the test does not know {kind}")
    return text


@functools.cache
def hints() -> list[str]:
    chance = random.Random(7)
    parse: Any = PARSER.parse  # type: ignore[attr-defined]
    parsed = [list(parse(one.pattern)) for one in (_HINT, _DIGITS)]
    return sorted({matching(one, chance) for _ in range(2_000) for one in parsed})


def test_no_shape_of_a_secret_is_overlooked():
    capture = native.capture(Capturer(Capture(), Redactor()))
    assert len(hints()) > 100
    for hint in hints():
        for before, after in (
            ("", "~" * 8),
            ("~" * 8, ""),
            ("~" * 4, "~" * 4),
            (" ", " " * 8),
            ("_" * 8, "-"),
        ):
            text = before + hint + after
            if suspect(text):
                assert native.encode(capture, text) is None, text
        assert suspect("~" * 8 + hint + "~" * 8), hint


def test_what_is_harmless_for_c_is_so_for_python():
    chance = random.Random(5)
    capture = native.capture(Capturer(Capture(text=10_000), Redactor()))
    alphabets = [
        string.ascii_letters + string.digits + " -_./",
        "0123456789 -",
        "0123456789- x",
        "eyJAKISz_-ghopsurtk[('\"bu.<%23/SGya29",
        "abcdefghijklmnopqrstuvwxyz_",
        "bBeEaArRsSiIcC",
        "".join(map(chr, range(128))),
    ]
    harmless = differing = 0
    for number in range(20_000):
        text = "".join(chance.choices(alphabets[number % len(alphabets)], k=chance.randrange(40)))
        if chance.random() < 0.3:
            at = chance.randrange(len(text) + 1)
            text = text[:at] + chance.choice(hints())[chance.randrange(2) :] + text[at:]
        shown = native.encode(capture, text) is not None
        if shown:
            assert not suspect(text) or "=" in text or ":" in text, text
            assert Redactor().redact(text, len(text)) == (text, 0, True)
        harmless += shown
        differing += not shown and not suspect(text)
    assert harmless > 8_000
    assert differing < 100


def test_where_a_name_is_set_to_something_c_finds_what_python_finds():
    chance = random.Random(8)
    pieces = [
        "a",
        "user",
        "id",
        "name",
        "password",
        "pw",
        "api",
        "key",
        "x-y",
        "k.l",
        "1",
        "30",
        "T10",
        "ü",
        "curl",
        "form-data",
        "is",
    ]
    marks = [
        *"=:=:=: &?;,/.-_$@[({])}\"'`\\%\t\n\0",
        "://",
        "%3D",
        ": ",
        " = ",
        '": "',
        "--",
        "postgres://",
        "-u ",
    ]
    done = 0
    for _ in range(40):
        pair = Pair(Capture(text=chance.choice((20, 120))), RedactionPolicy(extra_names=("kl",)))
        if chance.random() < 0.3:
            pair.check(chance.choice(SECRETS))
        texts = [
            "".join(
                chance.choice(chance.choice((pieces, pieces, marks))) for _ in range(chance.randrange(1, 14))
            )
            for _ in range(100)
        ]
        for text in texts:
            for value in (text, {"a": text}, text):
                done += pair.check(value)
    assert done > 2_000


def test_a_class_that_answers_for_its_fields_is_left_to_python():
    made = type("Odd", (), {"__dict__": property(lambda _: {"a": 1})})()
    made.b = 2
    pair = Pair(Capture(), RedactionPolicy())
    for _ in range(3):
        assert not pair.check(made)


def test_a_remembered_text_that_is_not_ascii_is_found():
    pair = Pair(Capture(), RedactionPolicy())
    pair.check({"secret": "é!éé"})
    for text in ("see é!éé", {"a": "ü é!éé"}):
        assert not pair.check(text)


@pytest.mark.parametrize(
    "text",
    [
        "curl\t-u\tuser:tomato", "curl\t-u\tuser:tomato x", "user:x@host", "http://user:x@host", "user:Bearer abcdefgh1", "user=('pw','x')",
        "user:4111111111111111", "user:x password=y", "my password\t:x", "api user:x api key:y", "user%3Dx:y", "user[password]=x",
        "api key:tomato", "form-data; name=password\n\ntomato", "--pw é",
    ],
)  # fmt: skip
def test_a_harmless_name_does_not_hide_a_secret(text):
    pair = Pair(Capture(), RedactionPolicy())
    pair.check("user:1")
    assert pair.check("user:2")
    assert pair.check(b"user:3")
    for known in ("key:1", "name=1"):
        pair.check(known)
        assert pair.check(known)
    assert not pair.check(text)


def test_card_numbers_are_told_as_python_tells_them():
    chance = random.Random(6)
    capture = native.capture(Capturer(Capture(), Redactor()))
    cards = 0
    for _ in range(20_000):
        figures = chance.choice("123456789") + "".join(
            chance.choices(string.digits, k=chance.randrange(10, 20))
        )
        if chance.random() < 0.3:
            figures = chance.choice(("2221", "2220", "2720", "2721", "4111")) + figures[4:]
        if int(figures) >= 1 << 64:
            continue
        cards += is_card(figures)
        assert (native.encode(capture, int(figures)) is None) == is_card(figures), figures
    assert cards > 500


# ---- nobody's code runs, nothing is kept


@pytest.mark.parametrize("mode", ["safe", "repr"])
def test_nothing_of_the_users_is_called(mode):
    values = [*condition_values.made().values()]
    values += (
        [{"a": value} for value in values]
        + [[value, 1] for value in values]
        + [instance(Plain, a=value) for value in values]
    )
    with condition_values.watched() as touched:
        for options in OPTIONS[:4]:
            pair = Pair(options, RedactionPolicy(), mode)
            for value in values:
                try:
                    hash(type(value))
                except RuntimeError:
                    pass
                touched.clear()
                native.encode(pair.capture, value)
                assert touched == []


def test_classes_that_change_are_read_as_they_are_now():
    class Changing:
        pass

    pair = Pair(Capture(), RedactionPolicy())
    made = instance(Changing, a=1)
    pair.check(made)
    assert pair.check(made)
    for number in range(2_000):
        Changing.more = number  # type: ignore[attr-defined]
        assert pair.check(made)
    Changing.__slots__ = ("a",)  # type: ignore[attr-defined]
    assert pair.check(made)
    made.__class__ = Below
    pair.check(made)
    assert pair.check(made)
    made.__dict__ = Pairs(a=1)
    assert not pair.check(made)


def test_classes_that_come_and_go_are_not_taken_for_each_other():
    pair = Pair(Capture(), RedactionPolicy())
    for number in range(500):
        made = type(f"Passing{number}", (), {})()
        made.a = number % 7
        pair.check(made)
        assert pair.check(made)


def test_classes_that_share_a_place_in_the_table_are_not_mixed_up():
    pair = Pair(Capture(items=40), RedactionPolicy())
    values: list[Any] = []
    for number in range(100):
        names = [f"field{place}" for place in range((1, 8, 25)[number % 3])]
        values.append(collections.namedtuple(f"Row{number}", names)(*[Plain() for _ in names]))
        values.append(enum.IntEnum(f"Level{number}", "ONE").ONE)  # type: ignore[attr-defined]
        values.append(enum.Enum(f"Name{number}", "ONE", type=str).ONE)  # type: ignore[attr-defined]
        values.append(instance(type(f"Slotted{number}", (), {"__slots__": ("inner",)}), inner=values[-3]))
    chance = random.Random(5)
    for value in values + [chance.choice(values) for _ in range(2_000)]:
        pair.check([value, chance.choice(values)])


def test_a_name_in_a_slot_and_in_the_dict_is_one_field():
    both = instance(Both, inner=1)
    vars(both)["inner"] = 2
    twice = type("Twice", (tuple,), {"_fields": ("a", "a"), "__slots__": ()})((1, 2))
    pair = Pair(Capture(), RedactionPolicy())
    for value in (both, twice, {"zeta", "yotta", "xeno"}):
        for _ in range(2):
            pair.check(value)
    pair = Pair(Capture(items=2), RedactionPolicy())
    for _ in range(2):
        pair.check({"zeta", "yotta", "xeno"})


def test_the_collector_does_not_run_while_a_value_is_read():
    value: Any = [instance(Plain, number=number) for number in range(40)] + [Plain() for _ in range(40)]
    capturer = Capturer(Capture(items=100), Redactor())
    capture = native.capture(capturer)
    capturer.value(value)
    collected: list[str] = []

    def collects(phase: str, _info: object) -> None:
        collected.append(phase)

    kept = [{} for _ in range(400)]  # type: ignore[var-annotated]
    gc.callbacks.append(collects)
    before = gc.get_threshold()
    gc.set_threshold(1)
    try:
        collected.clear()
        native.encode(capture, value)
        during = len(collected)
    finally:
        gc.set_threshold(*before)
        gc.callbacks.remove(collects)
    assert len(kept) == 400
    assert sys.version_info >= (3, 12) or during == 0
    assert gc.isenabled()


def test_nothing_is_kept_of_what_is_read():
    capturer = Capturer(Capture(depth=4, items=5), Redactor())
    capture = native.capture(capturer)
    text, number, real = "".join(("some ", "text")), 1 << 20, float("1.25")
    item = instance(Plain, a=text, b=number)
    key = "".join(("a ", "key"))
    value = {key: text, "list": [number, real, text], "item": item, "pair": (text, number)}
    bad = [text, number, {"a": [real, {"b": 1j}]}]
    parts = [
        text,
        number,
        real,
        item,
        key,
        value,
        value["list"],
        bad,
        Plain,
        vars(item),
        capturer,
        capturer._redactor,
    ]
    for one in (value, bad):
        capturer.value(one)
    assert native.encode(capture, value)
    assert native.encode(capture, bad) is None
    before = [sys.getrefcount(part) for part in parts]
    for _ in range(10_000):
        native.encode(capture, value)
        native.encode(capture, bad)
    assert [sys.getrefcount(part) for part in parts] == before
    for _ in range(100):
        native.encode(capturer, value)
    assert [sys.getrefcount(part) for part in parts] == before
    del capture
    assert sys.getrefcount(capturer) < before[-2]
