"""What is read fast is read as `Reader` reads it, and what is not searched has nothing to be found in it."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tracepatch.reading import Reader, Walk
from tracepatch.redaction import RedactionPolicy, Redactor
from tracepatch.usual import UNUSUAL, UsualReader
from tracepatch.usual_reprs import MAX_LENGTH, UsualReprs
from tracepatch_shared.limits import Capture
from tracepatch_shared.values import Mark

OPTIONS = [Capture(), Capture(depth=4, items=5, text=30), Capture(depth=1), Capture(depth=0), Capture(depth=8, items=1000)]  # fmt: skip


class Plain:
    pass


class Below(Plain):
    pass


class Meta(type):
    pass


class Other(metaclass=Meta):
    pass


def instance(cls: type, fields: dict[str, Any]) -> Any:
    made = cls()
    vars(made).update(fields)
    return made


names = st.sampled_from(
    [
        "uid",
        "name",
        "key",
        "value",
        "user",
        "items",
        "note",
        "Name",
        "header",
        "field",
        "sku",
        "price",
        "a-b",
        "a.b",
        "a/b",
        "id",
        "data",
        "password",
        "token",
        "api_key",
        "auth",
        "-p",
    ]
)
pieces = st.sampled_from(
    ["a", "bob", "name", "password", "token", "x-api-key", "-", " ", "'", '"', ":", "=", "%3D", ",", "(", "[", "@", "/", ".", "\\",
     "4111111111111111", "12345678", "--", "<", "</", "curl", "bearer ", "eyJ", "sk-", "form-data; ", "é", "\n"]
)  # fmt: skip
texts = st.one_of(
    names, st.lists(pieces, max_size=4).map("".join), st.sampled_from(["a" * 64, "b" * 65, "c" * 121])
)
numbers = st.one_of(
    st.integers(-2000, 2000),
    st.integers(),
    st.sampled_from([(1 << 30) - 1, 1 << 30, 4111111111111111, 1 << 64]),
)
scalars = st.one_of(st.none(), st.booleans(), numbers, st.floats(), texts)
values = st.recursive(
    st.one_of(scalars, st.binary(max_size=3)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=5), st.tuples(inner, inner), st.tuples(inner, inner, inner), st.lists(inner, min_size=20, max_size=22),
        st.dictionaries(st.one_of(names, texts), inner, max_size=5), st.dictionaries(st.integers(), inner, max_size=2),
        st.builds(instance, st.sampled_from([Plain, Below, Other]), st.dictionaries(names, inner, max_size=4)),
    ),
    max_leaves=25,
)  # fmt: skip
containers = values.filter(lambda value: type(value) in (dict, list, tuple, Plain, Below, Other))
many = settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)


def slowly(value: Any, options: Capture, redactor: Redactor) -> Any:
    return Reader(options, redactor).read(value, 0, Walk(1 << 16))


def same(one: Any, other: Any) -> bool:
    """Compare with types: 1 is not True here, and nan is itself."""
    return repr(one) == repr(other)


@many
@given(containers, st.sampled_from(OPTIONS), st.booleans())
def test_the_usual_is_read_as_all_else_is(value, options, enabled):
    fast, slow = (Redactor(RedactionPolicy(enabled=enabled)) for _ in range(2))
    reader = UsualReader(options, fast)
    read = reader.read if reader.levels else reader.border
    slowly(value, options, Redactor())  # now its classes are known
    got = read(value, ())
    assume(got is not UNUSUAL)
    assert same(got, slowly(value, options, slow))
    assert fast.names == slow.names


@pytest.mark.parametrize(
    "value",
    [
        {"uid": 7, "user": "ann", "price": 1.5, "paid": True, "note": None}, [1, "a", None], (1,), (), [], {}, [{"a": 1}] * 6,
        {"name": "bob", "lines": [1, 2]}, ["a"] * 30, instance(Plain, {"uid": 7}), instance(Below, {"inner": instance(Plain, {})}),
        instance(Other, {"a": {"b": (1, 2)}}), Plain(), [[[1]]], {"big": 1 << 40}, {"text": "x" * 120}, {"inf": math.inf},
    ],
)  # fmt: skip
def test_this_is_usual(value):
    redactor = Redactor()
    expected = slowly(value, Capture(), redactor)
    reader = UsualReader(Capture(), redactor)
    assert same(reader.read(value, ()), expected)
    assert reader.weight or not value


@pytest.mark.parametrize(
    "value",
    [
        {"password": 1}, {"name": "password", "value": 1}, ["password", "x"], ["a", "--token", "x"], ("token", 1, 2), {5: 1},
        {"a": "x" * 121}, {"a": "é"}, {"a": "password=x"}, {"a": 4111111111111111}, {"a": 1 << 64}, {str(n): n for n in range(21)},
        {"a": b"x"}, {"a": len}, {"a": {1}}, instance(Plain, {"_token": "x"}), object(), ValueError(),
    ],
)  # fmt: skip
def test_this_is_not(value):
    reader = UsualReader(Capture(), Redactor())
    slowly(value, Capture(), Redactor())
    assert reader.read(value, ()) is UNUSUAL


def test_a_value_that_bytes_name_is_not_looked_into():
    redactor = Redactor()
    assert UsualReader(Capture(), redactor).read({"value": {"inner": 1}, "key": b"token"}, ()) is UNUSUAL
    assert "inner" not in redactor.names


def test_cycles_are_not():
    items: list[Any] = [1]
    items.append(items)
    deep: dict[str, Any] = {}
    deep["a"] = {"b": deep}
    whole = instance(Plain, {})
    whole.me = (whole,)
    for value in (items, deep, whole):
        slowly(value, Capture(depth=5), Redactor())
        assert UsualReader(Capture(depth=5, items=2), Redactor()).read(value, ()) is UNUSUAL


def test_what_is_beyond_the_bounds_of_a_capture_is_left_to_the_other():
    deep = [[[[1]]]]
    assert UsualReader(Capture(depth=5, items=5), Redactor()).read(deep, ()) == deep
    assert UsualReader(Capture(depth=5, items=20), Redactor()).read(deep, ()) is UNUSUAL
    assert UsualReader(Capture(depth=3, items=10), Redactor()).read(deep, ()) == [
        [[Mark("list", {"length": 1})]]
    ]


# ---- mode repr


@many
@given(containers, st.sampled_from(OPTIONS))
def test_in_what_is_not_searched_nothing_is_found(value, options):
    redactor = Redactor()
    reprs = UsualReprs(options, redactor)
    assume(type(value) in (dict, list, tuple))
    slowly(value, options, redactor)
    copied = reprs.copy(value)
    assume(copied is not UNUSUAL)
    text = repr(value)
    assert repr(copied) == text
    if len(text) <= MAX_LENGTH:
        before = dict(redactor.names)
        assert redactor.redact(text, len(text)) == (text, 0, True)
        assert redactor.names == before
        assert Redactor().redact(text, len(text)) == (text, 0, True)


inert = st.sampled_from(
    [
        "uid",
        "Alice",
        "sku-1",
        "a.b/c",
        "two words",
        "x",
        "",
        "2024-01-01",
        "4111111111111",
        "form-data",
        "-x",
        "name",
    ]
)
flat = st.recursive(
    st.one_of(inert, st.none(), st.booleans(), st.integers(-(10**9), 10**9), st.floats()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=5), st.tuples(inner, inner), st.dictionaries(inert, inner, max_size=5)
    ),
    max_leaves=20,
).filter(lambda value: type(value) in (dict, list, tuple))


@many
@given(flat)
def test_in_a_repr_of_inert_texts_nothing_is_found(value):
    test_in_what_is_not_searched_nothing_is_found.hypothesis.inner_test(value, Capture(depth=4, items=6))


@pytest.mark.parametrize(
    "value",
    [
        {"sku": "sku-1", "price": 1.5},
        [1, 2.5, None, True],
        ["a", "b c"],
        ({"name": "bob"}, []),
        {"a": {"b": [1]}},
    ],
)
def test_this_needs_no_search(value):
    redactor = Redactor()
    slowly(value, Capture(depth=3, items=5), redactor)
    copied = UsualReprs(Capture(depth=3, items=5), redactor).copy(value)
    assert copied == value
    assert copied is not value


@pytest.mark.parametrize(
    "value",
    [
        {"token": 1}, ["password", "x", "y", "z"], ["a -token x"], ["-token"], ["a:b"], ["a=b"], ["it's"], [4111111111111111],
        [4111111111111111.0], {"a/b": 1}, {"": 1}, {"a": Plain()}, [b"x"], [{1}], ["Bearer abcdef"], ["form-data"], [[[[1]]]],
        {"key": "api_key", "value": "x"}, ["sk-abcdefghijklmnopqrst"],
    ],
)  # fmt: skip
def test_this_is_searched(value):
    assert UsualReprs(Capture(), Redactor()).copy(value) is UNUSUAL
