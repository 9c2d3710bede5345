"""Read what an object is and holds without running anybody's code.

For every class there is a `Plan`: its name, and which genuine descriptors of its real MRO give an instance's
`__dict__` and slots. All of it is read by C code that calls nothing back: no attribute look-up, no metaclass, no
property, no `__class__`, no comparison. Classes are compared by identity only, as `==`, `in` and dict look-ups would
call a metaclass's `__eq__` and `__hash__`, and a class whose namespace has keys that are not exact `str` is not looked
into, as a look-up there could call a key's `__eq__`.

Concurrency: plans are shared by all threads and traces; building one twice does no harm. A plan refers to its class
weakly, and to no descriptor, since those keep their class alive.
"""

from __future__ import annotations

import enum
import sys
import types
import weakref
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

MAX_PLANS = 2_048
MAX_NAME = 200
MAX_DECIMAL_BYTES = 512

BASES = (str, int, float, bytes, list, tuple, dict, set, frozenset)
"""Built-in types whose content instances of subclasses hold."""

_str = str.__str__
getattribute = object.__getattribute__
mro_of: Callable[[type], tuple[type, ...]] = type.__dict__["__mro__"].__get__
class_dict: Callable[[type], Any] = type.__dict__["__dict__"].__get__
qualname_of: Callable[[type], Any] = type.__dict__["__qualname__"].__get__
_module_of: Callable[[type], Any] = type.__dict__["__module__"].__get__
_flags_of: Callable[[type], int] = type.__dict__["__flags__"].__get__
_IS_HEAP_TYPE = 1 << 9
_function_name = types.FunctionType.__dict__["__qualname__"].__get__
_function_module = types.FunctionType.__dict__["__module__"].__get__
_builtin_name = types.BuiltinFunctionType.__dict__["__name__"].__get__
_module_dict = vars(types.ModuleType)["__dict__"].__get__


class Plan:
    """How instances of one class are read."""

    __slots__ = ("base", "cls", "dict_at", "items", "kind", "name", "own_dict", "slots")

    def __init__(self, cls: type) -> None:
        self.cls = weakref.ref(cls)
        self.name = type_name(cls)
        self.kind = ""
        """`class`, `exception`, `enum`, or the name of a standard type that `standard_text` reads."""
        self.base: type | None = None
        self.dict_at = -1
        """Where in the MRO the `__dict__` stands that an attribute look-up would find."""
        self.own_dict = False
        """It is the class's own, a genuine one, which nothing can replace: the metaclass is `type`."""
        self.slots: list[tuple[int, str]] = []
        """Where in the MRO which slot stands, base classes first."""
        self.items: tuple[str, ...] = ()
        """The names of a named tuple's items."""
        mro = mro_of(cls)
        for place, owner in enumerate(mro):
            if owner is type:
                self.kind = "class"
            elif owner is BaseException:
                self.kind = "exception"
            elif owner is enum.Enum:
                self.kind = "enum"
            elif self.base is None and any(owner is base for base in BASES):
                self.base = owner
            members = class_dict(owner)
            if not all(type(name) is str for name in members):
                continue
            if self.dict_at < 0 and "__dict__" in members:
                self.dict_at = place
                genuine = type(members["__dict__"]) is types.GetSetDescriptorType
                self.own_dict = genuine and owner is cls and type(cls) is type
            if "__slots__" in members:
                self.slots += [
                    (place, n) for n, m in members.items() if type(m) is types.MemberDescriptorType
                ]
            if not self.items and type(members.get("_fields")) is tuple:
                self.items = tuple(_str(name) for name in members["_fields"] if type(name) is str)
        self.slots.sort(key=lambda slot: -slot[0])
        if not self.kind and self.name in _STANDARD and _is_standard(cls):
            self.name = self.kind = self.name.replace("pathlib._local.", "pathlib.")

    @property
    def is_ordinary(self) -> bool:
        """Whether an instance's `__dict__` is all that there is to see of it."""
        return not self.kind and self.base is None and not self.slots and self.dict_at >= 0


_plans: dict[int, Plan] = {}
ordinary: dict[int, Plan] = {}
"""The plans of classes that `UsualReader` may read, by `id()`; whoever looks one up checks that it is of that class."""


def plan_of(value: Any) -> Plan:
    """Return the plan for the class of `value`."""
    cls = type(value)
    plan = _plans.get(id(cls))
    if plan is None or plan.cls() is not cls:
        if len(_plans) >= MAX_PLANS:
            _plans.clear()
            ordinary.clear()
        plan = _plans[id(cls)] = Plan(cls)
    return plan


def class_module(cls: type) -> Any:
    """Return the module that a class names; None where it was made in none, as by `exec` in a bare namespace."""
    if _flags_of(cls) & _IS_HEAP_TYPE and "__module__" not in class_dict(cls):
        return None
    return _module_of(cls)


def type_name(cls: type) -> str:
    """Return `pkg.mod.Qualname` of a class, without the module for a built-in one."""
    name = name_text(qualname_of(cls))
    module = class_module(cls)
    return name if type(module) is str and module == "builtins" else f"{name_text(module)}.{name}"


def name_text(name: Any) -> str:
    """Return exact, short, packable text for a name that may be a `str` subclass or no text at all."""
    if type(name) is not str:
        if not any(base is str for base in mro_of(type(name))):
            return "?"
        name = _str(name)
    if len(name) > MAX_NAME:
        name = name[:MAX_NAME] + "…"
    return str(name) if name.isascii() else str(name.encode("utf-8", "backslashreplace").decode())


def callable_name(value: Any) -> str:
    """Return `module.qualname` of a function, the plain name of a built-in one, else the name of its type."""
    if type(value) is types.FunctionType:
        return f"{name_text(_function_module(value))}.{name_text(_function_name(value))}"
    if type(value) is types.BuiltinFunctionType:
        # Its __qualname__ would ask the metaclass of the object that it is bound to.
        return name_text(_builtin_name(value))
    return type_name(type(value))


def module_name(value: types.ModuleType) -> str:
    """Return the name of an exact module."""
    for name, item in islice(_module_dict(value).items(), 8):
        if type(name) is str and name == "__name__":
            return name_text(item)
    return "?"


def running_name(value: Any) -> str:
    """Return the qualname of a coroutine or generator."""
    return name_text(type(value).__dict__["__qualname__"].__get__(value))


def instance_dict(value: Any, plan: Plan) -> Any:
    """Return the `__dict__` of an instance, the live one, which a user may have replaced by one of a subclass."""
    if plan.own_dict:
        return getattribute(value, "__dict__")
    mro = mro_of(type(value))
    if 0 <= plan.dict_at < len(mro):
        getter = class_dict(mro[plan.dict_at]).get("__dict__")
        if type(getter) is types.GetSetDescriptorType or mro[plan.dict_at] is types.SimpleNamespace:
            return getter.__get__(value)
    return None


def fields_of(value: Any, plan: Plan, limit: int) -> tuple[list[tuple[str, Any]], int]:
    """Return name and value of at most `limit` fields in the instance's dict and slots, and how many there are."""
    mro = mro_of(type(value))
    found: list[tuple[str, Any]] = []
    count = 0
    members = instance_dict(value, plan)
    if type(members) is dict:
        count = len(members)
        found = [pair for pair in list(islice(members.items(), limit)) if type(pair[0]) is str]
    for place, name in plan.slots:
        slot = class_dict(mro[place]).get(name) if place < len(mro) else None
        if type(slot) is types.MemberDescriptorType:
            try:
                item = slot.__get__(value)
            except (AttributeError, TypeError):
                continue  # never set, or another class's
            count += 1
            if len(found) < limit:
                found.append((name, item))
    return found, count


def enum_name(value: Any, plan: Plan) -> str | None:
    """Return the name of an enum's member, as its instance dict has it; a combination of flags may have none."""
    for name, item in fields_of(value, plan, 16)[0]:
        if name == "_name_" and type(item) is str:
            return item
    return None


# -- standard types, read as text


def standard_text(value: Any, kind: str) -> str | None:
    """Return the text of a value of a standard type, None where reading it could run somebody's code."""
    return _STANDARD[kind](value, class_dict(type(value)))


def _is_standard(cls: type) -> bool:
    module = class_module(cls)
    modules = sys.modules
    owner = modules.get(module) if type(module) is str and type(modules) is dict else None
    if type(owner) is not types.ModuleType:
        return False
    return _module_dict(owner).get(qualname_of(cls)) is cls


def _c_method(members: Any, name: str) -> Any:
    """Return a method of a class that is written in C; the pure Python twin of one raises TypeError."""
    method = members.get(name)
    if type(method) is not types.MethodDescriptorType:
        raise TypeError
    return method


def _slot(members: Any, name: str, value: Any) -> Any:
    slot = members.get(name)
    if type(slot) is not types.MemberDescriptorType:
        return None
    try:
        return slot.__get__(value)
    except AttributeError:
        return None


def _date(value: Any, members: Any) -> str | None:
    return str(_c_method(members, "isoformat")(value))


def _moment(value: Any, members: Any) -> str | None:
    zone = members["tzinfo"]
    if type(zone) is not types.GetSetDescriptorType:
        return None
    zone = zone.__get__(value)
    if zone is None or _is_zone(type(zone)):
        return str(_c_method(members, "isoformat")(value))
    naive = _c_method(members, "replace")(value, tzinfo=None)
    return f"{_c_method(members, 'isoformat')(naive)} ({type_name(type(zone))})"


def _is_zone(cls: type) -> bool:
    """Tell whether a class is one of the time zones that are written in C."""
    if type_name(cls) not in _ZONES or not _is_standard(cls):
        return False
    return type(class_dict(cls).get("utcoffset")) is types.MethodDescriptorType


def _timedelta(value: Any, members: Any) -> str | None:
    if type(members["__str__"]) is not types.WrapperDescriptorType:
        return None
    return str(members["__str__"](value))


def _decimal(value: Any, members: Any) -> str | None:
    # `str` would set the decimal context in the task's Context, which tasks made from there would then share.
    if _c_method(members, "__sizeof__")(value) > MAX_DECIMAL_BYTES:
        return None
    sign, figures, exponent = tuple.__iter__(_c_method(members, "as_tuple")(value))
    digits = "".join(map(str, figures))
    minus = "-" if sign else ""
    if type(exponent) is not int:
        return (
            minus
            + {"F": "Infinity", "n": "NaN", "N": "sNaN"}.get(exponent, "?")
            + (digits if exponent != "F" else "")
        )
    point = exponent + len(digits)
    if exponent <= 0 and point > -6:
        if exponent == 0:
            return minus + digits
        return (
            f"{minus}{digits[:point]}.{digits[point:]}" if point > 0 else f"{minus}0.{'0' * -point}{digits}"
        )
    fraction = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{minus}{digits[0]}{fraction}E{point - 1:+d}"


def _uuid(value: Any, members: Any) -> str | None:
    number = _slot(members, "int", value)
    if type(number) is not int or not 0 <= number < 1 << 128:
        return None
    figures = f"{number:032x}"
    return "-".join((figures[:8], figures[8:12], figures[12:16], figures[16:20], figures[20:]))


def _path(value: Any, _members: Any) -> str | None:
    for owner in mro_of(type(value)):
        slots = class_dict(owner)
        text = _slot(slots, "_str", value)
        if type(text) is str:
            return text
        for name, root in (("_raw_paths", ""), ("_parts", "/")):
            parts = _slot(slots, name, value)
            if type(parts) is list and len(parts) <= 1_000 and all(type(part) is str for part in parts):
                return "/".join(_absolute(parts, root)) or "."
    return None


def _absolute(parts: list[str], root: str) -> Iterator[str]:
    """Yield the parts from the last absolute one on, each without the slash that joining adds."""
    start = max((place for place, part in enumerate(parts) if part[:1] == "/"), default=0)
    for place, part in enumerate(parts[start:]):
        yield part.rstrip("/") if place or part.strip("/") or len(parts) - start > 1 else (root or part)


_ZONES = frozenset(("datetime.timezone", "zoneinfo.ZoneInfo"))
_STANDARD: dict[str, Callable[[Any, Any], str | None]] = {
    "datetime.datetime": _moment,
    "datetime.time": _moment,
    "datetime.date": _date,
    "datetime.timedelta": _timedelta,
    "decimal.Decimal": _decimal,
    "uuid.UUID": _uuid,
    "pathlib.PosixPath": _path,
    "pathlib.PurePosixPath": _path,
    "pathlib._local.PosixPath": _path,
    "pathlib._local.PurePosixPath": _path,
}
