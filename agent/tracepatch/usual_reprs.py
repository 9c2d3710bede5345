"""Take apart from the usual values those whose `repr` needs no search for secrets, in mode `repr`.

The whole `repr` of a container is searched as any text is, which takes microseconds for each key. Nothing can be found
in that of dicts, lists and tuples of numbers and *inert* texts, none of whose names is secret: no quoted text reaches
beyond its quotes, a pair is one only in brackets, and what follows a key is a space. `INERT` and the bounds here are
the other side of `secret_texts`: whoever adds a shape there looks here, and `test_usual_reprs` compares the two.
"""

from __future__ import annotations

import re
from typing import Any, Final

from tracepatch_shared.limits import CAPTURE_CEILINGS, Capture

from .redaction import MAX_CLEAN, Redactor
from .secret_texts import MAX_PLACES, suspect
from .secret_values import NAME_KEYS
from .usual import MAX_NODES, TEXT_KEYED, UNUSUAL

MAX_LENGTH: Final = 7 * MAX_PLACES
"""Characters of a `repr` that have less than `MAX_PLACES` of anything in them: a key takes eight."""
LONGEST: Final = 64
MAX_NUMBER: Final = 1e12
"""Smaller numbers have too few digits for a card number; what follows the point counts for none."""

INERT: Final = re.compile(r"[\w./-]*|[\w./ ]*", re.ASCII)
_KEY: Final = re.compile(r"[\w.-]+", re.ASCII)


class UsualReprs:
    """Looks at the values of one trace."""

    __slots__ = ("_depth", "_inert", "_items", "_keys", "_redactor")

    def __init__(self, options: Capture, redactor: Redactor) -> None:
        self._redactor = redactor
        self._items = options.items
        self._depth = min(options.depth, CAPTURE_CEILINGS.depth)
        while self._depth and sum(self._items**level for level in range(self._depth + 1)) >= MAX_NODES:
            self._depth -= 1
        self._inert: set[str] = set()
        self._keys: set[str] = set()

    def copy(self, value: Any, level: int = 0) -> Any:
        """Return a copy of a dict, list or tuple whose `repr` has no secret in it, or `UNUSUAL`.

        None but those that were seen before: `Redactor.seen` tells.
        """
        if level >= self._depth or len(value) > self._items:
            return UNUSUAL
        inert = self._inert
        if type(value) is dict:
            if value.__sizeof__() not in TEXT_KEYED:
                for key in value:
                    if type(key) is not str:
                        return UNUSUAL
            copied = value.copy()
            nested = []
            for key in copied:
                if type(key) is not str:
                    return UNUSUAL
                item = copied[key]
                if key not in self._keys and not self._is_key(key, item):
                    return UNUSUAL
                kind = type(item)
                if kind is str:
                    if item not in inert and not self._is_inert(item):
                        return UNUSUAL
                elif kind is dict or kind is list or kind is tuple:
                    nested.append(key)
                elif not (item is None or kind is bool or self._is_number(item, kind)):
                    return UNUSUAL
            for key in nested:
                # Last: a value is not looked into before all names beside it are known to be harmless.
                item = copied[key] = self.copy(copied[key], level + 1)
                if item is UNUSUAL:
                    return UNUSUAL
            return copied
        taken = list(value)
        if len(taken) > 1 and not self._starts_well(taken):
            return UNUSUAL
        for place, item in enumerate(taken):
            kind = type(item)
            if kind is str:
                if item not in inert and not self._is_inert(item):
                    return UNUSUAL
            elif kind is dict or kind is list or kind is tuple:
                item = taken[place] = self.copy(item, level + 1)
                if item is UNUSUAL:
                    return UNUSUAL
            elif not (item is None or kind is bool or self._is_number(item, kind)):
                return UNUSUAL
        return taken if type(value) is list else tuple(taken)

    def _is_key(self, key: str, item: Any) -> bool:
        """Tell whether a key is shown as it is and makes no value secret."""
        names_secret = self._redactor.names_secret
        if len(key) > LONGEST or _KEY.fullmatch(key) is None or names_secret(key) or not self._is_inert(key):
            return False
        if key in NAME_KEYS:
            return type(item) is not str or not names_secret(item)
        if len(self._keys) < MAX_CLEAN:
            self._keys.add(key)
        return True

    def _starts_well(self, items: list[Any]) -> bool:
        """Tell whether the first item of a sequence names none of the others."""
        first = items[0]
        if type(first) is not str:
            return True
        if len(items) <= 3:
            return not self._redactor.names_secret(first)  # as `Reader` asks
        return type(items[1]) is not str or self._redactor.names.get(first) is False

    def _is_inert(self, text: str) -> bool:
        if len(text) > LONGEST or text[:1] == "-" or "form-data" in text:
            return False
        if INERT.fullmatch(text) is None or suspect(text):
            return False
        if len(self._inert) < MAX_CLEAN:
            self._inert.add(text)
        return True

    def _is_number(self, item: Any, kind: type) -> bool:
        if kind is int:
            return bool(self._redactor.low <= item <= self._redactor.high)
        return kind is float and bool(-MAX_NUMBER < item < MAX_NUMBER or item - item != 0.0)  # or inf, or nan
