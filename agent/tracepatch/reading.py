"""Read live values as plain data without running anybody's code.

A value is dispatched on its exact type, by `id(type(value))`: looking a class up in a dict would call a metaclass's
`__hash__`. Exact built-in and standard types are read by C code that calls nothing back, whatever else through
`objects`; what a subclass of a built-in type holds is read by that type's own C methods. Nothing asks a user's object
for an attribute, a length, a text, an iterator, a comparison or a hash.

One capture visits at most `MAX_NODES` values and reads `MAX_CHARACTERS` characters (or four windows); what is beyond
is shown by type and length.
"""

from __future__ import annotations

import collections
import functools
import types
import weakref
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

from tracepatch_shared.limits import CAPTURE_CEILINGS, Capture
from tracepatch_shared.values import Mark, Plain

from .containment import ours
from .objects import (
    callable_name,
    enum_name,
    fields_of,
    module_name,
    name_text,
    ordinary,
    plan_of,
    running_name,
    standard_text,
    type_name,
)
from .redaction import REDACTED, Redactor
from .reprs import packable
from .secret_values import SecretValues
from .usual import MAX_NODES, NODE_BYTES

MAX_CHARACTERS = 1 << 16
WINDOW = 4_096
"""Characters of one text that are checked for secrets, or twice what is shown; the last quarter is never shown."""
HEX_DIGITS = 16
"""Leading hexadecimal digits that are shown of an integer beyond 64 bits."""
MAX_HELD = 1 << 20
"""Length of a text in a subclass of str or bytes that is still copied to be read."""
REDACTION_COST = 200
"""What redacting and remembering a secret takes, in characters read."""

_args = BaseException.__dict__["args"].__get__
_method_function = types.MethodType.__dict__["__func__"].__get__
_method_self = types.MethodType.__dict__["__self__"].__get__
_partial = {name: functools.partial.__dict__[name] for name in ("func", "args", "keywords")}
_BINARY = frozenset(map(chr, (*range(9), *range(14, 27), *range(28, 32))))


class Walk:
    """The state of one capture: what it may still visit and read, and the containers that it is in."""

    __slots__ = ("characters", "inside", "nodes", "shown")

    def __init__(self, characters: int) -> None:
        self.nodes = MAX_NODES
        self.characters = characters
        self.inside: list[int] = []
        self.shown = 0
        """Characters that are shown."""

    @property
    def weight(self) -> int:
        """Bytes that what was captured weighs in the process, estimated."""
        return self.shown + NODE_BYTES * (MAX_NODES - self.nodes)


class Reader:
    """Reads the values of one trace; holds nothing of any of them."""

    __slots__ = ("_clean", "_depth", "_items", "_redactor", "_secrets", "characters", "text", "window")

    def __init__(self, options: Capture, redactor: Redactor) -> None:
        self.text = options.text
        self.window = max(WINDOW, 2 * options.text)
        self.characters = max(MAX_CHARACTERS, 4 * self.window)
        self._depth = min(options.depth, CAPTURE_CEILINGS.depth)
        self._items = options.items
        self._redactor = redactor
        self._clean = redactor.clean
        self._secrets = SecretValues(redactor, self.window)

    def secret(self, value: Any) -> Plain:
        """Return the mark of a value under a secret name; remember the texts in it. None and bools are shown."""
        kind = type(value)
        if value is None or kind is bool or ((kind is str or kind is bytes) and not value):
            return value  # type: ignore[no-any-return]
        try:
            self._secrets.remember(value)
        except Exception as error:
            if not ours(error):
                raise  # a signal handler's: the application's
        return Mark("redacted", {"type": type_name(kind)})

    def read(self, value: Any, level: int, walk: Walk) -> Plain:
        """Return the plain form of a value `level` containers deep."""
        walk.nodes -= 1
        kind = type(value)
        if value is None or kind is bool or kind is float:
            return value  # type: ignore[no-any-return]
        reader = _READERS.get(id(kind), Reader._read_object)
        try:
            return reader(self, value, level, walk)
        except Exception as error:
            if not ours(error):
                raise  # a signal handler's: the application's
            return Mark("unreadable", {"type": type_name(type(value))})

    def _read_scalar(self, value: Any, level: int, walk: Walk) -> Plain:  # noqa: ARG002
        return value  # type: ignore[no-any-return]

    def _read_int(self, value: int, level: int, walk: Walk) -> Plain:  # noqa: ARG002
        if -1000 < value < 1000:
            return value
        if self._redactor.number(value):
            return Mark("redacted", {"type": "int"})
        if -(1 << 63) <= value < 1 << 64:
            return value
        bits = value.bit_length()
        shift = bits - 4 * HEX_DIGITS
        figures = f"{value >> shift:x}" if value > 0 else f"-{-value >> shift:x}"
        return Mark("int", {"hex": figures, "bits": bits})

    def read_str(self, value: str, level: int, walk: Walk) -> Plain:  # noqa: ARG002
        length = len(value)
        if length <= self.text and value.isascii() and self._clean(value):
            walk.characters -= length
            walk.shown += length
            return value
        cut = length > self.window
        checked = self.checked(value[: self.window] if cut else value, cut, walk)
        if checked is None:
            return Mark("unchecked", {"type": "str", "length": length})
        text, redacted, whole = checked
        if redacted and text == REDACTED:
            return Mark("redacted", {"type": "str"})
        fields: dict[str, Any] = {"text": text[: self.text]}
        if redacted:
            fields["redacted"] = redacted
        if not whole or len(text) > self.text:
            fields["length"] = length
        walk.shown += len(fields["text"])
        carried = packable(fields["text"])
        if carried is not fields["text"]:
            fields |= {"text": carried, "escaped": True, "length": length}
        return value if len(fields) == 1 else Mark("str", fields)

    def _read_bytes(self, value: bytes | bytearray, level: int, walk: Walk) -> Plain:  # noqa: ARG002
        length = len(value)
        name = type(value).__name__
        head = bytes(value[: self.window])
        cut = length > len(head)
        try:
            text = head.decode()
        except UnicodeDecodeError as error:
            if not cut or error.start < len(head) - 3:
                return Mark("unchecked", {"type": name, "length": length})
            text = head[: error.start].decode()
        if not _BINARY.isdisjoint(text):
            return Mark("unchecked", {"type": name, "length": length})
        checked = (
            (text, 0, True) if length <= self.text and self._clean(text) else self.checked(text, cut, walk)
        )
        if checked is None:
            return Mark("unchecked", {"type": name, "length": length})
        shown, redacted, complete = checked
        if redacted and shown == REDACTED:
            return Mark("redacted", {"type": name})
        data = shown.encode()[: self.text]
        walk.characters -= len(data)
        walk.shown += len(data)
        if name == "bytes" and complete and not redacted and length <= self.text:
            return data
        fields: dict[str, Any] = {"text": data.decode("latin-1"), "length": length}
        if redacted:
            fields["redacted"] = redacted
        if name != "bytes":
            fields["type"] = name
        return Mark("bytes", fields)

    def checked(self, text: str, cut: bool, walk: Walk) -> tuple[str, int, bool] | None:
        """Return the showable part of a text with its secrets replaced, their number, and whether it is the whole.

        None says that the text is unchecked. Of a text that is `cut` more is looked at than may be shown: a secret whose end is missing is found as well.
        """
        walk.characters -= len(text)
        if walk.characters < 0 and self._redactor.enabled:
            return None
        shown, redacted, whole = self._redactor.redact(text, len(text) * 3 // 4 if cut else len(text))
        walk.characters -= REDACTION_COST * redacted
        return shown, redacted, whole

    # -- containers

    def _read_sequence(self, value: Any, level: int, walk: Walk) -> Plain:
        return self._sequence(type(value).__name__, value, value, len(value), level, walk)

    def _sequence(
        self, kind: str, value: Any, items: Iterable[Any], length: int, level: int, walk: Walk
    ) -> Plain:
        """Return the form that `kind` (list, tuple, set, frozenset) has for the items of a container."""
        if id(value) in walk.inside:
            return Mark("cycle", {"type": kind})
        captured: list[Plain] = []
        if length and level < self._depth and walk.nodes > 0:
            # In one call of C, so that no other thread changes the container between two items.
            taken = list(islice(items, min(self._items, length)))
            ordered = kind == "list" or kind == "tuple"
            walk.inside.append(id(value))
            hide = False
            for number, item in enumerate(taken):
                if walk.nodes <= 0:
                    break
                if not hide:
                    captured.append(self.read(item, level + 1, walk))
                elif self._secrets.is_name(item):
                    captured.append(Mark("redacted", {"type": "str"}))
                else:
                    captured.append(self.secret(item))
                # The first of a pair names the second, as in ASGI's headers; `--password` names what follows it.
                first = (length == 2 and not number) or (type(item) is str and item[:1] == "-")
                if length == 3 and number == 1:
                    # httpx keeps a header as its name, its name in lower case, and its value.
                    first = self._secrets.named_by(taken[0])
                hide = ordered and first and not hide and self._secrets.named_by(item)
            walk.inside.pop()
        if len(captured) == length:
            return captured if kind == "list" else Mark(kind, {"items": captured})
        return Mark(kind, {"items": captured, "length": length} if captured else {"length": length})

    def _read_dict(self, value: dict[Any, Any], level: int, walk: Walk) -> Plain:
        """Read a dict, or what a subclass of it holds."""
        if id(value) in walk.inside:
            return Mark("cycle", {"type": "dict"})
        length = dict.__len__(value)
        if not length:
            return {}
        if level >= self._depth or walk.nodes <= 0:
            return Mark("dict", {"length": length})
        taken = list(islice(dict.items(value), self._items))
        hidden = self._secrets.among(taken)
        pairs: list[Any] = []
        walk.inside.append(id(value))
        plain = True
        limit, clean = self.text, self._clean
        for place, (key, item) in enumerate(taken):
            if walk.nodes <= 0:
                break
            if type(key) is str and len(key) <= limit and key.isascii() and clean(key):
                shown: Plain = key
            else:
                shown = self.read(key, level + 1, walk)
                plain = plain and type(shown) is str
            if hidden is not None and hidden[place]:
                pairs.append((shown, self.secret(item)))
            else:
                pairs.append((shown, self.read(item, level + 1, walk)))
        walk.inside.pop()
        if len(pairs) < length:
            return Mark("dict", {"items": [list(pair) for pair in pairs], "length": length})
        return dict(pairs) if plain else Mark("dict", {"items": [list(pair) for pair in pairs]})

    def _read_held(self, value: Any, level: int, walk: Walk) -> Plain:
        """Read a standard container as the built-in one that it amounts to: deque, OrderedDict, views, ..."""
        name = type_name(type(value))
        if isinstance(value, dict):
            held = self._read_dict(value, level, walk)
        else:
            held = self._sequence("list", value, value, len(value), level, walk)
        if type(held) is Mark and held.kind == "cycle":
            return Mark("cycle", {"type": name})
        return Mark("object", {"type": name, "value": held})

    # -- objects

    def _read_object(self, value: Any, level: int, walk: Walk) -> Plain:
        """Read an instance of a class that has no reader: its type, and to the set depth what it holds."""
        plan = plan_of(value)
        if plan.kind == "class":
            return Mark("class", {"name": type_name(value)})
        if plan.is_ordinary:
            ordinary[id(type(value))] = plan
        if id(value) in walk.inside:
            return Mark("cycle", {"type": plan.name})
        text = enum_name(value, plan) if plan.kind == "enum" else None
        if text is None and plan.kind == plan.name:
            text = standard_text(value, plan.kind)
            if text is None:
                return Mark("object", {"type": plan.name})
        if text is not None:
            return self._as_value(plan.name, text, walk)
        shown: dict[str, Any] = {"type": plan.name}
        if level >= self._depth or walk.nodes <= 0:
            return Mark("object", shown)
        walk.inside.append(id(value))
        found, count = fields_of(value, plan, self._items)
        if plan.kind == "exception":
            found.insert(0, ("args", _args(value)))
        if plan.base is tuple and plan.items and len(plan.items) == tuple.__len__(value):
            found = list(zip(plan.items, tuple.__iter__(value), strict=True))[: self._items]
            count = len(plan.items)
        elif plan.base is not None:
            walk.inside.pop()
            shown["value"] = self._content(plan.base, value, level, walk)
            walk.inside.append(id(value))
        if found:
            shown["fields"] = self.fields(found, level, walk)
        if count > self._items:
            shown["length"] = count
        walk.inside.pop()
        return Mark("object", shown)

    def _content(self, base: type, value: Any, level: int, walk: Walk) -> Plain:
        """Read what an instance of a subclass of the built-in type `base` holds, by the C methods of that type."""
        if base is dict:
            return self._read_dict(value, level, walk)
        if base is str or base is bytes:
            length = base.__len__(value)
            if length > MAX_HELD:
                return Mark("unchecked", {"type": base.__name__, "length": length})
            return self.read(base.__getitem__(value, slice(0, length)), level, walk)
        if base is int:
            return self._read_int(int.__index__(value), level, walk)
        if base is float:
            return float.__float__(value)
        iterator, length = base.__iter__(value), base.__len__(value)  # type: ignore[attr-defined]
        return self._sequence(base.__name__, value, iterator, length, level, walk)

    def fields(self, found: list[tuple[str, Any]], level: int, walk: Walk) -> dict[str, Plain]:
        captured: dict[str, Plain] = {}
        hidden = self._secrets.among(found)
        for place, (name, item) in enumerate(found):
            if walk.nodes <= 0:
                break
            shown = name
            if not (len(name) <= self.text and name.isascii() and self._clean(name)):
                mark = self.read_str(name, level, walk)
                shown = name_text(mark.fields.get("text", REDACTED)) if type(mark) is Mark else name
            if hidden is not None and hidden[place]:
                captured[shown] = self.secret(item)
            else:
                captured[shown] = self.read(item, level + 1, walk)
        return captured

    def _as_value(self, name: str, text: str, walk: Walk) -> Plain:
        shown = self.read_str(text, 0, walk)
        if type(shown) is Mark:
            return Mark("value", {"type": name, **shown.fields}) if shown.kind == "str" else shown
        return Mark("value", {"type": name, "text": shown})

    def _read_parts(self, value: Any, level: int, walk: Walk) -> Plain:
        """Read a slice or a partial."""
        name = type_name(type(value))
        if id(value) in walk.inside:
            return Mark("cycle", {"type": name})
        if level >= self._depth or walk.nodes <= 0:
            return Mark("object", {"type": name})
        if type(value) is slice:
            found = [("start", value.start), ("stop", value.stop), ("step", value.step)]
        else:
            found = [(part, member.__get__(value)) for part, member in _partial.items()]
        walk.inside.append(id(value))
        fields = self.fields(found, level, walk)
        walk.inside.pop()
        return Mark("object", {"type": name, "fields": fields})

    def _read_text(self, value: Any, level: int, walk: Walk) -> Plain:  # noqa: ARG002
        """Read an exact built-in value whose `repr` is short and runs nothing: complex, range, Ellipsis."""
        if type(value) is range and any(n.bit_length() > 64 for n in (value.start, value.stop, value.step)):
            return Mark("object", {"type": "range"})
        return Mark("value", {"type": type(value).__name__, "text": repr(value)})

    def _read_memory(self, value: memoryview, level: int, walk: Walk) -> Plain:  # noqa: ARG002
        return Mark("unchecked", {"type": "memoryview", "length": value.nbytes})

    def _read_opaque(self, value: Any, level: int, walk: Walk) -> Plain:  # noqa: ARG002
        """Show by its type what must not be looked into: mappings of unknown origin, weak references."""
        return Mark("object", {"type": type_name(type(value))})

    def _read_type(self, value: type, level: int, walk: Walk) -> Plain:  # noqa: ARG002
        return Mark("class", {"name": type_name(value)})

    def _read_function(self, value: Any, level: int, walk: Walk) -> Plain:  # noqa: ARG002
        return Mark("function", {"name": callable_name(value)})

    def _read_method(self, value: Any, level: int, walk: Walk) -> Plain:  # noqa: ARG002
        bound = type_name(type(_method_self(value)))
        return Mark("function", {"name": callable_name(_method_function(value)), "bound": bound})

    def _read_module(self, value: Any, level: int, walk: Walk) -> Plain:  # noqa: ARG002
        return Mark("module", {"name": module_name(value)})

    def _read_running(self, value: Any, level: int, walk: Walk) -> Plain:  # noqa: ARG002
        """Name a coroutine or generator; it is never resumed."""
        return Mark("object", {"type": type(value).__name__, "name": running_name(value)})


def _table() -> dict[int, Callable[[Reader, Any, int, Walk], Plain]]:
    c = Reader
    view: dict[Any, Any] = {}
    readers: list[tuple[Callable[[Reader, Any, int, Walk], Plain], tuple[type, ...]]] = [
        (c._read_scalar, (type(None), bool, float)),
        (c._read_int, (int,)),
        (c.read_str, (str,)),
        (c._read_bytes, (bytes, bytearray)),
        (c._read_sequence, (list, tuple, set, frozenset)),
        (c._read_dict, (dict,)),
        (c._read_held, (collections.deque, collections.OrderedDict, collections.defaultdict)),
        (c._read_held, (type(view.keys()), type(view.values()), type(view.items()))),
        (c._read_parts, (slice, functools.partial)),
        (c._read_text, (complex, range, type(...), type(NotImplemented))),
        (c._read_memory, (memoryview,)),
        (c._read_opaque, (types.MappingProxyType, weakref.ref, weakref.ProxyType, weakref.CallableProxyType)),
        (c._read_type, (type,)),
        (c._read_function, (types.FunctionType, types.BuiltinFunctionType)),
        (c._read_method, (types.MethodType,)),
        (c._read_module, (types.ModuleType,)),
        (c._read_running, (types.GeneratorType, types.CoroutineType, types.AsyncGeneratorType)),
    ]
    return {id(kind): reader for reader, kinds in readers for kind in kinds}


_READERS = _table()
