"""Values as conditions see them: read, compared and measured without running anybody's code.

What is compared are exact built-in values. A member of a subclass of `str`, `int`, `float` or `bytes` counts as what it
holds, values of standard types as their text (a `Decimal` as a number). Any other object can be asked for attributes, and
whether it is None; all else raises `ConditionFailed` with a reason in which no value of the application's stands.

Looking a key up in a dict, or in a set, would call `__eq__` of foreign keys with the same hash: they are read one by one.

Each step that depends on the size of a value is charged to a `Work`, about a nanosecond a unit, before it is done.

Concurrency: any thread; a container may change while it is read.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable, Iterable
from types import MemberDescriptorType
from typing import Any, Final

from .containment import ours
from .objects import class_dict, instance_dict, mro_of, plan_of, standard_text, type_name

MAX_WORK: Final = 1_500_000
"""For one evaluation: 1 to 2 ms."""
MAX_BITS: Final = 256
"""Of an integer that is calculated with."""
MAX_SUM: Final = 10_000
"""Characters of texts that are joined."""
MAX_NESTED: Final = 5
"""Containers inside each other that are compared."""

QUICK_WORK: Final = 100
"""For an item that is compared with a scalar of its own type."""
ITEM_WORK: Final = 500
OBJECT_WORK: Final = 4_000
"""For what is no exact built-in value: it is looked at through its class, and what cannot be compared raises."""
CHARACTER_WORK: Final = 30


class ConditionFailed(Exception):
    """A condition cannot be evaluated on these values."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
        """Part of a sentence: names of the condition and of types, no values."""


class Fields(dict[str, Any]):
    """The header or the query of a request: a name that is missing is None, and `folded` ones are kept in lower case."""

    __slots__ = ("folded",)

    def __init__(self, fields: Iterable[tuple[str, Any]] = (), *, folded: bool = False) -> None:
        """Names are exact `str`."""
        super().__init__(fields)
        self.folded = folded

    def named(self, name: str) -> Any:
        return self.get(name.lower() if self.folded else name)


class Work:
    """What is left of the work that one evaluation may do."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = MAX_WORK

    def charge(self, units: int) -> None:
        self.left -= units
        if self.left < 0:
            raise ConditionFailed("it takes too long on a value of this size")


SMALL: Final = 1 << 62
SHORT: Final = 1_000
FEW: Final = 32
"""Numbers, texts and dicts up to these are no work: there are `MAX_NODES` parts at most that look at one."""

_EXACT = frozenset(id(kind) for kind in (type(None), bool, int, float, str, bytes))
_DICTS = frozenset(id(kind) for kind in (dict, OrderedDict, defaultdict, Counter, Fields))
_SEQUENCES = frozenset((id(tuple), id(list)))
_CONTAINERS = frozenset((*_DICTS, *_SEQUENCES, id(set), id(frozenset)))
_NUMBERS = frozenset((id(bool), id(int), id(float)))
_HELD: dict[type, Callable[[Any], Any]] = {
    str: str.__str__,
    int: int.__int__,
    float: float.__float__,
    bytes: lambda value: bytes.__getitem__(value, slice(None)),
}
_UNREADABLE = (TypeError, ValueError, KeyError, AttributeError, OverflowError)


def kind_of(value: Any) -> str:
    """Return the name of a value's type, for a reason."""
    return "None" if value is None else type_name(type(value))


def plain(value: Any, work: Work) -> Any:
    """Return an exact built-in scalar for what counts as one, the value itself for anything else."""
    if id(type(value)) in _EXACT or id(type(value)) in _CONTAINERS:
        return value
    work.charge(OBJECT_WORK)
    plan = plan_of(value)
    base = plan.base
    if base is str or base is bytes:
        work.charge(base.__len__(value))
        return _HELD[base](value)
    if base is int or base is float:
        return _HELD[base](value)
    if plan.kind and plan.kind == plan.name:
        try:
            text = standard_text(value, plan.kind)
        except _UNREADABLE as error:
            if not ours(error):
                raise  # a signal handler's: the application's
            return value
        if text is not None:
            work.charge(3 * CHARACTER_WORK * len(text))
            return _number(text) if plan.kind == "decimal.Decimal" else text
    return value


def truth(value: Any, work: Work) -> bool:
    """Return what `bool` says of a built-in value."""
    if value is True or value is False:
        return value
    value = plain(value, work)
    if id(type(value)) in _EXACT or id(type(value)) in _CONTAINERS:
        return bool(value)
    raise ConditionFailed(f"{kind_of(value)} is neither true nor false: write is not None")


def same(left: Any, right: Any, work: Work, nested: int = 0) -> bool:
    """Return whether two values are equal."""
    exact = type(left)
    if exact is type(right):  # the usual case, without the general one's many steps
        if exact is int and -SMALL < left < SMALL:
            return left == right  # type: ignore[no-any-return]
        if exact is str and (len(left) != len(right) or len(left) < SHORT):
            return left == right  # type: ignore[no-any-return]
    left, right = plain(left, work), plain(right, work)
    if left is None or right is None:
        return left is right
    kind, other = id(type(left)), id(type(right))
    if kind in _NUMBERS and other in _NUMBERS:
        return bool(left == right) if _small(left) or _small(right) else _same_big(left, right, work)
    if kind in _EXACT and other in _EXACT:
        if kind != other:
            return False
        if len(left) != len(right):
            return False
        work.charge(len(left))
        return bool(left == right)
    if (kind in _EXACT or kind in _CONTAINERS) and (other in _EXACT or other in _CONTAINERS):
        if kind != other:
            return False
        if kind in _SEQUENCES:
            return _same_items(left, right, work, nested)
    elif kind in _CONTAINERS or kind in _EXACT:
        left = right
    raise ConditionFailed(_no_comparison(left))


def less(left: Any, right: Any, work: Work, *, or_equal: bool) -> bool:
    """Return whether `left < right`, or `<=`: numbers with numbers, text with text."""
    if type(left) is int and type(right) is int and -SMALL < left < SMALL:
        return left <= right if or_equal else left < right
    left, right = plain(left, work), plain(right, work)
    kind, other = id(type(left)), id(type(right))
    numbers = kind in _NUMBERS and other in _NUMBERS
    if not numbers and not (kind == other and kind in (id(str), id(bytes))):
        raise ConditionFailed(f"{kind_of(left)} and {kind_of(right)} have no order")
    if numbers:
        if not (_small(left) or _small(right)):
            _charge_bits(left, right, work)
    else:
        work.charge(min(len(left), len(right)))
    return bool(left <= right if or_equal else left < right)


def holds_item(container: Any, item: Any, work: Work) -> bool:
    """Return whether `item in container`."""
    container, item = plain(container, work), plain(item, work)
    kind = type(container)
    if kind is str or kind is bytes:
        if type(item) is not kind:
            raise ConditionFailed(f"{kind_of(item)} cannot be in {kind_of(container)}")
        work.charge(len(container) * min(len(item) or 1, 100))
        return item in container
    if kind is Fields:
        return type(item) is str and len(item) <= SHORT and container.named(item) is not None
    if id(kind) not in _CONTAINERS:
        raise ConditionFailed(
            f"{kind_of(container)} is not searched: only texts, lists, tuples, sets and dicts are"
        )
    odd = ""
    wanted = type(item)
    quick = id(wanted) in _EXACT and _small(item)
    text = wanted is str or wanted is bytes
    for entry in items_of(container, work, QUICK_WORK + (len(item) // 10 if text else 0)):
        if quick and type(entry) is wanted:
            if entry == item:
                return True
            continue
        work.charge(ITEM_WORK)
        try:
            if same(entry, item, work, MAX_NESTED - 1):
                return True
        except ConditionFailed as failure:
            if work.left < 0:
                raise
            odd = failure.reason
    if odd:
        raise ConditionFailed(odd)
    return False


def items_of(container: Any, work: Work, each: int = ITEM_WORK) -> list[Any]:
    """Return the items of an exact container, the keys of a dict."""
    work.charge(each * (1 + len(container)))
    try:
        return list(container)
    except RuntimeError as error:  # it changed its size
        if not ours(error):
            raise  # a signal handler's: the application's
        raise ConditionFailed(f"the {kind_of(container)} changed while it was read") from None


def size(value: Any, work: Work) -> int:
    """Return the length of a built-in value."""
    value = plain(value, work)
    kind = type(value)
    if kind is str or kind is bytes or id(kind) in _CONTAINERS:
        return len(value)
    plan = plan_of(value)
    if plan.base is tuple and plan.items:
        return tuple.__len__(value)
    raise ConditionFailed(f"{kind_of(value)} has no length that can be read")


def item(value: Any, key: Any, work: Work) -> Any:
    """Return `value[key]`."""
    value = plain(value, work)
    kind = type(value)
    if kind is Fields:
        return value.named(key) if type(key) is str else None
    if id(kind) in _DICTS:
        return _entry(value, key, work, f"the {kind_of(value)} has no such key")
    named_tuple = id(kind) not in _EXACT and id(kind) not in _CONTAINERS and _is_named_tuple(value)
    if kind is list or kind is tuple or kind is str or kind is bytes or named_tuple:
        if type(key) is not int:
            raise ConditionFailed(f"{kind_of(value)} has numbered items: write [0]")
        try:
            return tuple.__getitem__(value, key) if named_tuple else value[key]
        except IndexError as error:
            if not ours(error):
                raise  # a signal handler's: the application's
            raise ConditionFailed(f"the {kind_of(value)} has no item {key}") from None
    raise ConditionFailed(f"{kind_of(value)} has no items that can be read")


def attribute(value: Any, name: str, work: Work) -> Any:
    """Return `value.name` where the instance itself holds it: in its dict, its slots, or as item of a named tuple."""
    kind = type(value)
    if id(kind) in _DICTS:
        raise ConditionFailed(f'{kind_of(value)} has no attribute {name}: write ["{name}"]')
    if id(kind) not in _EXACT and id(kind) not in _CONTAINERS:
        plan = plan_of(value)
        if plan.kind == "enum" and name in ("name", "value"):
            name = f"_{name}_"
        if name in plan.items and _is_named_tuple(value):
            return tuple.__getitem__(value, plan.items.index(name))
        if plan.kind != "class":
            members = instance_dict(value, plan)
            if type(members) is dict:
                found = _entry(members, name, work, None)
                if found is not _MISSING:
                    return found
            for place, slot in plan.slots:
                if slot == name:
                    mro = mro_of(kind)
                    member = class_dict(mro[place]).get(name) if place < len(mro) else None
                    if type(member) is MemberDescriptorType:
                        try:
                            return member.__get__(value)
                        except (AttributeError, TypeError) as error:
                            if not ours(error):
                                raise  # a signal handler's: the application's
    raise ConditionFailed(f"{kind_of(value)} holds no attribute {name} (what is computed cannot be read)")


_MISSING: Final = object()


def _entry(members: Any, key: Any, work: Work, missing: str | None) -> Any:
    """Return what a dict has under a key, without comparing other types' keys; `_MISSING` where `missing` is no reason."""
    if len(members) > FEW:
        work.charge(QUICK_WORK * len(members))
    try:
        entries = list(dict.items(members))
    except RuntimeError as error:  # it changed its size
        if not ours(error):
            raise  # a signal handler's: the application's
        raise ConditionFailed(f"the {kind_of(members)} changed while it was read") from None
    kind = type(key)
    for known, entry in entries:
        if type(known) is kind and known == key:
            return entry
    if missing is None:
        return _MISSING
    raise ConditionFailed(missing)


def _is_named_tuple(value: Any) -> bool:
    plan = plan_of(value)
    return plan.base is tuple and len(plan.items) == tuple.__len__(value) > 0


def _same_items(left: Any, right: Any, work: Work, nested: int) -> bool:
    if nested >= MAX_NESTED:
        raise ConditionFailed(f"more than {MAX_NESTED} containers inside each other are not compared")
    if len(left) != len(right):
        return False
    work.charge(ITEM_WORK * (2 + len(left)))
    return all(
        same(one, other, work, nested + 1) for one, other in zip(tuple(left), tuple(right), strict=False)
    )


def _small(number: Any) -> bool:
    return type(number) is not int or -SMALL < number < SMALL


def _charge_bits(left: int, right: int, work: Work) -> None:
    work.charge(min(left.bit_length(), right.bit_length()) // 30)


def _same_big(left: int, right: int, work: Work) -> bool:
    _charge_bits(left, right, work)
    return left == right


def _no_comparison(value: Any) -> str:
    if id(type(value)) in _CONTAINERS:
        return f"{kind_of(value)} is not compared"
    hint = ": write .name or .value" if plan_of(value).kind == "enum" else " but with None"
    return f"{kind_of(value)} is not compared{hint}"


def _number(text: str) -> int | float | str:
    digits = text[1:] if text[:1] == "-" else text
    if digits.isdigit():
        return int(text)
    try:
        return float(text)
    except ValueError as error:  # sNaN
        if not ours(error):
            raise  # a signal handler's: the application's
        return text
