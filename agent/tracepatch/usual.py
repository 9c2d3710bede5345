"""Read the usual values fast: small containers and ordinary objects that hold scalars, short texts and more of these.

What is returned is what `Reader.read` returns for the same value, or `UNUSUAL`: then `Reader` reads it, from the start.
Nothing is secret in a usual value, so nothing is remembered here; names that are met are (`Redactor.names_secret`).
What makes this fast: no state but the containers that one is in, no bound to count down, as the bounds of a usual value
follow from `Capture`; containers are copied whole in one call of C, so that no other thread changes them meanwhile, and
what stays as it is stays in the copy.

Cost: 0.2 to 0.4 µs for a dict of two scalars, 0.5 to 0.9 µs for an object (`python -m benchmarks.capture`).
"""

from __future__ import annotations

from typing import Any, Final

from tracepatch_shared.limits import CAPTURE_CEILINGS, Capture
from tracepatch_shared.values import Mark

from .objects import getattribute, instance_dict, ordinary
from .redaction import MAX_CLEAN, Redactor
from .secret_values import NAME_KEYS

UNUSUAL: Final = object()
"""Not read here."""

MAX_NODES: Final = 2_000
"""Values that one capture visits."""
NODE_BYTES: Final = 200
"""What a captured value weighs in the process: between an item of a list and a mark, a text of `SHORT` included."""
SHORT: Final = 64

_new = object.__new__


class UsualReader:
    """Reads the usual values of one trace; holds nothing of any of them but short texts. See `capture` for the threads."""

    __slots__ = ("_characters", "_depth", "_items", "_nodes", "_redactor", "_text_limit", "levels")

    def __init__(self, options: Capture, redactor: Redactor) -> None:
        self._nodes = 0
        self._characters = 0
        self._redactor = redactor
        self._items = options.items
        self._text_limit = options.text
        self._depth = min(options.depth, CAPTURE_CEILINGS.depth)
        self.levels = 0
        """Containers within containers that hold less than `MAX_NODES` values, however many items each has."""
        nodes = level_nodes = 1
        while self.levels < self._depth:
            level_nodes *= self._items
            nodes += level_nodes
            if nodes >= MAX_NODES:
                break
            self.levels += 1

    @property
    def weight(self) -> int:
        """Bytes that all that was captured here weighs, estimated."""
        return NODE_BYTES * self._nodes + self._characters

    def read(self, value: Any, inside: tuple[Any, ...]) -> Any:
        """Return the plain form of a value that is no scalar and no text, `inside` of these other containers."""
        kind = type(value)
        if kind is dict:
            plan = None
            pairs = value
        elif kind is list or kind is tuple:
            return self._sequence(value, kind, inside)
        else:
            try:
                plan = ordinary[id(kind)]
            except KeyError:
                return UNUSUAL
            if plan.cls() is not kind:
                return UNUSUAL
            pairs = getattribute(value, "__dict__") if plan.own_dict else instance_dict(value, plan)
            if type(pairs) is not dict:
                return UNUSUAL
        count = len(pairs)
        if count > self._items:
            return UNUSUAL
        if pairs.__sizeof__() not in TEXT_KEYED:
            for key in pairs:
                if type(key) is not str:
                    return UNUSUAL  # before they are copied: that may compare keys
        shown = pairs.copy()
        redactor = self._redactor
        names, plain = redactor.plain_names, redactor.plain
        nested = []
        for key in shown:
            if type(key) is not str:
                return UNUSUAL
            item = shown[key]
            kind = type(item)
            if (
                key not in names
                and not (key in redactor.plain_naming and kind is str and redactor.names.get(item) is False)
                and not self._name(key, item)
            ):
                return UNUSUAL
            if kind is str:
                if item in plain or self.text(item):
                    continue
            elif kind is int:
                if (item <= redactor.high and item >= redactor.low) or self._number(item):
                    continue
            elif item is None or kind is float or kind is bool:
                continue
            else:
                nested.append(key)
                continue
            return UNUSUAL
        if nested:
            # Last: a value is not looked into before all names beside it are known to be harmless.
            inside = (*inside, value)
            read = self.read if len(inside) < self.levels else self.border
            for key in nested:
                item = shown[key]
                for outer in inside:
                    if outer is item:
                        return UNUSUAL  # a cycle
                item = read(item, inside)
                if item is UNUSUAL:
                    return UNUSUAL
                shown[key] = item
        self._nodes += 1 + count
        if plan is None:
            return shown
        mark = _new(Mark)  # a third faster than calling the class
        mark.kind = "object"
        mark.fields = {"type": plan.name, "fields": shown} if count else {"type": plan.name}
        return mark

    def _sequence(self, value: Any, kind: type, inside: tuple[Any, ...]) -> Any:
        """Return the plain form of a list or tuple."""
        length = len(value)
        taken = value[: self._items]
        redactor = self._redactor
        if length == 2 or (length == 3 and len(taken) > 1):
            # The first of a pair names the second, that of three the third.
            first = taken[0] if taken else None
            if type(first) is str and redactor.names_secret(first):
                return UNUSUAL
        plain = redactor.plain
        deeper = None
        captured = []
        for item in taken:
            item_kind = type(item)
            if item_kind is str:
                if item not in plain and (item[:1] == "-" or not self.text(item)):
                    return UNUSUAL  # an option names what follows it
            elif item_kind is int:
                if (item > redactor.high or item < redactor.low) and not self._number(item):
                    return UNUSUAL
            elif item is not None and item_kind is not float and item_kind is not bool:
                if deeper is None:
                    deeper = (*inside, value)
                    read = self.read if len(deeper) < self.levels else self.border
                for outer in deeper:
                    if outer is item:
                        return UNUSUAL  # a cycle
                item = read(item, deeper)
                if item is UNUSUAL:
                    return UNUSUAL
            captured.append(item)
        count = len(captured)
        self._nodes += 1 + count
        if count == length:
            return captured if kind is list else Mark("tuple", {"items": captured})
        fields = {"items": captured, "length": length} if captured else {"length": length}
        return Mark("list" if kind is list else "tuple", fields)

    def border(self, value: Any, inside: tuple[Any, ...]) -> Any:
        """Return the plain form of a value that is too deep to be read."""
        kind = type(value)
        if len(inside) < self._depth:
            return UNUSUAL  # that deep, bounds may be met
        self._nodes += 1
        if kind is dict:
            return Mark("dict", {"length": len(value)}) if value else {}
        if kind is list:
            return Mark("list", {"length": len(value)}) if value else []
        if kind is tuple:
            return Mark("tuple", {"length": len(value)} if value else {"items": []})
        plan = ordinary.get(id(kind))
        if plan is None or plan.cls() is not kind:
            return UNUSUAL
        return Mark("object", {"type": plan.name})

    def _name(self, key: str, item: Any) -> bool:
        """Tell whether a key is shown as it is and makes no value secret."""
        redactor = self._redactor
        names = redactor.plain_naming if key in NAME_KEYS else redactor.plain_names
        if redactor.names_secret(key) or not self.text(key):
            return False
        if len(names) < MAX_CLEAN:
            names.add(key)
        if key not in NAME_KEYS:
            return True
        kind = type(item)
        return kind is not bytes and (kind is not str or not redactor.names_secret(item))

    def text(self, text: str) -> bool:
        """Tell whether a text is shown as it is."""
        redactor = self._redactor
        plain = redactor.plain
        length = len(text)
        if length > self._text_limit or not text.isascii() or not redactor.clean(text):
            return False
        if length > SHORT or text[:1] == "-":
            self._characters += length
        elif len(plain) < MAX_CLEAN:
            # Into the set of before, as `Redactor.redact` does.
            plain.add(text)
        return True

    def _number(self, number: int) -> bool:
        """Tell whether an integer is shown as it is."""
        return -(1 << 63) <= number < 1 << 64 and not self._redactor.number(number)


def _text_keyed() -> frozenset[int]:
    """Return the sizes that only dicts have whose keys are all exact `str`; before 3.11 those of instances alone.

    Since then the table of such a dict leaves the hashes out. Asking for the size takes 10 ns, looking at two keys 50.
    """
    texts: dict[Any, None] = {}
    others: dict[Any, None] = {0: None}
    sizes, other_sizes = {texts.__sizeof__()}, set()
    for number in range(100):
        texts[str(number)] = others[str(number)] = None
        sizes.add(texts.__sizeof__())
        other_sizes.add(others.__sizeof__())
    for _ in range(40):
        # The dict of an instance that shares its keys with others of its class; it shrinks as more are made.
        sizes.add(vars(_Instance()).__sizeof__())
    return frozenset(sizes - other_sizes)


class _Instance:
    def __init__(self) -> None:
        self.field = None


TEXT_KEYED: Final = _text_keyed()
