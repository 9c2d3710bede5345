"""Which values are secret because of a name that stands with them, and what is remembered of those."""

from __future__ import annotations

import collections
from itertools import islice
from typing import Any

from .objects import fields_of, plan_of
from .redaction import Redactor

MAX_SECRETS = 32
"""Texts that are remembered out of one value under a secret name."""
MAX_DEPTH = 3
SMALL = 4
"""Fields of an object of which all are remembered; of a larger one those with secret names."""

SCALARS = frozenset(map(id, (type(None), bool, int, float, str, bytes)))
SEQUENCES = frozenset(map(id, (list, tuple, set, frozenset, collections.deque)))
NAME_KEYS = frozenset(("name", "key", "header", "field", "Name", "Key"))
_VALUE_KEYS = frozenset(("value", "val", "Value"))


class SecretValues:
    """The secret values of one trace. Runs no user code, as `objects` does not; see `capture` for the threads."""

    __slots__ = ("_names", "_redactor", "_window")

    def __init__(self, redactor: Redactor, window: int) -> None:
        self._redactor = redactor
        self._names = redactor.names
        self._window = window
        """Characters of a text that are remembered at most."""

    def named_by(self, key: Any) -> bool:
        """Tell whether a key, the first of a pair, or an option is exact text that names a secret."""
        if type(key) is str:
            secret = self._names.get(key)
            return self._redactor.names_secret(key) if secret is None else secret
        return type(key) is bytes and self._redactor.names_secret(key[:256].decode("latin-1"))

    def is_name(self, value: Any) -> bool:
        """Tell whether a value is a name that was met in this trace, as in the pair `("password", "username")`."""
        return type(value) is str and value.isidentifier() and self._names.get(value) is False

    def naming(self, names: tuple[str, ...]) -> tuple[str, ...] | None:
        """Return which of these names stand for a name themselves (`set(name, value)`), None where one is secret."""
        if any(self.named_by(name) for name in names):
            return None
        return tuple(name for name in names if name in NAME_KEYS)

    def among(self, pairs: list[Any]) -> list[bool] | None:
        """Tell which values of name-value pairs are secret, None for none; remember them before any is captured.

        In `{"name": "password", "value": "x"}`, as in HAR files and lists of variables, one pair names the other.
        """
        known = self._names
        for key, _ in pairs:
            if type(key) is not str or known.get(key) is not False or key in NAME_KEYS:
                break
        else:
            return None
        hidden = [self.named_by(key) for key, _ in pairs]
        if any(type(key) is str and key in NAME_KEYS and self.named_by(item) for key, item in pairs):
            for place, (key, _) in enumerate(pairs):
                hidden[place] = hidden[place] or (type(key) is str and key in _VALUE_KEYS)
        if True not in hidden:
            return None
        for place, (_, item) in enumerate(pairs):
            if hidden[place]:
                self.remember(item)
        return hidden

    def remember(self, value: Any) -> None:
        """Remember the texts in a secret value, at most `MAX_SECRETS`."""
        self._remember(value, MAX_DEPTH, [MAX_SECRETS])

    def _remember(self, value: Any, depth: int, left: list[int]) -> None:
        kind = type(value)
        left[0] -= 1
        if left[0] < 0:
            return
        if kind is str:
            self._redactor.remember(value)
        elif kind is bytes or kind is bytearray:
            head = bytes(value[: self._window])
            self._redactor.remember(head.decode("utf-8", "backslashreplace"))
            self._redactor.remember(repr(head)[2:-1])
            self._redactor.remember_bytes(head)
        elif kind is int:
            self._redactor.remember_number(value)
        elif depth and id(kind) in SEQUENCES:
            for item in list(islice(value, MAX_SECRETS)):
                self._remember(item, depth - 1, left)
        elif depth and kind is dict:
            for item in list(islice(value.values(), MAX_SECRETS)):
                self._remember(item, depth - 1, left)
        elif depth and id(kind) not in SCALARS:
            self._remember_object(value, depth, left)

    def _remember_object(self, value: Any, depth: int, left: list[int]) -> None:
        """Remember the texts in a small object, as SecretStr is one; of a larger one those under secret names."""
        plan = plan_of(value)
        if plan.base is str:
            self._redactor.remember(str.__getitem__(value, slice(0, self._window)))
        elif plan.base is bytes:
            self._remember(bytes.__getitem__(value, slice(0, self._window)), depth, left)
        elif plan.base is dict:
            for item in list(islice(dict.values(value), MAX_SECRETS)):
                self._remember(item, depth - 1, left)
        elif plan.base is list or plan.base is tuple:
            for item in list(islice(plan.base.__iter__(value), MAX_SECRETS)):
                self._remember(item, depth - 1, left)
        if plan.kind != "class":
            fields, count = fields_of(value, plan, MAX_SECRETS)
            for name, item in fields:
                if count <= SMALL or self._redactor.names_secret(name):
                    self._remember(item, depth - 1, left)
