"""Evaluate conditions (`tracepatch_shared.conditions`) on live values, within a bound and without running their code.

An expression is turned into functions once, when a probe is armed. `readable` says how values are read.

Concurrency: a `Condition` does not change; any thread may ask it, inside interpreter callbacks. No exception leaves
`holds` but `ConditionFailed` and those that a signal handler of the application raises meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tracepatch_shared.conditions import (
    Argument,
    Arithmetic,
    Attribute,
    Call,
    Chain,
    Comparison,
    Constant,
    Display,
    Expression,
    Item,
    Kind,
    Name,
    Node,
    Sign,
    parse,
)
from tracepatch_shared.errors import Refused, pointed
from tracepatch_shared.globs import Glob

from .containment import ours
from .readable import (
    CHARACTER_WORK,
    ITEM_WORK,
    MAX_BITS,
    MAX_SUM,
    SHORT,
    ConditionFailed,
    Fields,
    Work,
    attribute,
    holds_item,
    item,
    items_of,
    kind_of,
    less,
    plain,
    same,
    size,
    truth,
)
from .redaction import DEFAULT, RedactionPolicy, Redactor

__all__ = ["Condition", "ConditionFailed", "Fields"]

Value = Callable[[Mapping[str, Any], Work], Any]
"""Returns the value of a part of a condition."""


class Condition:
    """A condition, ready to be asked often."""

    __slots__ = ("_value", "expression")

    def __init__(self, text: str, kind: Kind, *, redaction: RedactionPolicy = DEFAULT) -> None:
        """Raise `ConditionError` where the text is none, `Refused` where it asks for what is redacted."""
        self.expression: Expression = parse(text, kind=kind)
        secret = Redactor(redaction).names_secret
        for word, at in self.expression.words.items():
            if secret(word):
                sentence = f"{word} is redacted, and so a condition may not ask for it"
                raise Refused(sentence + pointed(self.expression.text, at, len(word)))
        self._value = _compiled(self.expression.root, kind)

    def holds(self, names: Mapping[str, Any]) -> bool:
        """Tell whether the condition holds; raise `ConditionFailed` where that cannot be said of these values.

        `names` are the bare names; in --keep it has the arguments as a mapping under `arg`, and under `raised` the
        names (`module:qualname`) of the types of the exceptions that were raised. They are taken as they are asked for.
        """
        work = Work()
        try:
            return truth(self._value(names, work), work)
        except ConditionFailed:
            raise
        except Exception as error:
            if not ours(error):
                raise  # a signal handler's: the application's
            name = type(error).__name__
        # Not a variable: its traceback would refer to this frame, and that to the application's values, in a circle.
        raise ConditionFailed(f"it could not be evaluated ({name})")


def _compiled(node: Node, kind: Kind) -> Value:
    if isinstance(node, Constant):
        value = node.value
        return lambda _names, _work: value
    if isinstance(node, Name):
        return _name(node.name)
    if isinstance(node, Argument):
        return _name(node.name) if kind == "where" else _argument(node.name)
    if isinstance(node, Attribute):
        of, name = _compiled(node.of, kind), node.name
        return lambda names, work: attribute(of(names, work), name, work)
    if isinstance(node, Item):
        of, key = _compiled(node.of, kind), node.key
        return lambda names, work: item(of(names, work), key, work)
    if isinstance(node, Display):
        make = tuple if node.kind == "tuple" else list
        items = [_compiled(inner, kind) for inner in node.items]
        return lambda names, work: make([inner(names, work) for inner in items])
    if isinstance(node, Sign):
        return _sign(node.operator, _compiled(node.operand, kind))
    if isinstance(node, Chain):
        return _chain(node.operator, [_compiled(operand, kind) for operand in node.operands])
    if isinstance(node, Comparison):
        rest = [(_COMPARE[operator], _compiled(operand, kind)) for operator, operand in node.rest]
        return _comparison(_compiled(node.first, kind), rest)
    if isinstance(node, Arithmetic):
        return _arithmetic(node.operator, _compiled(node.left, kind), _compiled(node.right, kind))
    return _call(node, kind)


# ---- names


def _name(name: str) -> Value:
    def value(names: Mapping[str, Any], _work: Work) -> Any:
        try:
            return names[name]
        except KeyError as error:
            if not ours(error):
                raise  # a signal handler's: the application's
        raise ConditionFailed(f"{name} has no value")

    return value


def _argument(name: str) -> Value:
    def value(names: Mapping[str, Any], _work: Work) -> Any:
        try:
            return names["arg"][name]
        except KeyError as error:
            if not ours(error):
                raise  # a signal handler's: the application's
        raise ConditionFailed(f"there is no argument {name}")

    return value


# ---- operators


def _sign(operator: str, operand: Value) -> Value:
    if operator == "not":
        return lambda names, work: not truth(operand(names, work), work)

    def value(names: Mapping[str, Any], work: Work) -> Any:
        number = _number(operand(names, work), work)
        return -number if operator == "-" else +number

    return value


def _chain(operator: str, operands: list[Value]) -> Value:
    stops_at = operator == "or"
    *firsts, last = operands

    def value(names: Mapping[str, Any], work: Work) -> Any:
        for operand in firsts:
            found = operand(names, work)
            if truth(found, work) is stops_at:
                return found
        return last(names, work)

    return value


def _comparison(first: Value, rest: list[tuple[Callable[[Any, Any, Work], bool], Value]]) -> Value:
    if len(rest) == 1:
        [(holds, operand)] = rest
        return lambda names, work: holds(first(names, work), operand(names, work), work)

    def value(names: Mapping[str, Any], work: Work) -> bool:
        left = first(names, work)
        for holds, operand in rest:
            right = operand(names, work)
            if not holds(left, right, work):
                return False
            left = right
        return True

    return value


def _is(left: Any, right: Any, _work: Work) -> bool:
    return left is right


_COMPARE: dict[str, Callable[[Any, Any, Work], bool]] = {
    "==": same,
    "!=": lambda left, right, work: not same(left, right, work),
    "<": lambda left, right, work: less(left, right, work, or_equal=False),
    "<=": lambda left, right, work: less(left, right, work, or_equal=True),
    ">": lambda left, right, work: less(right, left, work, or_equal=False),
    ">=": lambda left, right, work: less(right, left, work, or_equal=True),
    "in": lambda left, right, work: holds_item(right, left, work),
    "not in": lambda left, right, work: not holds_item(right, left, work),
    "is": _is,
    "is not": lambda left, right, _work: left is not right,
}


def _number(value: Any, work: Work) -> int | float:
    value = plain(value, work)
    kind = type(value)
    if kind is int or kind is bool:
        if int.bit_length(value) > MAX_BITS:
            raise ConditionFailed(f"integers of more than {MAX_BITS} bits are not calculated with")
    elif kind is not float:
        raise ConditionFailed(f"{kind_of(value)} is no number")
    return value  # type: ignore[no-any-return]


_CALCULATE: dict[str, Callable[[Any, Any], Any]] = {
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
    "*": lambda left, right: left * right,
    "/": lambda left, right: left / right,
    "//": lambda left, right: left // right,
    "%": lambda left, right: left % right,
}


def _arithmetic(operator: str, left: Value, right: Value) -> Value:
    calculate = _CALCULATE[operator]

    def value(names: Mapping[str, Any], work: Work) -> Any:
        one, other = plain(left(names, work), work), plain(right(names, work), work)
        kind = type(one)
        if operator == "+" and kind is type(other) and (kind is str or kind is bytes):
            if len(one) + len(other) > MAX_SUM:
                raise ConditionFailed(f"texts of more than {MAX_SUM} characters are not joined")
            return one + other
        one, other = _number(one, work), _number(other, work)
        try:
            return calculate(one, other)
        except (ZeroDivisionError, OverflowError) as error:
            if not ours(error):
                raise  # a signal handler's: the application's
            failure = "division by zero" if type(error) is ZeroDivisionError else "a number is too large"
        raise ConditionFailed(failure)

    return value


# ---- functions


def _call(node: Call, kind: Kind) -> Value:
    operands = [_compiled(operand, kind) for operand in node.operands]
    first, last = operands[0], operands[-1]
    name = node.function
    if name == "len":
        return lambda names, work: size(first(names, work), work)
    if name == "lower":
        return lambda names, work: _lower(first(names, work), work)
    if name == "contains":
        return lambda names, work: holds_item(first(names, work), last(names, work), work)
    if name in ("startswith", "endswith"):
        ends = name == "endswith"
        return lambda names, work: _begins(first(names, work), last(names, work), work, ends=ends)
    pattern = node.operands[-1].value  # type: ignore[union-attr]
    glob = Glob(str(pattern))
    if name == "glob":
        return lambda names, work: _matches(glob, first(names, work), work)
    named = ":" in glob.text

    def raised(names: Mapping[str, Any], work: Work) -> bool:
        found = [str(item) for item in items_of(names["raised"], work)]
        return any(_matches(glob, item if named else item.rpartition(":")[2], work) for item in found)

    return raised


def _text(value: Any, function: str, work: Work) -> Any:
    value = plain(value, work)
    if type(value) is str or type(value) is bytes:
        return value
    raise ConditionFailed(f"{function} is for texts, not for {kind_of(value)}")


def _lower(value: Any, work: Work) -> Any:
    text = _text(value, "lower", work)
    work.charge(CHARACTER_WORK * len(text))
    return text.lower()


def _begins(value: Any, parts: Any, work: Work, *, ends: bool) -> bool:
    if type(value) is str and type(parts) is str and len(parts) < SHORT:
        return value.endswith(parts) if ends else value.startswith(parts)
    name = "endswith" if ends else "startswith"
    text = _text(value, name, work)
    for part in items_of(parts, work) if type(parts) is tuple or type(parts) is list else [parts]:
        part = _text(part, name, work)
        if type(part) is not type(text):
            raise ConditionFailed(f"{name} is for two texts or for two bytes")
        work.charge(ITEM_WORK + len(part))
        if text.endswith(part) if ends else text.startswith(part):
            return True
    return False


def _matches(glob: Glob, value: Any, work: Work) -> bool:
    text = _text(value, "glob", work)
    if type(text) is bytes:
        raise ConditionFailed("glob is for texts, not for bytes")
    work.charge(10 * (len(text) + 1) * (len(glob.text) + 1))
    return glob.matches(text)
