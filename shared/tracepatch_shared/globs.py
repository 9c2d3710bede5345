"""Globs whose matching time is bounded: `*`, `?`, `[abc]`, `[a-z]`, `[!abc]`; they respect case, `*` matches everything.

A regular expression made of a whole glob may take exponential time on a text that an attacker chose. Here each part
between two stars has a fixed length and is searched for once, from where the part before it ended: that is enough, and
takes at most characters of the text x characters of the glob.
"""

from __future__ import annotations

import re

MAX_CHARACTERS = 200
"""Of a glob."""


class Glob:
    """A compiled glob; raises ValueError for one that is too long."""

    __slots__ = ("_first", "_last", "_least", "_middle", "text")

    def __init__(self, text: str) -> None:
        if len(text) > MAX_CHARACTERS:
            raise ValueError(f"a glob of {len(text)} characters is longer than {MAX_CHARACTERS}")
        self.text = text
        parts = _parts(text)
        first, *rest = [re.compile("".join(part), re.DOTALL) for part in parts]
        self._least = sum(map(len, parts))
        self._first = first
        self._last = (rest[-1], len(parts[-1])) if rest else None
        self._middle = tuple(part for part in rest[:-1] if part.pattern)

    def matches(self, text: str) -> bool:
        """Tell whether the whole of `text` matches."""
        if len(text) < self._least:
            return False
        if self._last is None:
            return self._first.fullmatch(text) is not None
        found = self._first.match(text)
        for part in self._middle:
            if found is None:
                return False
            found = part.search(text, found.end())
        if found is None:
            return False
        last, size = self._last
        return found.end() <= len(text) - size and last.fullmatch(text, len(text) - size) is not None


def _parts(glob: str) -> list[list[str]]:
    """Return the expressions for single characters, a list for each stretch between stars."""
    parts: list[list[str]] = [[]]
    at = 0
    while at < len(glob):
        character = glob[at]
        at += 1
        if character == "*":
            parts.append([])
        elif character == "?":
            parts[-1].append(".")
        elif character == "[" and (end := glob.find("]", at + 1 + (glob[at : at + 1] == "!"))) > 0:
            parts[-1].append(_one_of(glob[at:end]))
            at = end + 1
        else:
            parts[-1].append(re.escape(character))
    return parts


def _one_of(inside: str) -> str:
    """Return the expression for what stands in brackets."""
    negated = inside[0] == "!"
    inside = inside[negated:]
    ranges = []
    at = 0
    while at < len(inside):
        low = high = inside[at]
        if at + 2 < len(inside) and inside[at + 1] == "-":
            high = inside[at + 2]
            at += 2
        at += 1
        if low <= high:
            ranges.append(f"{re.escape(low)}-{re.escape(high)}")
    if not ranges:
        return "." if negated else r"(?!.)."
    return f"[{'^' if negated else ''}{''.join(ranges)}]"
