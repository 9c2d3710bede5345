"""The words of a condition: names, operators, texts, numbers with or without a unit.

Texts are written as in Python, on one line, with or without `b` or `r` before them; of its escapes these are known:
`\\\\ \\' \\" \\n \\r \\t \\0 \\xHH \\uHHHH \\UHHHHHHHH`.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable
from typing import Final, Literal, NamedTuple, NoReturn

from .errors import ConditionError
from .text import parse_duration, parse_size

Kind = Literal["name", "operator", "value", "end"]


class Token(NamedTuple):
    kind: Kind
    text: str
    """As it was written; empty at the end."""
    at: int
    value: bool | int | float | str | bytes | None = None


DURATIONS: Final = ("us", "µs", "ms", "s", "m", "h", "d")
SIZES: Final = ("B", "KiB", "MiB", "GiB", "kB", "KB", "MB")

_TOKEN = re.compile(
    r"""
    (?P<space>[ ]+)
    | (?P<prefix>[A-Za-z]*)(?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    | (?P<number>0[xX][0-9A-Fa-f]+ | (?:[0-9]+(?:_[0-9]+)*(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)(?P<unit>[^\W\d]\w*)?
    | (?P<name>[^\W\d]\w*)
    | (?P<operator>==|!=|<=|>=|//|[-+*/%<>()\[\],.:])
    """,
    re.VERBOSE,
)
_WORDS: Final = ("and", "or", "not", "in", "is")
_CONSTANTS: Final = {"None": None, "True": True, "False": False}
_HINTS: Final = {
    "&": "& is no part of conditions: write and",
    "|": "| is no part of conditions: write or",
    "!": "! is no part of conditions: write not",
    "=": "= is no part of conditions: write == to compare",
    "{": "{ is no part of conditions: write a list in square brackets",
    '"': "this text has no end",
    "'": "this text has no end",
}
_INFINITE = float("inf")
_ESCAPE = re.compile(r"\\(?:x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|.)")
_SIMPLE: Final = {"\\": "\\", "'": "'", '"': '"', "n": "\n", "r": "\r", "t": "\t", "0": "\0"}


def tokens(text: str) -> list[Token]:
    """Return the words of a condition, the last one of kind `end`; raise `ConditionError` for what is none."""
    found: list[Token] = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            character = text[at]
            wrong(text, _HINTS.get(character, f"{character!r} is no part of conditions"), at)
        word = match[0]
        if match["string"]:
            found.append(Token("value", word, at, _string(text, match)))
        elif match["number"]:
            found.append(Token("value", word, at, _number(text, match)))
        elif match["name"]:
            found.append(_name(text, word, at))
        elif match["operator"]:
            found.append(Token("operator", word, at))
        at = match.end()
    return [*found, Token("end", "", len(text))]


def near(name: str, known: Iterable[str]) -> str:
    """Return `: did you mean …?` where a known name looks like this one, else nothing."""
    from difflib import get_close_matches

    close = get_close_matches(name[:80], [item for item in known if len(item) <= 80], 3, 0.6)
    return f": did you mean {' or '.join(close)}?" if close else ""


def wrong(text: str, sentence: str, at: int, length: int = 1) -> NoReturn:
    """Raise `ConditionError`, with a caret under `length` characters of the text."""
    raise ConditionError(sentence, text, at, length)


def _name(text: str, word: str, at: int) -> Token:
    if word in _WORDS:
        return Token("operator", word, at)
    if word in _CONSTANTS:
        return Token("value", word, at, _CONSTANTS[word])
    if keyword.iskeyword(word):
        wrong(text, f"{word} is no part of conditions", at, len(word))
    if not word.isidentifier():
        wrong(text, f"{word} is no name", at, len(word))
    return Token("name", word, at)


def _number(text: str, match: re.Match[str]) -> int | float:
    number, unit = match["number"].replace("_", ""), match["unit"]
    if number[:2] in ("0x", "0X"):
        value: int | float = int(number, 16)
    else:
        value = int(number) if number.isdigit() else float(number)
    if unit is None:
        return value
    if unit in DURATIONS:
        return _times(value, parse_duration(f"1{unit}"))
    if unit in SIZES:
        size = _times(value, parse_size(f"1{unit}"))
        return int(size) if size < _INFINITE else size
    wrong(
        text,
        f"{unit} is no unit: durations are {match['number']}ms, s, m or h, sizes KiB, MiB or GiB",
        match.start("unit"),
        len(unit),
    )


def _times(number: int | float, unit: float) -> float:
    try:
        return number * unit
    except OverflowError:  # an integer of hundreds of digits
        return _INFINITE


def _string(text: str, match: re.Match[str]) -> str | bytes:
    prefix, body = match["prefix"].lower(), match["string"][1:-1]
    if prefix not in ("", "b", "r", "br", "rb"):
        wrong(
            text,
            f"texts with {match['prefix']} before them are no part of conditions",
            match.start(),
            len(prefix),
        )
    start = match.start("string") + 1
    if "r" not in prefix:
        body = _ESCAPE.sub(lambda escape: _character(text, escape, start), body)
    if "b" not in prefix:
        return body
    try:
        return body.encode("latin-1")
    except UnicodeEncodeError:
        wrong(text, "bytes hold characters up to \\xff", match.start(), len(match[0]))


def _character(text: str, escape: re.Match[str], start: int) -> str:
    letter = escape[0][1]
    if len(escape[0]) > 2:
        code = int(escape[0][2:], 16)
        if code <= 0x10FFFF:
            return chr(code)
    elif letter in _SIMPLE:
        return _SIMPLE[letter]
    wrong(
        text, f"{escape[0]} is no escape: write \\\\ for a backslash", start + escape.start(), len(escape[0])
    )
