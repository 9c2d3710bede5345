"""Turn live values into plain data without running anybody's code.

In mode `safe` values are read by `reading`. What is shown of them (see `tracepatch_shared.values`):

    cut text, bytes, int          Mark(kind, text | hex, and the real length | bits)
    cut list, dict, ...           Mark(kind, items, length); beyond the depth limit the length alone
    tuple, set, frozenset         Mark(kind, items)
    standard scalar types         Mark("value", type, text): datetime, Decimal, UUID, Path, range, complex, enum members
    any other object              Mark("object", type, fields; `value` for what a subclass of a built-in type holds)
    class, function, module       Mark(kind, name)
    never shown                   Mark("redacted" | "unreadable" | "cycle" | "unchecked", type ...)

In mode `repr` a value is the text of its `repr`, cut with `...`; that runs user code, as `repr` does. What a signal
handler raises there passes; what another thread sets there (`PyThreadState_SetAsyncExc`) looks like the `repr`'s own.

Concurrency: one `Capturer` per trace, called by every thread that the trace runs on, inside interpreter callbacks;
the state of one capture is local to it. No exception leaves it but those that a signal handler of the application
raises meanwhile. Reading `__dict__` makes the interpreter build the dict of an object that had none yet; nothing else
of the application's changes, and nothing of it is referred to afterwards but text and bytes that are short enough to
be shown whole, which are kept as they are.
"""

from __future__ import annotations

import builtins
from collections.abc import Mapping, Sequence
from typing import Any

from tracepatch_shared.limits import Capture
from tracepatch_shared.values import Mark, Plain

from .codes import Entry
from .containment import of_handler, ours
from .objects import Plan, fields_of, mro_of, plan_of
from .reading import Reader, Walk
from .redaction import REDACTED, Redactor
from .reprs import bounded_repr, packable
from .secret_values import SCALARS, SEQUENCES, SecretValues
from .usual import SHORT, UNUSUAL, UsualReader
from .usual_reprs import MAX_LENGTH, UsualReprs

TEXT_BYTES = 50 + SHORT
"""What a text of `SHORT` characters weighs at most."""

_UNREADABLE = Mark("unreadable", {})
"""Shared: made before it is needed, as where the stack or the memory is at its end nothing can be made."""

_SILENT = Mark("redacted", {})

_REPR_FAILED = "<repr failed>"

_args = BaseException.__dict__["args"].__get__
_os_error = [OSError.__dict__[name].__get__ for name in ("errno", "strerror", "filename")]
_decoding = {id(kind): kind.__str__ for kind in (UnicodeDecodeError, UnicodeEncodeError)}
_group = vars(builtins).get("BaseExceptionGroup")


class Capturer:
    """Captures the values of one trace."""

    __slots__ = (
        "_characters", "_clean", "_items", "_reader", "_redactor", "_repr", "_reprs", "_secrets", "_text", "_texts", "_trace", "_usual", "_usually", "_weight", "_window",
    )  # fmt: skip

    def __init__(self, options: Capture, redactor: Redactor, *, mode: str = "safe") -> None:
        if mode not in ("safe", "repr"):
            raise ValueError(f"a capture mode is 'safe' or 'repr', not {mode!r}")
        self._repr = mode == "repr"
        self._usual = UsualReader(options, redactor)
        self._usually = self._usual.read if self._usual.levels else self._usual.border
        self._reprs = UsualReprs(options, redactor)
        self._reader = Reader(options, redactor)
        self._weight = 0
        self._texts = 0
        self._secrets = SecretValues(redactor, self._reader.window)
        self._items = options.items
        self._text = options.text
        self._window = self._reader.window
        self._characters = self._reader.characters
        self._redactor = redactor
        self._clean = redactor.clean
        self._trace = object()
        """Stands for this trace in the entries of functions that were met in it."""

    # -- what the recorder calls

    @property
    def weight(self) -> int:
        """Bytes that all values captured so far weigh, estimated; threads may lose an addition."""
        if self._repr:
            return self._weight  # of what `UsualReader` made nothing is kept
        return self._weight + self._usual.weight + TEXT_BYTES * self._texts

    def value(self, value: Any) -> Plain:
        """Return the plain form of a value that has no name."""
        try:
            if not self._repr:
                kind = type(value)
                if value is None or kind is float or kind is bool:
                    return value  # type: ignore[no-any-return]
                if kind is int:
                    if self._redactor.low <= value <= self._redactor.high:
                        return value  # type: ignore[no-any-return]
                elif kind is str:
                    if self._usual.text(value):
                        self._texts += 1
                        return value  # type: ignore[no-any-return]
                else:
                    plain = self._usually(value, ())
                    if plain is not UNUSUAL:
                        return plain  # type: ignore[no-any-return]
        except Exception as error:
            if not ours(error):
                raise  # a signal handler's: the application's
        try:
            return self._shown(value) if self._repr else self._read(value)
        except Exception as error:
            if not ours(error):
                raise
            return _UNREADABLE

    def _read(self, value: Any) -> Plain:
        walk = Walk(self._characters)
        plain = self._reader.read(value, 0, walk)
        self._weight += walk.weight
        return plain

    def arguments(self, entry: Entry, values: Mapping[str, Any]) -> list[Plain]:
        """Return the plain forms of a call's arguments, redacted where a name is secret; secrets are read first.

        So the secret in `login(note, password)` is hidden in the note, too, and the value in `set(name, value)` when
        the name is that of a secret. `values` is an exact dict or a frame's locals.
        """
        names = entry.arguments
        try:
            if entry.harmless_for is not self._trace:
                if entry.silent:
                    return [_SILENT for _ in names]
                if not self._harmless(entry, values):
                    return self._hidden(names, values)
            if self._repr:
                return [self._shown(values[name]) for name in names]
            redactor = self._redactor
            shown: list[Plain] = []
            for name in names:
                item = values[name]
                kind = type(item)
                if kind is str:
                    if item in redactor.plain:
                        self._texts += 1
                    elif not self._usual.text(item):
                        item = self._read(item)
                elif kind is int:
                    if item > redactor.high or item < redactor.low:
                        item = self._read(item)
                elif item is not None and kind is not float and kind is not bool:
                    plain = self._usually(item, ())
                    item = self._read(item) if plain is UNUSUAL else plain
                shown.append(item)
            return shown
        except Exception as error:
            if not ours(error):
                raise  # a signal handler's: the application's
        try:
            return self._hidden(names, values)
        except Exception as error:
            if not ours(error):
                raise
            return [_UNREADABLE for _ in names]

    def _harmless(self, entry: Entry, values: Mapping[str, Any]) -> bool:
        """Tell whether no argument can be secret because of a name; remember it where the names alone decide."""
        if entry.naming_for is not self._trace:
            entry.naming = self._secrets.naming(entry.arguments)
            entry.naming_for = self._trace
            if entry.naming == ():
                entry.harmless_for = self._trace
        if entry.naming is None:
            return False
        for name in entry.naming:
            item = values[name]
            kind = type(item)
            if kind is bytes or (kind is str and self._redactor.names_secret(item)):
                return False
        return True

    def _hidden(self, names: Sequence[str], values: Mapping[str, Any]) -> list[Plain]:
        """Return the plain forms of arguments some of which may be secret because of a name."""
        pairs = [(name, values[name]) for name in names]
        hidden = self._secrets.among(pairs)
        if hidden is None:
            return [self.value(value) for _, value in pairs]
        return [
            self._secret(value) if hidden[place] else self.value(value)
            for place, (_, value) in enumerate(pairs)
        ]

    def name(self, text: str) -> str:
        """Return a name that the application gave to a task or to a thread, checked and cut."""
        try:
            return self._cut(text)
        except Exception as error:
            if not ours(error):
                raise  # a signal handler's: the application's
            return ""

    def returned(self, entry: Entry, value: Any) -> Plain:
        """Return the plain form of what a function returned, redacted when its own name (`get_token`) is secret."""
        try:
            kind = type(value)
            if (value is None or kind is bool) and not self._repr:
                return value  # type: ignore[no-any-return]
            if entry.open_for is self._trace:
                if kind is float and not self._repr:
                    return value  # type: ignore[no-any-return]
            elif self._redactor.returns_secret(entry.code.co_name, kind is str or kind is bytes):
                return self._secret(value)
            elif not self._redactor.names_secret(entry.code.co_name):
                entry.open_for = self._trace
        except Exception as error:
            if not ours(error):
                raise  # a signal handler's: the application's
            return _UNREADABLE
        return self.value(value)

    @staticmethod
    def silenced(entry: Entry, plain: Plain) -> Plain:
        """Return what a call returned or raised, nothing of it where the policy wants none of its values."""
        return _SILENT if entry.silent else plain

    def exception(self, exc: BaseException) -> tuple[str, Plain]:
        """Return the name of an exception's type and its message, put together from `args`, never by its `__str__`.

        The message is text where the arguments are plain, else the captured arguments; the fields of an exception
        that was made without any (mode `safe`).
        """
        try:
            plan = plan_of(exc)
        except Exception as error:
            if not ours(error):
                raise  # a signal handler's: the application's
            return "?", _UNREADABLE
        try:
            walk = Walk(self._characters)
            message = self._message(exc, plan, walk)
            self._weight += walk.weight
            return plan.name, message
        except Exception as error:
            if not ours(error):
                raise  # a signal handler's: the application's
            return plan.name, _UNREADABLE

    def _secret(self, value: Any) -> Plain:
        shown = self._reader.secret(value)
        if not self._repr:
            return shown
        return REDACTED if type(shown) is Mark else repr(shown)

    # -- exceptions

    def _message(self, exc: Any, plan: Plan, walk: Walk) -> Plain:
        args = _args(exc)
        mro = mro_of(type(exc))
        if any(base is OSError for base in mro):
            number, reason, path = (read(exc) for read in _os_error)
            if type(number) is int and type(reason) is str:
                named = f": {path!r}" if type(path) is str or type(path) is bytes else ""
                return self._line(f"[Errno {number}] {reason}{named}", walk)
        if id(type(exc)) in _decoding and type(exc.reason) is str and type(exc.encoding) is str:
            return self._line(_decoding[id(type(exc))](exc), walk)
        if not args:
            found = [] if self._repr else fields_of(exc, plan, self._items)[0]
            return (
                Mark("object", {"type": plan.name, "fields": self._reader.fields(found, 0, walk)})
                if found
                else ""
            )
        first = args[0]
        if type(first) is str:
            if len(args) == 1:
                quoted = any(base is KeyError for base in mro)
                return self._line(repr(first[: self._window]) if quoted else first, walk)
            if any(base is SyntaxError or base is _group for base in mro):
                return self._line(first, walk)
        pair = len(args) == 2 and self._secrets.named_by(first)
        if self._repr or (not pair and all(id(type(item)) in SCALARS for item in args)):
            text = self._represented(args if len(args) > 1 else first)
            return _REPR_FAILED if text is None else self._line(text, walk)
        return self._reader.read(args if len(args) > 1 else first, 0, walk)

    def _line(self, text: str, walk: Walk) -> Plain:
        self._redactor.heed(text[: self._window])
        return self._cut(text) if self._repr else self._reader.read_str(text, 0, walk)

    # -- mode repr

    def _shown(self, value: Any) -> str:
        """Return the `repr` of a value, checked and cut."""
        kind = type(value)
        if value is None or kind is bool or kind is float:
            return repr(value)
        if kind is int and not self._redactor.numeric and self._redactor.low <= value <= self._redactor.high:
            return repr(value)
        if kind is dict or kind is list or kind is tuple:
            copied = self._reprs.copy(value)
            if copied is not UNUSUAL:
                text = repr(copied)
                if len(text) <= MAX_LENGTH and not (self._redactor.wary and self._redactor.seen(text)):
                    return self._fitted(text)
        if (id(kind) in SEQUENCES or kind is dict) and self._usually(value, ()) is UNUSUAL:
            self._reader.read(value, 0, Walk(self._characters))  # remembers what names in it make secret
        shown = self._represented(value)
        if shown is None:
            return _REPR_FAILED
        if type(value) is int and self._redactor.number(value):
            return REDACTED
        return self._cut(shown)

    def _represented(self, value: Any) -> str | None:
        """Return the `repr` of a value; nil where that fails: it may raise what it likes."""
        try:
            return bounded_repr(value, self._window + 1)
        except Exception as error:
            if of_handler(error):
                raise
            return None

    def _cut(self, text: str) -> str:
        if len(text) <= self._text and text.isascii() and self._clean(text):
            self._weight += len(text)
            return text
        cut = len(text) > self._window
        checked = self._reader.checked(text[: self._window], cut, Walk(self._characters))
        if checked is None:
            return "<unchecked>"
        return self._fitted(packable(checked[0]), whole=checked[2])

    def _fitted(self, text: str, *, whole: bool = True) -> str:
        if not whole or len(text) > self._text:
            text = text[: max(self._text - 3, 0)] + "..."[: self._text]
        self._weight += len(text)
        return text
