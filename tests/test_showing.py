"""Captured values on one line."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracepatch_shared.showing import escape, python_text, value_text
from tracepatch_shared.values import Mark


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "None"),
        (True, "True"),
        (-12, "-12"),
        (0.5, "0.5"),
        (float("inf"), "inf"),
        ('it\'s "so" \\ \n\x1b[1m', '"it\'s \\"so\\" \\\\ \\n\\x1b[1m"'),
        ("größe 日本 🎉", '"größe 日本 🎉"'),
        (b"a\xe9'", 'b"a\\xe9\'"'),
        ([], "[]"),
        ({"a": [1, {"b": None}]}, '{"a": [1, {"b": None}]}'),
        (Mark("str", {"text": "abc", "length": 4096}), '"abc…"(3 of 4096)'),
        (Mark("bytes", {"text": b"abc", "length": 4096}), "b'abc…'(3 of 4096)"),
        (Mark("int", {"hex": "deadbeef", "bits": 4000}), "0xdeadbeef…(4000 bits)"),
        (Mark("int", {"hex": "-ff", "bits": 70}), "-0xff…(70 bits)"),
        (Mark("int", {"hex": "ff", "bits": ["x" * 1000]}), "0xff…(? bits)"),
        (Mark("int", {"bits": 10**5000}), "<int of ? bits>"),
        (Mark("float", {"text": "nan"}), "nan"),
        (Mark("list", {"items": [1, 2], "length": 1000}), "[1, 2, … 998 more]"),
        (Mark("list", {"length": 5}), "<list of 5>"),
        (Mark("dict", {"items": [[1, "a"], [Mark("tuple", {"items": [1]}), 2]]}), '{1: "a", (1,): 2}'),
        (Mark("dict", {"length": 7}), "<dict of 7>"),
        (Mark("tuple", {"items": [1, 2], "length": 2}), "(1, 2)"),
        (Mark("set", {"items": [1]}), "{1}"),
        (Mark("set", {"items": []}), "set()"),
        (Mark("frozenset", {"items": [1]}), "frozenset({1})"),
        (Mark("object", {"type": "shop.carts.Cart"}), "<Cart>"),
        (
            Mark("object", {"type": "a.f.<locals>.Cart", "fields": {"items": 3}}),
            "<a.f.<locals>.Cart items=3>",
        ),
        (Mark("object", {"type": "m.Rows", "value": [1, 2], "fields": {"db": "x"}}), '<Rows [1, 2] db="x">'),
        (Mark("object", {"type": "m.C", "fields": {"a": 1}, "length": 9}), "<C a=1 … 8 more>"),
        (Mark("value", {"type": "decimal.Decimal", "text": "Decimal('1.5')"}), "Decimal('1.5')"),
        (Mark("class", {"name": "shop.Cart"}), "<class shop.Cart>"),
        (Mark("function", {"name": "shop.f"}), "<function shop.f>"),
        (Mark("module", {"name": "decimal"}), "<module decimal>"),
        (Mark("redacted", {"type": "str"}), "<redacted>"),
        (Mark("unreadable", {"type": "m.Odd", "why": "no"}), "<unreadable: Odd (no)>"),
        (Mark("unreadable", {}), "<unreadable>"),
        (Mark("cycle", {"type": "list"}), "<cycle: list>"),
        (Mark("unchecked", {"type": "str", "length": 10_000_000}), "<str of 10000000, unchecked>"),
        (Mark("later", {}), "<later>"),
    ],
)
def test_how_values_look(value, text):
    assert value_text(value) == text


def test_a_huge_integer_is_not_written_out():
    assert value_text(10**5000) == "<int of 16610 bits>"


def test_python_style_quotes_as_repr():
    assert python_text({"a": "it's", "b": [b"x"]}) == "{'a': \"it's\", 'b': [b'x']}"


@pytest.mark.parametrize(
    ("value", "limit", "text"),
    [
        ("a" * 100, 10, '"aaaaaaa…"'),
        (b"a" * 100, 10, "b'aaaaaa…'"),
        (list(range(100)), 20, "[0, 1, 2, 3, 4, … 95 more]"),
        ({"name": "x" * 50, "other": 1}, 20, '{"name": "xxxxxxx…", … 1 more}'),
        (Mark("str", {"text": "a" * 100, "length": 4096}), 30, '"aaaaaaaaaaaaaa…"(100 of 4096)'),
    ],
)
def test_a_line_has_room_for_so_much(value, limit, text):
    assert value_text(value, limit) == text


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(st.text(), inner, max_size=5)
        | st.builds(
            Mark,
            st.sampled_from(
                ["str", "bytes", "list", "dict", "tuple", "set", "object", "value", "int", "cycle", "x\x1b"]
            ),
            st.dictionaries(
                st.sampled_from(
                    ["text", "items", "length", "type", "fields", "name", "value", "hex", "why", "bits"]
                ),
                inner,
            ),
        )
    ),
    max_leaves=25,
)


@given(plain, st.integers(0, 200))
@settings(max_examples=400, deadline=None)
def test_any_value_is_printable_and_bounded(value, limit):
    for shown in (value_text(value, limit), python_text(value, limit)):
        assert shown.isprintable()
        assert len(shown) <= 12 * limit + 400


@given(st.text())
def test_escape_leaves_only_printable_characters(text):
    assert escape(text).isprintable()
    if text.isprintable():
        assert escape(text) == text
