"""Globs with bounded time."""

from fnmatch import fnmatchcase
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracepatch_shared.globs import MAX_CHARACTERS, Glob


@given(st.text("ab*?", max_size=8), st.text("ab", max_size=10))
def test_matches_what_fnmatch_matches(glob, text):
    assert Glob(glob).matches(text) == fnmatchcase(text, glob)


@given(st.text("ab-z*?[]!^\\", max_size=8), st.text("abz-]^\\", max_size=10))
def test_brackets_match_what_fnmatch_matches(glob, text):
    assert Glob(glob).matches(text) == fnmatchcase(text, glob)


@pytest.mark.parametrize(
    ("glob", "text", "matches"),
    [
        ("", "", True),
        ("*", "a/b\nc", True),
        ("/items/*/edit", "/items/4/edit", True),
        ("/items/*/edit", "/items/edit", False),
        ("a*a", "a", False),
        ("Items", "items", False),
        ("[!a-c]x", "dx", True),
        ("a.b", "axb", False),
    ],
)
def test_forms(glob, text, matches):
    assert Glob(glob).matches(text) is matches


def test_no_text_makes_it_slow():
    before = process_time()
    assert not Glob("a*" * (MAX_CHARACTERS // 2 - 1) + "b").matches("a" * 10_000)
    assert process_time() - before < 1  # a regular expression of it would not end


def test_a_long_one_is_refused():
    with pytest.raises(ValueError, match="longer than"):
        Glob("a" * (MAX_CHARACTERS + 1))
