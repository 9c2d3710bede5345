"""Capture shows values truly, within bounds, and runs nobody's code."""

from __future__ import annotations

import asyncio
import builtins
import collections
import datetime
import decimal
import enum
import functools
import gc
import json
import math
import pathlib
import signal
import sys
import threading
import time
import types
import uuid
import weakref
import zoneinfo
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgpack
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tracepatch.capture import Capturer
from tracepatch.codes import APPLICATION, Entry
from tracepatch.redaction import REDACTED, RedactionPolicy, Redactor
from tracepatch.secret_names import listed
from tracepatch.usual import MAX_NODES
from tracepatch_shared.limits import Capture
from tracepatch_shared.values import Mark, to_json

SECRET = "hunter2-Zq9"
touched: list[str] = []
"""What hostile objects were asked for."""


@pytest.fixture(autouse=True)
def _untouched():
    touched.clear()
    yield
    assert touched == []


def capturer(mode="safe", redactor=None, **options):
    return Capturer(Capture(**options), redactor or Redactor(), mode=mode)


def capture(value, **options):
    return capturer(**options).value(value)


@functools.cache
def code(function, *names):
    return compile(f"def {function}({', '.join(names)}): pass", "app.py", "exec").co_consts[0]


def entry(function, *names):
    """Return the entry of a function that has this name and arguments of these names."""
    return Entry(code(function, *names), "app", APPLICATION)


def arguments(one, values):
    return one.arguments(entry("f", *values), values)


def argument(one, name, value):
    return arguments(one, {name: value})[0]


def returned(one, function, value):
    return one.returned(entry(function), value)


def packed(plain):
    def default(mark):
        assert type(mark) is Mark, f"{type(mark)} is not plain"
        return msgpack.ExtType(1, packed([mark.kind, mark.fields]))

    return msgpack.packb(plain, default=default, use_bin_type=True, strict_types=True)


def shown(plain):
    """Return all that a reader could see of a captured value."""
    return packed(plain).decode("latin-1") + json.dumps(to_json(plain), ensure_ascii=False)


# ---- plain values


@pytest.mark.parametrize(
    "value",
    [None, True, False, 0, 1, -1, 10**12, -(1 << 63), (1 << 64) - 1, 1.5, -0.0, math.inf, "", "text", "é", "日本", b"", b"bytes",
     "é".encode(), [], [1, "a", None], {}, {"a": 1}, {"a": [1]}],
)  # fmt: skip
def test_plain_values_stay(value):
    plain = capture(value)
    assert plain == value
    assert type(plain) is type(value)
    packed(plain)


def test_nan_stays():
    assert math.isnan(capture(math.nan))


@pytest.mark.parametrize(
    ("value", "mark"),
    [
        ("x" * 200, Mark("str", {"text": "x" * 120, "length": 200})),
        ("é" * 200, Mark("str", {"text": "é" * 120, "length": 200})),
        ("x" * 5_000, Mark("str", {"text": "x" * 120, "length": 5_000})),
        (b"x" * 200, Mark("bytes", {"text": "x" * 120, "length": 200})),
        (b"x" * 5_000, Mark("bytes", {"text": "x" * 120, "length": 5_000})),
        ("é".encode() * 5_000, Mark("bytes", {"text": ("é".encode() * 60).decode("latin-1"), "length": 10_000})),
        (b"\xff\xfe\x00", Mark("unchecked", {"type": "bytes", "length": 3})),
        (b"p\0a\0s\0s\0", Mark("unchecked", {"type": "bytes", "length": 8})),
        (bytearray(b"abc"), Mark("bytes", {"text": "abc", "length": 3, "type": "bytearray"})),
        (memoryview(b"abc"), Mark("unchecked", {"type": "memoryview", "length": 3})),
        (1 << 64, Mark("int", {"hex": "8000000000000000", "bits": 65})),
        (-(1 << 64), Mark("int", {"hex": "-8000000000000000", "bits": 65})),
        ((), Mark("tuple", {"items": []})),
        ((1, "a"), Mark("tuple", {"items": [1, "a"]})),
        ({1}, Mark("set", {"items": [1]})),
        (frozenset("a"), Mark("frozenset", {"items": ["a"]})),
        (list(range(30)), Mark("list", {"items": list(range(20)), "length": 30})),
        (tuple(range(30)), Mark("tuple", {"items": list(range(20)), "length": 30})),
        ({1: "a"}, Mark("dict", {"items": [[1, "a"]]})),
        ({str(n): n for n in range(30)}, Mark("dict", {"items": [[str(n), n] for n in range(20)], "length": 30})),
        ([[[1]]], [[Mark("list", {"length": 1})]]),
        ([[[]]], [[[]]]),
        ([[{"a": 1}]], [[Mark("dict", {"length": 1})]]),
        ([[(1,)]], [[Mark("tuple", {"length": 1})]]),
        ([[ValueError(1)]], [[Mark("object", {"type": "ValueError"})]]),
        ("a\udc80", Mark("str", {"text": "a\\udc80", "escaped": True, "length": 2})),
        (1j, Mark("value", {"type": "complex", "text": "1j"})),
        (..., Mark("value", {"type": "ellipsis", "text": "Ellipsis"})),
        (range(3), Mark("value", {"type": "range", "text": "range(0, 3)"})),
        (range(1 << 70), Mark("object", {"type": "range"})),
        (slice(1, None), Mark("object", {"type": "slice", "fields": {"start": 1, "stop": None, "step": None}})),
        (collections.deque([1]), Mark("object", {"type": "collections.deque", "value": [1]})),
        (collections.OrderedDict(a=1), Mark("object", {"type": "collections.OrderedDict", "value": {"a": 1}})),
        (collections.defaultdict(list, a=1), Mark("object", {"type": "collections.defaultdict", "value": {"a": 1}})),
        ({"a": 1}.keys(), Mark("object", {"type": "dict_keys", "value": ["a"]})),
        (types.SimpleNamespace(a=1), Mark("object", {"type": "types.SimpleNamespace", "fields": {"a": 1}})),
        (types.MappingProxyType({"a": 1}), Mark("object", {"type": "mappingproxy"})),
        (int, Mark("class", {"name": "int"})),
        (decimal.Decimal, Mark("class", {"name": "decimal.Decimal"})),
        (len, Mark("function", {"name": "len"})),
        (json.dumps, Mark("function", {"name": "json.dumps"})),
        (json, Mark("module", {"name": "json"})),
        (ValueError("a", 1), Mark("object", {"type": "ValueError", "fields": {"args": Mark("tuple", {"items": ["a", 1]})}})),
        (object(), Mark("object", {"type": "object"})),
        (datetime.date(2024, 1, 2), Mark("value", {"type": "datetime.date", "text": "2024-01-02"})),
        (datetime.time(1, 2, 3), Mark("value", {"type": "datetime.time", "text": "01:02:03"})),
        (datetime.timedelta(1, 2), Mark("value", {"type": "datetime.timedelta", "text": "1 day, 0:00:02"})),
        (uuid.UUID(int=5), Mark("value", {"type": "uuid.UUID", "text": "00000000-0000-0000-0000-000000000005"})),
        (pathlib.PurePosixPath("/a", "b"), Mark("value", {"type": "pathlib.PurePosixPath", "text": "/a/b"})),
    ],
)  # fmt: skip
def test_marks(value, mark):
    plain = capture(value)
    assert plain == mark
    packed(plain)
    json.dumps(to_json(plain))


@pytest.mark.parametrize("zone", [None, datetime.timezone.utc, zoneinfo.ZoneInfo("UTC")])
def test_moments(zone):
    moment = datetime.datetime(2024, 1, 2, 3, 4, 5, tzinfo=zone)
    assert capture(moment) == Mark("value", {"type": "datetime.datetime", "text": moment.isoformat()})


def test_a_zone_that_is_somebodys_is_not_asked():
    class Zone(datetime.tzinfo):
        def utcoffset(self, moment):
            touched.append("utcoffset")

    plain = capture(datetime.datetime(2024, 1, 2, tzinfo=Zone()))
    assert plain.fields["text"].startswith("2024-01-02T00:00:00 (")
    assert "Zone" in plain.fields["text"]


NUMBERS = listed(
    """0 -0 1.50 -12345.678 0.001 0.0000001 1E+30 -1.5E-30 0E+2 0E-9 NaN -NaN sNaN Infinity -Infinity 123E2"""
)


@pytest.mark.parametrize("text", sorted(NUMBERS))
def test_decimals(text):
    value = decimal.Decimal(text)
    assert capture(value) == Mark("value", {"type": "decimal.Decimal", "text": str(value)})


def test_a_huge_decimal_is_shown_by_type():
    assert capture(decimal.Decimal(10) ** 5000) == Mark("value", {"type": "decimal.Decimal", "text": str(decimal.Decimal(10) ** 5000)})  # fmt: skip
    assert capture(decimal.Decimal("9" * 100_000)) == Mark("object", {"type": "decimal.Decimal"})


@pytest.mark.parametrize(
    "parts", [("/",), (".",), (), ("a",), ("/a/b/",), ("a", "b"), ("a", "/b"), ("/a", "b/c"), ("..", "a")]
)
@pytest.mark.parametrize("kind", [pathlib.PurePosixPath, pathlib.PosixPath])
def test_paths(kind, parts):
    path = kind(*parts)
    assert capture(path) == Mark("value", {"type": f"pathlib.{kind.__name__}", "text": str(kind(*parts))})
    str(path)
    assert capture(path).fields["text"] == str(path)


def test_enum_members():
    class Color(enum.Enum):
        RED = 1

    class Level(enum.IntFlag):
        LOW = 1

    class Word(str, enum.Enum):
        HELLO = "hello"

    assert [capture(member).fields["text"] for member in (Color.RED, Level.LOW, Word.HELLO)] == [
        "RED",
        "LOW",
        "HELLO",
    ]
    assert capture(Color.RED).fields["type"].endswith("test_enum_members.<locals>.Color")


class Point(NamedTuple):
    x: int
    y: int


@dataclass
class Order:
    number: int
    lines: Any = None


class Slotted:
    __slots__ = ("_b", "a", "never")

    def __init__(self):
        self.a = 1
        self._b = 2


class SlottedBelow(Slotted):
    __slots__ = ("c",)

    def __init__(self):
        super().__init__()
        self.c = 3


def name(cls):
    return f"{cls.__module__}.{cls.__qualname__}"


def test_objects():
    assert capture(Order(1, [2])) == Mark(
        "object", {"type": name(Order), "fields": {"number": 1, "lines": [2]}}
    )
    assert capture(SlottedBelow()).fields["fields"] == {"_b": 2, "a": 1, "c": 3}
    assert capture(Point(1, 2)) == Mark("object", {"type": name(Point), "fields": {"x": 1, "y": 2}})
    assert capture(Order(1, Order(2, Order(3)))).fields["fields"]["lines"].fields["fields"]["lines"] == Mark(
        "object", {"type": name(Order)}
    )
    many = Order(1)
    vars(many).update({f"field{n}": n for n in range(50)})
    plain = capture(many)
    assert len(plain.fields["fields"]) == 20
    assert plain.fields["length"] == 52


def test_subclasses_of_builtin_types_show_what_they_hold():
    class Text(str):
        __slots__ = ()

    class Items(list):
        pass

    class Table(dict):
        pass

    class Number(int):
        pass

    items = Items([1])
    items.label = "x"
    assert capture(Text("a")).fields["value"] == "a"
    assert capture(Number(5)).fields["value"] == 5
    assert capture(Table(a=1)).fields["value"] == {"a": 1}
    assert capture(items).fields["value"] == [1]
    assert capture(items).fields["fields"] == {"label": "x"}


def test_callables_and_what_runs():
    class Job:
        def run(self):
            pass

    async def work():
        pass

    def numbers():
        yield touched.append("resumed")

    coroutine, generator = work(), numbers()
    assert capture(Job().run).fields["name"].endswith("Job.run")
    assert capture(Job().run).fields["bound"] == name(Job)
    assert capture(coroutine) == Mark("object", {"type": "coroutine", "name": work.__qualname__})
    assert capture(generator) == Mark("object", {"type": "generator", "name": numbers.__qualname__})
    plain = capture(functools.partial(len, 1, password=SECRET))
    assert plain.fields["fields"] == {
        "func": Mark("function", {"name": "len"}),
        "args": Mark("tuple", {"items": [1]}),
        "keywords": {"password": Mark("redacted", {"type": "str"})},
    }
    coroutine.close()


# ---- hostile values


def alarm(name):
    def method(*arguments, **named):
        touched.append(name)
        raise RuntimeError(name)

    return method


DUNDERS = listed("""
    repr str len iter next eq ne hash bool getattr getattribute get set call contains getitem missing index int float bytes
    format dir sizeof reduce reduce_ex enter exit del_ instancecheck subclasscheck lt le gt ge length_hint reversed await
    aiter anext complex round fspath copy deepcopy buffer class_getitem
    """)


def hostile_namespace():
    return {f"__{dunder}__": alarm(dunder) for dunder in DUNDERS if dunder != "del_"} | {
        "__class__": property(alarm("class")),
        "__module__": "hostile",
        "value": property(alarm("property")),
    }


class Meta(type):
    __getattribute__ = alarm("meta getattribute")
    __eq__ = alarm("meta eq")
    __hash__ = alarm("meta hash")
    __repr__ = alarm("meta repr")
    __instancecheck__ = alarm("meta instancecheck")
    __subclasscheck__ = alarm("meta subclasscheck")
    __bool__ = alarm("meta bool")
    __len__ = alarm("meta len")
    __mro__ = property(alarm("meta mro"))
    __dict__ = property(alarm("meta dict"))
    __module__ = property(alarm("meta module"))


def hostile(*bases, metaclass=type, **more):
    return metaclass("Hostile", bases, hostile_namespace() | more)


class LyingText(str):
    """A key that says when it is compared, once values are made."""

    __slots__ = ()
    armed = False
    __hash__ = str.__hash__

    def __eq__(self, other):
        if LyingText.armed:
            touched.append("key eq")
        return str.__eq__(self, other)


def lies():
    plain = object.__new__(hostile())
    yield "object", plain
    yield "metaclass", object.__new__(hostile(metaclass=Meta))
    for base in (
        int,
        float,
        str,
        bytes,
        list,
        tuple,
        dict,
        set,
        frozenset,
        collections.deque,
        collections.OrderedDict,
    ):
        yield f"subclass of {base.__name__}", base.__new__(hostile(base))
        yield f"subclass of {base.__name__} with a metaclass", base.__new__(hostile(base, metaclass=Meta))
    for base in (ValueError, OSError, KeyError, UnicodeDecodeError, SystemExit, types.ModuleType, types.SimpleNamespace,
                 datetime.datetime, decimal.Decimal, functools.partial):  # fmt: skip
        arguments = {
            datetime.datetime: (2024, 1, 1),
            functools.partial: (len,),
            types.ModuleType: ("m",),
        }.get(base, ())
        yield f"subclass of {base.__name__}", base.__new__(hostile(base), *arguments)
    yield "dict property", object.__new__(type("Hostile", (), {"__dict__": property(alarm("dict"))}))
    yield "slots", object.__new__(type("Hostile", (), {"__slots__": ("a",), "b": property(alarm("slot"))}))
    yield "class", hostile(metaclass=Meta)
    yield (
        "names",
        object.__new__(type("Hostile", (), {LyingText("__dict__"): 1, LyingText("_fields"): ("a",), "x": 3})),
    )
    keyed = object.__new__(type("Keyed", (), {}))
    object.__getattribute__(keyed, "__dict__")[LyingText("password")] = 1
    yield "fields with lying names", keyed
    yield "proxy", weakref.proxy(plain)
    yield "method", types.MethodType(len, plain)
    yield "builtin method", list.append.__get__(list.__new__(hostile(list, metaclass=Meta)))
    yield "partial", functools.partial(len, plain)


HOSTILE = dict(lies())
LyingText.armed = True


@pytest.mark.parametrize("label", list(HOSTILE))
def test_nothing_of_a_hostile_value_runs(label):
    value = HOSTILE[label]
    held = [
        value,
        (value,),
        {"a": value},
        {"password": value, "note": value},
        Order(1, value),
        Order(value),
        ("token", value),
    ]
    one = capturer(depth=4)
    for each in (
        value,
        *held,
        types.SimpleNamespace(x=value),
        collections.deque([value]),
        slice(value),
        ValueError(value),
    ):
        packed(one.value(each))
        packed(argument(one, "x", each))
        packed(argument(one, "password", each))
        packed(returned(one, "get_token", each))
        packed(arguments(one, {"x": each, "password": each, "key": each, "value": each}))
    assert touched == []
    for kind in (
        ValueError,
        OSError,
        FileNotFoundError,
        KeyError,
        SyntaxError,
        RuntimeError,
        ImportError,
        UnicodeDecodeError,
    ):
        for args in ((value,), ("x", value), (value, value), (2, value, value)):
            error = kind.__new__(kind)
            error.args = args
            packed(list(one.exception(error)))
    error = OSError()
    error.errno, error.strerror, error.filename = value, value, value
    packed(list(one.exception(error)))
    if any(base is BaseException for base in type.__dict__["__mro__"].__get__(type(value))):
        packed(list(one.exception(value)))


def test_hostile_keys_are_not_compared():
    class Key:
        armed = False

        def __hash__(self):
            if Key.armed:
                touched.append("hash")
            return 7

        def __eq__(self, other):
            if Key.armed:
                touched.append("eq")
            return self is other

    for kind in (
        dict,
        collections.OrderedDict,
        functools.partial(collections.defaultdict, None),
        type("Sub", (dict,), {}),
    ):
        Key.armed = False
        value = kind()
        for number in range(5):
            value[Key()] = number
        sparse = kind(value)
        for key in list(sparse)[:3]:
            del sparse[key]
        Key.armed = True
        packed(capture(sparse))
        packed(capture(value, depth=3))
        packed(capture(value.items(), depth=3))
        packed(argument(capturer(), "password", value))
    Key.armed = False
    several = {Key(), Key()}
    Key.armed = True
    packed(capture(several))


def test_a_lie_about_the_class_is_not_believed():
    class Liar:
        __class__ = property(lambda self: int)

    assert capture(Liar()).fields["type"] == name(Liar).replace("int", "Liar")


def test_names_that_are_no_plain_text():
    class Name(str):
        __slots__ = ()
        __str__ = __repr__ = __len__ = __getitem__ = alarm("name")

    cls = type(Name("Odd"), (), {"__qualname__": Name("Odd"), "__module__": Name("odd")})
    assert capture(cls()) == Mark("object", {"type": "odd.Odd"})
    assert capture(type("X", (), {"__module__": 5})()).fields["type"] == "?.X"
    long = type("X" * 5_000, (), {"__module__": "m\udc80"})
    assert len(capture(long()).fields["type"]) < 300
    packed(capture(long()))
    strange = Order(1)
    vars(strange).update({"x" * 5_000: 1, "\udc80": 2, f"password={SECRET}": 3})
    plain = capture(strange)
    packed(plain)
    assert SECRET not in shown(plain)
    assert len(packed(plain)) < 1_000


def test_a_class_of_the_same_address_is_not_taken_for_another():
    for number in range(200):
        cls = type(f"Local{number}", (), {"__slots__": (f"a{number}",)})
        value = cls()
        setattr(value, f"a{number}", number)
        assert capture(value).fields["fields"] == {f"a{number}": number}
        del cls, value
        gc.collect(0)


def test_a_replaced_instance_dict_is_not_read():
    class Odd(dict):
        items = alarm("items")

    value = Order(1)
    value.__dict__ = Odd(a=1)
    assert "fields" not in capture(value).fields


def test_base_exceptions_pass(monkeypatch):
    def interrupt(self, name):
        raise KeyboardInterrupt

    one = capturer()
    monkeypatch.setattr(Redactor, "names_secret", interrupt)
    with pytest.raises(KeyboardInterrupt):
        argument(one, "x", 1)


def test_an_error_of_ours_is_unreadable(monkeypatch):
    one = capturer()
    monkeypatch.setattr("tracepatch.reading.plan_of", int)
    monkeypatch.setattr("tracepatch.capture.plan_of", int)
    monkeypatch.setattr(Redactor, "returns_secret", math.sqrt)
    assert one.value(Slotted()).kind == "unreadable"
    assert returned(one, "f", 1).kind == "unreadable"
    assert one.exception(ValueError())[1].kind == "unreadable"
    assert one.arguments(entry("f", "a"), {}) == [Mark("unreadable", {})]


def test_what_fails_in_the_fast_reader_is_read_by_the_other(monkeypatch):
    one = capturer()
    monkeypatch.setattr("tracepatch.usual.UsualReader.text", math.sqrt)
    assert arguments(one, {"a": "text", "b": {"key": 1}}) == ["text", {"key": 1}]
    assert returned(one, "f", [1, "text"]) == [1, "text"]


def test_an_exception_of_a_signal_handler_passes(monkeypatch):
    def handler(*arguments):
        raise TimeoutError("soft time limit")

    one = capturer()
    for place in ("reading.plan_of", "capture.plan_of", "usual.UsualReader.text"):
        with monkeypatch.context() as patch:
            patch.setattr(f"tracepatch.{place}", handler)
            with pytest.raises(TimeoutError):
                if "text" in place:
                    one.value({"new key": 1})
                elif "capture" in place:
                    one.exception(ValueError())
                else:
                    one.value([Slotted()])
    with pytest.raises(TimeoutError), monkeypatch.context() as patch:
        patch.setattr("tracepatch.usual.UsualReader.text", handler)
        arguments(one, {"a": "text"})
    with pytest.raises(TimeoutError), monkeypatch.context() as patch:
        patch.setattr("tracepatch.usual.UsualReader.text", handler)
        returned(one, "f", "text")


def test_near_the_end_of_the_stack():
    results = []

    def deeper(one, value):
        try:
            deeper(one, value)
        finally:
            try:
                results.append(one.value(value))
            except RecursionError:
                results.append(None)  # not even the call had room

    value = Order(1, {"a": [{"b": 1}], "password": SECRET})
    with pytest.raises(RecursionError):
        deeper(capturer(depth=8), value)
    assert results[-1].kind == "object"
    assert all(result is None or type(result) is Mark for result in results)
    assert not any(SECRET in shown(result) for result in results[:200] if result is not None)


# ---- bounds


def test_cycles():
    items: list[Any] = [1]
    items.append(items)
    assert capture(items, depth=8) == [1, Mark("cycle", {"type": "list"})]
    table: dict[str, Any] = {}
    table["self"] = (table,)
    assert capture(table, depth=8) == {"self": Mark("tuple", {"items": [Mark("cycle", {"type": "dict"})]})}
    order = Order(1)
    order.lines = [order]
    assert capture(order, depth=8).fields["fields"]["lines"] == [Mark("cycle", {"type": name(Order)})]
    queue = collections.deque()
    queue.append(queue)
    assert capture(queue, depth=8).fields["value"] == [Mark("cycle", {"type": "collections.deque"})]
    shared = [1]
    assert capture([shared, shared], depth=8) == [[1], [1]]


def quickly(function, limit_s=0.2):
    """Return what a function returns; what visits every item or figure takes seconds of these values, not this."""
    spent = []
    for _ in range(3):
        started = time.process_time()
        result = function()
        spent.append(time.process_time() - started)
    assert min(spent) < limit_s
    return result


def test_large_values_take_little_time():
    numbers = [1] * 10_000_000
    assert quickly(lambda: capture(numbers)).fields["length"] == 10_000_000
    assert quickly(lambda: capture((numbers,))).fields["items"][0].fields["length"] == 10_000_000
    table = dict.fromkeys(map(str, range(1_000_000)))
    assert quickly(lambda: capture(table), 0.005).fields["length"] == 1_000_000
    text = "password=" * 10_000_000
    assert quickly(lambda: capture(text)).kind in ("str", "redacted")
    assert quickly(lambda: capture(text.encode())).kind in ("bytes", "redacted")
    huge = 1 << 33_000_000
    assert quickly(lambda: capture(huge)) == Mark("int", {"hex": "8000000000000000", "bits": 33_000_001})
    assert quickly(lambda: capture(-huge)) == Mark("int", {"hex": "-8000000000000000", "bits": 33_000_001})
    quickly(lambda: argument(capturer(), "password", numbers))
    quickly(lambda: argument(capturer(), "password", text))
    quickly(lambda: argument(capturer(), "password", huge))


def count(plain):
    items = plain.fields.get("items", []) if type(plain) is Mark else plain if type(plain) is list else []
    return 1 + sum(map(count, items))


def test_wide_and_deep_values_are_bounded():
    wide: Any = 1
    for _ in range(8):
        wide = [wide] * 1000
    plain = quickly(lambda: capture(wide, depth=8, items=1000))
    assert MAX_NODES / 2 < count(plain) <= MAX_NODES + 8
    tables: Any = 1
    for _ in range(8):
        tables = {str(n): tables for n in range(1000)}
    assert len(packed(quickly(lambda: capture(tables, depth=8, items=1000)))) < 20 * MAX_NODES
    texts = [f"user={n}&" * 2000 for n in range(1000)]
    plain = quickly(lambda: capture(texts, items=1000), 0.3)
    assert plain[-1] == Mark("unchecked", {"type": "str", "length": len(texts[-1])})
    deep: Any = 1
    for _ in range(100_000):
        deep = [deep]
    assert packed(capture(deep, depth=1_000_000))
    while type(deep) is list:
        deep = deep.pop()


def test_depth_zero_shows_only_sizes():
    assert capture([1], depth=0) == Mark("list", {"length": 1})
    assert capture({"a": 1}, depth=0) == Mark("dict", {"length": 1})
    assert capture(Order(1), depth=0) == Mark("object", {"type": name(Order)})


def test_containers_that_others_change():
    stop = threading.Event()
    table = {n: n for n in range(50)}
    order = Order(1)

    def change():
        while not stop.is_set():
            for number in range(200):
                table[number] = number
                vars(order)[f"a{number}"] = number
            for number in range(200):
                table.pop(number, None)
                vars(order).pop(f"a{number}", None)

    interval = sys.getswitchinterval()
    thread = threading.Thread(target=change)
    sys.setswitchinterval(1e-6)
    thread.start()
    try:
        for _ in range(500):
            assert packed(capture(table)) and packed(capture(order))
    finally:
        stop.set()
        thread.join()
        sys.setswitchinterval(interval)


def test_what_cannot_be_read_is_unreadable():
    view = memoryview(b"abc")
    view.release()
    assert capture(view) == Mark("unreadable", {"type": "memoryview"})
    assert capture([view, 1]) == [Mark("unreadable", {"type": "memoryview"}), 1]
    broken = object.__new__(uuid.UUID)
    assert capture(broken) == Mark("object", {"type": "uuid.UUID"})


def test_threads_share_a_capturer():
    one = capturer(depth=4)
    results: list[Any] = []

    def work(number):
        for _ in range(200):
            results.append(
                one.value({"n": number, "list": [number, [number]], "password": f"{SECRET}{number}"})
            )

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 800
    assert all(result["list"] == [result["n"], [result["n"]]] for result in results)


# ---- nothing is kept


class Kept:
    pass


def test_no_object_is_referred_to():
    def values():
        local = type("Local", (), {"__slots__": ("a", "__weakref__")})
        slotted = local()
        slotted.a = Kept()
        error = ValueError(Kept())
        holder = Kept()
        holder.inner = Kept()
        return [
            holder,
            slotted,
            error,
            type("Local", (list,), {})([Kept()]),
            type("Local", (Exception,), {})(Kept()),
        ]

    one = capturer(depth=5)
    objects = values()
    plain = [one.value(objects), argument(one, "password", objects), returned(one, "get_token", objects[1])]
    plain += [one.exception(objects[2]), one.exception(objects[4])]
    watched = [
        weakref.ref(item)
        for item in (objects[0], objects[0].inner, objects[1], objects[1].a, objects[3], objects[3][0])
    ]
    watched += [weakref.ref(type(objects[1])), weakref.ref(type(objects[3])), weakref.ref(objects[2].args[0])]
    del objects
    gc.collect()
    assert [watch() for watch in watched] == [None] * len(watched)
    assert plain and one


def test_what_is_captured_does_not_change_with_its_source():
    items, data, table = [1, [2]], bytearray(b"abc"), {"a": [1]}
    plain = [capture(items), capture(data), capture(table)]
    before = packed(plain)
    items[1].append(3)
    data[0] = 0
    table["a"].append(2)
    assert packed(plain) == before


def test_the_weight_of_what_is_held_is_counted():
    one = capturer()
    assert one.weight == 0
    one.value("x" * 100)
    assert one.weight >= 100
    before = one.weight
    one.value({"a": list(range(20)), "b": "y" * 1000})
    assert 20 * 50 < one.weight - before < 20_000


# ---- secrets


def holder(secret):
    value = Kept()
    value.name, value._api_key = "shop", secret
    return value


WAYS = {
    "argument": lambda one, secret: argument(one, "password", secret),
    "bytes argument": lambda one, secret: argument(one, "password", secret.encode()),
    "structure argument": lambda one, secret: argument(one, "credentials", {"user": "a", "x": [secret]}),
    "returned": lambda one, secret: returned(one, "get_token", secret),
    "dict key": lambda one, secret: one.value({"user": "a", "client_secret": secret}),
    "bytes key": lambda one, secret: one.value({b"cookie": secret.encode()}),
    "environ": lambda one, secret: one.value({"HTTP_AUTHORIZATION": secret, "PATH_INFO": "/"}),
    "attribute": lambda one, secret: one.value(holder(secret)),
    "keyword": lambda one, secret: one.value(functools.partial(print, password=secret)),
    "asgi header": lambda one, secret: one.value([(b"host", b"shop"), (b"authorization", secret.encode())]),
    "list header": lambda one, secret: one.value([["host", "shop"], ["x-api-key", secret]]),
    "pair": lambda one, secret: one.value(("set-cookie", secret)),
    "named value": lambda one, secret: one.value({"name": "DB_PASSWORD", "value": secret}),
    "argument after option": lambda one, secret: one.value(["mysql", "--password", secret, "-v"]),
    "query": lambda one, secret: one.value(f"/login?user=a&password={secret}&page=2"),
    "json": lambda one, secret: one.value(json.dumps({"user": "a", "password": secret})),
    "json bytes": lambda one, secret: one.value(json.dumps({"password": secret, "user": "a"}).encode()),
    "header text": lambda one, secret: one.value(f"Host: shop\r\nAuthorization: Bearer {secret}\r\nAccept: */*"),
    "dsn": lambda one, secret: one.value(f"postgres://app:{secret}@db/shop"),
    "bearer": lambda one, secret: one.value(f"Bearer {secret}"),
    "exception": lambda one, secret: one.exception(ValueError(f"login failed, password={secret}"))[1],
    "exception pair": lambda one, secret: one.exception(ValueError("password", secret))[1],
    "exception fields": lambda one, secret: one.exception(_error_with(token=secret))[1],
    "path": lambda one, secret: one.value(pathlib.PurePosixPath(f"/a/token={secret}")),
    "key": lambda one, secret: one.value({f"token={secret}": 1}),
    "cut": lambda one, secret: one.value("x" * 100 + f"&password={secret}&" + "y" * 200),
    "arguments": lambda one, secret: arguments(one, {"note": f"my {secret}", "password": secret}),
    "name and value": lambda one, secret: arguments(one, {"key": "X-Api-Key", "value": secret}),
    "set item": lambda one, secret: one.value({"text": f"it is {secret}", "password": secret}),
    "subclass": lambda one, secret: one.value(type("Text", (str,), {})(f"password={secret}")),
}  # fmt: skip


def _error_with(**fields):
    error = type("Failure", (Exception,), {})()
    vars(error).update(fields)
    return error


LATER = {
    "text": lambda secret: f"it was {secret}!",
    "whole": lambda secret: secret,
    "bytes": lambda secret: secret.encode(),
    "list": lambda secret: ["a", secret],
    "key": lambda secret: {secret: 1},
    "field": lambda secret: Order(1, secret),
    "deque": lambda secret: collections.deque([secret]),
    "subclass": lambda secret: type("Text", (str,), {})(secret),
    "path": lambda secret: pathlib.PurePosixPath("/home", secret),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_secret_is_hidden_and_stays_hidden(way):
    one = capturer()
    plain = WAYS[way](one, SECRET)
    assert SECRET not in shown(plain)
    for form, later in LATER.items():
        assert SECRET not in shown(one.value(later(SECRET))), form
    assert SECRET not in shown(list(one.exception(KeyError(f"no {SECRET}"))))


@pytest.mark.parametrize("way", WAYS)
def test_without_redaction_the_same_secret_shows(way):
    one = Capturer(Capture(depth=4, text=400), Redactor(RedactionPolicy(enabled=False)))
    assert SECRET in shown(WAYS[way](one, SECRET))


@pytest.mark.parametrize("way", WAYS)
def test_mode_repr_hides_it_too(way):
    one = capturer("repr", text=4_000)
    assert SECRET not in shown(WAYS[way](one, SECRET))


def test_marks_of_secrets():
    one = capturer()
    assert argument(one, "password", SECRET) == Mark("redacted", {"type": "str"})
    assert argument(one, "password", {"a": 1}) == Mark("redacted", {"type": "dict"})
    assert argument(one, "password", 1234) == Mark("redacted", {"type": "int"})
    assert argument(one, "password", Order(1)) == Mark("redacted", {"type": name(Order)})
    assert argument(one, "password", None) is None
    assert argument(one, "has_password", True) is True
    assert argument(one, "password", "") == ""
    assert one.value("user=a&password=b&c=d") == Mark(
        "str", {"text": "user=a&password=[redacted]&c=d", "redacted": 1}
    )
    assert one.value(b"password=b&c=d") == Mark(
        "bytes", {"text": "password=[redacted]&c=d", "length": 14, "redacted": 1}
    )
    assert one.value(4111111111111111) == Mark("redacted", {"type": "int"})
    assert one.value("4111 1111 1111 1111") == Mark("redacted", {"type": "str"})
    assert one.value({"name": "bob", "max_tokens": 5}) == {"name": "bob", "max_tokens": 5}
    assert returned(one, "check_password", {"ok": 1}) == {"ok": 1}


def test_a_secret_that_the_cut_goes_through():
    jwt = "eyJhbGciOiJIUzI1NiJ9." + "a" * 6_000
    for before in range(90, 125):
        plain = capture("x" * before + " " + jwt)
        assert "eyJ" not in shown(plain)
    assert SECRET not in shown(capture("postgres://app:" + SECRET + "z" * 3_000 + "@db/shop", text=200))
    one = capturer()
    argument(one, "password", SECRET)
    for before in range(100, 125):
        text = shown(one.value("x" * before + SECRET + "y" * 5_000))
        assert SECRET[:6] not in text
    window = "password='" + "p" * 4_000 + "' " + "x" * 80 + SECRET + "y" * 5_000
    assert SECRET[:4] not in shown(one.value(window))


def test_binary_secrets():
    one = capturer("repr")
    argument(one, "password", b"\xff\x00abc\n")
    assert one.value([b"\xff\x00abc\n"]) == "[b'[redacted]']"


def test_what_was_shown_is_hidden_once_it_is_known_to_be_secret():
    one = capturer()
    value = {"text": SECRET, "list": ["a", SECRET], "number": 123456, SECRET: 1}
    for _ in range(3):
        assert one.value(value) == value
        assert arguments(one, {"text": SECRET, "number": 123456}) == [SECRET, 123456]
        assert returned(one, "f", SECRET) == SECRET
        assert one.value({SECRET: 1}) == {SECRET: 1}
    argument(one, "password", SECRET)
    argument(one, "pin", 123456)
    plain = [one.value(value), arguments(one, {"text": SECRET, "number": 123456}), returned(one, "f", SECRET)]
    assert SECRET not in shown(plain)
    assert SECRET not in shown(one.value({SECRET: 1}))
    assert "123456" not in json.dumps(to_json(plain))


def test_secrets_of_one_argument_are_hidden_in_the_next():
    one = capturer()
    assert arguments(one, {"text": SECRET, "other": 1}) == [SECRET, 1]
    assert arguments(one, {"form": {"password": SECRET}, "text": SECRET}) == [
        {"password": Mark("redacted", {"type": "str"})},
        Mark("redacted", {"type": "str"}),
    ]


def test_names_in_pairs_are_not_remembered():
    one = capturer()
    argument(one, "username", "bob")
    assert one.value(("password", "username"))
    assert one.value({"username": "is username"}) == {"username": "is username"}


def test_small_secret_objects():
    class SecretText:
        def __init__(self, value):
            self._secret_value = value

    one = capturer()
    argument(one, "password", SecretText(SECRET))
    assert SECRET not in shown(one.value(f"is {SECRET}"))
    assert SECRET not in shown(capture(SecretText(SECRET)))


# ---- exceptions


class Odd(Exception):
    __str__ = __repr__ = alarm("str")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ValueError("a"), "a"), (ValueError(), ""), (ValueError(5), "5"), (ValueError(1, "a"), "(1, 'a')"), (KeyError("k"), "'k'"),
        (FileNotFoundError(2, "No such file", "/x"), "[Errno 2] No such file: '/x'"), (OSError("plain"), "plain"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"), "'utf-8' codec can't decode byte 0xff in position 0: bad"),
        (SyntaxError("bad", ("f", 1, 2, "x")), "bad"), (asyncio.CancelledError(), ""), (SystemExit(3), "3"),
    ],
)  # fmt: skip
def test_exceptions(error, message):
    kind, text = capturer().exception(error)
    module = type(error).__module__
    assert kind == (type(error).__name__ if module == "builtins" else f"{module}.{type(error).__name__}")
    assert text == message


def test_exceptions_of_users():
    assert capturer().exception(Odd("a")) == (name(Odd), "a")
    assert capturer().exception(Odd(Order(1)))[1] == Mark(
        "object", {"type": name(Order), "fields": {"number": 1, "lines": None}}
    )
    error = Odd()
    error.status = 404
    assert capturer().exception(error)[1] == Mark("object", {"type": name(Odd), "fields": {"status": 404}})
    assert capturer().exception(Odd("x" * 500))[1] == Mark("str", {"text": "x" * 120, "length": 500})


@pytest.mark.skipif(sys.version_info < (3, 11), reason="exception groups came with 3.11")
def test_exception_groups():
    error = vars(builtins)["ExceptionGroup"]("several", [ValueError(1)])
    assert capturer().exception(error) == ("ExceptionGroup", "several")


# ---- mode repr


def represent(value, **options):
    return capture(value, mode="repr", **options)


@pytest.mark.parametrize(
    "value",
    [None, True, 5, 1.5, "x", "it's", b"x", [1, "a"], (1,), (1, 2), (), {}, {"a": [1]}, set(), {1}, frozenset(), frozenset({1}),
     Order(1), [[], [()]], "é", ..., int],
)  # fmt: skip
def test_repr_is_that_of_python(value):
    assert represent(value) == repr(value)


def test_repr_is_cut():
    assert represent("x" * 500) == "'" + "x" * 116 + "..."
    assert len(represent(list(range(1000)), text=30)) == 30
    assert represent(list(range(1000)), text=30) == repr(list(range(1000)))[:27] + "..."
    assert represent("abc", text=2) == ".."
    nested = ([list(range(1_000_000))],)
    assert quickly(lambda: represent(nested), 0.05) == repr(nested)[:117] + "..."
    items: list[Any] = [1]
    items.append(items)
    assert represent(items) == repr(items)
    assert represent(10**100_000) == f"<int of {(10**100_000).bit_length()} bits>"


def test_repr_that_fails():
    class Fails:
        def __repr__(self):
            raise ValueError

    class Stops:
        def __repr__(self):
            raise SystemExit

    class Text(str):
        __slots__ = ()

    class Odd:
        def __repr__(self):
            return Text("odd")

    assert represent(Fails()) == "<repr failed>"
    assert represent([Fails()]) == "<repr failed>"
    assert type(represent(Odd())) is str
    with pytest.raises(SystemExit):
        represent(Stops())


class Limit(Exception):
    """What a job queue's signal handler raises."""


class Handles:
    def __call__(self, _number, _frame):
        raise Limit

    def method(self, *_given):
        raise Limit


def handles(_number, _frame, *, by=Limit):
    raise by


HANDLERS = [
    handles,
    Handles(),
    Handles().method,
    functools.partial(handles, by=Limit),
    lambda *given: handles(*given),
]


@pytest.mark.parametrize("handler", HANDLERS)
def test_a_signal_handler_that_raises_while_a_repr_runs(handler):
    class Slow:
        def __repr__(self):
            signal.raise_signal(signal.SIGALRM)
            return "slow"

    one = capturer("repr")
    before = signal.signal(signal.SIGALRM, handler)
    try:
        for value in (Slow(), [Slow()]):
            with pytest.raises(Limit):
                one.value(value)
            with pytest.raises(Limit):
                arguments(one, {"a": value})
            with pytest.raises(Limit):
                one.exception(ValueError(value))
    finally:
        signal.signal(signal.SIGALRM, before)


def test_repr_that_fails_below_what_looks_like_a_handler():
    class Fails:
        def __init__(self, *given):
            self.given = given

        def __repr__(self):
            handles(*self.given)
            return "not reached"

    assert represent(Fails(14, 15)) == "<repr failed>"
    assert represent(Fails(14, sys._getframe())) == "<repr failed>", "a frame that it did not interrupt"
    assert represent(Fails()) == "<repr failed>"


def test_an_exception_whose_argument_has_no_repr():
    class Fails:
        def __repr__(self):
            raise ValueError

    one = capturer("repr")
    assert one.exception(LookupError(Fails())) == ("LookupError", "<repr failed>")
    assert one.exception(LookupError("text", Fails())) == ("LookupError", "<repr failed>")


def test_repr_and_secrets():
    one = capturer("repr")
    assert argument(one, "password", SECRET) == REDACTED
    assert argument(one, "password", None) == "None"
    assert one.value({"password": "abcd-1", "n": 1}) == "{'password': '[redacted]', 'n': 1}"
    assert one.value(4111111111111111) == REDACTED
    assert one.value(f"now {SECRET}") == "'now [redacted]'"


def test_modes():
    with pytest.raises(ValueError, match="'safe' or 'repr'"):
        Capturer(Capture(), Redactor(), mode="json")


# ---- any value

scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=300), st.binary(max_size=300),
    st.text(alphabet=st.characters(min_codepoint=0xD7F0, max_codepoint=0xE010), max_size=5), st.decimals(), st.dates(),
    st.datetimes(), st.uuids(), st.complex_numbers(),
)  # fmt: skip
hashable = st.one_of(
    st.integers(),
    st.text(max_size=20),
    st.binary(max_size=20),
    st.none(),
    st.tuples(st.integers(), st.text(max_size=5)),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=25), st.tuples(inner, inner), st.dictionaries(hashable, inner, max_size=25),
        st.dictionaries(st.text(max_size=20), inner, max_size=5), st.builds(Order, inner, inner), st.frozensets(hashable),
        st.builds(lambda items: collections.deque(items), st.lists(inner, max_size=5)), st.builds(ValueError, inner),
    ),
    max_leaves=60,
)  # fmt: skip


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(values)
def test_any_value_is_packable_and_bounded(value):
    for options in ({}, {"depth": 5, "items": 3, "text": 10}):
        plain = capture(value, **options)
        assert len(packed(plain)) < MAX_NODES * 200
        json.dumps(to_json(plain))
    assert len(represent(value)) <= 120
    packed(represent(value))


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(
    st.sampled_from(sorted(WAYS)),
    st.text(alphabet="abcdefXYZ0123456789-_.~!é", min_size=8, max_size=30).map(
        lambda text: "Zq9" + text + "7x"
    ),
    st.lists(st.sampled_from(sorted(LATER)), max_size=4),
    values,
)
def test_a_planted_secret_never_shows(way, secret, later, other):
    one = capturer(depth=4, text=400)
    seen = [WAYS[way](one, secret), one.value(other)]
    seen += [one.value([other, LATER[form](secret)]) for form in later]
    seen.append(one.exception(ValueError(f"<{secret}>"))[1])
    for plain in seen:
        text = shown(plain)
        assert secret not in text
        assert secret.encode().decode("latin-1") not in text


class Credentials:
    def __init__(self):
        self.userinfo = f"ann:{SECRET}"


@pytest.mark.parametrize(
    "value",
    [
        [(b"X-Api-Key", b"x-api-key", SECRET.encode())],  # httpx.Headers
        Credentials(),  # httpx.URL
        {"auth": ("ann", SECRET)},
        [("set-cookie", f"session={SECRET}; Path=/")],
    ],
    ids=lambda value: type(value).__name__,
)
def test_ways_through_http_clients(value):
    got = shown(capture(value, depth=5))
    assert SECRET not in got
    assert "redacted" in got


def test_the_message_of_an_exception_that_names_a_secret_in_prose():
    assert capturer().exception(ValueError(f"invalid token {SECRET}"))[1] == Mark(
        "str", {"text": "invalid token [redacted]", "redacted": 1}
    )
