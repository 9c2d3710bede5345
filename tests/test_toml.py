"""The reader of TOML for Pythons that have none: it reads what policies need, and never gives a text another meaning."""

from __future__ import annotations

import random

import pytest

from tracepatch_shared.toml import TomlError, loads, strict

POLICY = """\
# what nobody gets more than
[limits]
count = 1_0           # ten
ttl = "1h"
share = -2.5e-1
[modules]
forbidden = [
  "shop.vault",   # never
  'shop.\\*', "caf\\u00e9 \\"x\\"",
]
empty = []
nested = [[1, 2], [true, false]]
[a.b-c._d]
on = true\r
[ a ]
last = 0"""

READ = {
    "limits": {"count": 10, "ttl": "1h", "share": -0.25},
    "modules": {
        "forbidden": ["shop.vault", "shop.\\*", 'café "x"'],
        "empty": [],
        "nested": [[1, 2], [True, False]],
    },
    "a": {"b-c": {"_d": {"on": True}}, "last": 0},
}


def test_what_policies_need_is_read() -> None:
    assert strict(POLICY) == loads(POLICY) == READ
    assert strict("") == strict("\n # nothing\n") == {}


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a = 1\na = 2", 2, "a second time"),
        ("[a]\n[b]\n[a]", 3, "[a] stands here a second time"),
        ("a = 1\n[a]", 2, "a has a value already"),
        ("[a]\nb = 1\n[a.b.c]", 3, "a.b has a value already"),
        ("\na.b = 1", 2, "write a header"),
        ('"a" = 1', 1, "without"),
        ("a = {b = 1}", 1, "braces"),
        ("[[a]]", 1, "arrays of tables"),
        ('a = """x"""', 1, '"""'),
        ("a = '''x'''", 1, "'''"),
        ("a = 1979-05-27", 1, "1979-05-27 is none of the values"),
        ("a = 0x10", 1, "0x10"),
        ("a = 01", 1, "01"),
        ("a = 1__0", 1, "1__0"),
        ("a = nan", 1, "nan"),
        ("a = True", 1, "True"),
        ("a = b", 1, "text stands in quotes"),
        ("a =\nb = 1", 1, "a value belongs here"),
        ("a = 1 b = 2", 1, "goes on"),
        ("a", 1, "no ="),
        ("[a", 1, "closed by ]"),
        ("[a]]", 1, "goes on"),
        ("[]", 1, "a key"),
        ("= 1", 1, "a key"),
        ('a = "x', 1, "closed"),
        ('a = "x\n"', 1, "closed"),
        ("a = 'x\n'", 1, "closed"),
        (r'a = "\x41"', 1, "after"),
        (r'a = "\ud800"', 1, "no such character"),
        ("a = [1\n2]", 2, "commas"),
        ("a = [,]", 1, "a value"),
        ("x = 1\na = [1,\n", 3, "a value"),
        ("a = " + "[" * 50 + "]" * 50, 1, "too many arrays"),
        ("a = 1 # \x01", 1, "control"),
        ("a = 1\rb = 2", 1, "control"),
    ],
    ids=repr,
)
def test_what_it_does_not_read_is_refused_by_its_line(text: str, line: int, words: str) -> None:
    with pytest.raises(TomlError) as refused:
        strict(text)
    assert str(refused.value).startswith(f"line {line}: ")
    assert words in str(refused.value)


def test_the_library_s_errors_say_the_line_in_the_same_way() -> None:
    with pytest.raises(TomlError, match=r"^line 2: "):
        loads("a = 1\nb = ")
    with pytest.raises(TomlError, match=r"^line 2: "):
        loads("[a]\nb = [1,")


PIECES = [
    "a", "b", "a.b", "[a]", "[b]", "[a.b]", "[ a . b ]", "[[a]]", '"a"', "'a'", '"x\\n"', '"\\u00e9"', '"\\ud800"', '"\\x41"',
    '"""x"""', "'''x'''", "1", "-1", "+1", "01", "0", "1_0", "1__0", "_1", "1_", "1.5", "1.", ".5", "1e3", "1E-3", "1e",
    "inf", "nan", "0x1f", "0o7", "true", "True", "1979-05-27", "07:32:00", "[1, 2]", "[1,\n2,\n]", "[", "[1 2]", "[,]",
    "{a=1}", "{}", "#c", "# x\ty", "=", " ", "\t", "\n", "\r\n", "\r", "\x00", "\x7f", "é", "\u2028", "\ufeff", ",", "]", ".",
    '"', "'", "\\", "a = 1\n", 'b = "x"\n', 'c = [true, "y"] # z\n', "[a.c]\n", "-0", "-0.0", "9" * 20, "a-b", "00", "+0",
    "1e06", "1_0.0_1", '"a\tb"', '"a\nb"', "'a\\'",
]  # fmt: skip


def lines(rng: random.Random) -> str:
    made = []
    for _ in range(rng.randint(1, 10)):
        key = rng.choice(["a", "b", "c", "d", "a-b", "1"])
        value, end = rng.choice(PIECES), rng.choice(["\n", "\n", "\r\n", " # c\n", ""])
        made.append(f"{key} = {value}{end}" if rng.random() < 0.7 else rng.choice(PIECES) + "\n")
    return "".join(made)


def test_no_text_has_another_meaning_than_the_library_gives_it() -> None:
    tomllib = pytest.importorskip("tomllib")
    rng = random.Random(4)
    read = 0
    for _ in range(30_000):
        text = (
            lines(rng)
            if rng.random() < 0.6
            else "".join(rng.choice(PIECES) for _ in range(rng.randint(1, 8)))
        )
        try:
            mine = strict(text)
        except TomlError:
            continue
        read += 1
        # By repr: 1, 1.0 and True are equal, and so are 0.0 and -0.0.
        assert repr(tomllib.loads(text)) == repr(mine), text
    assert read > 1_000
