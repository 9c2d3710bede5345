"""What a keep-condition asks of measures at the least or at the most: `duration > 500ms and error` asks for more than 0.5.

Only what must hold in any case counts: comparisons with a number that stand alone, or are joined by `and`.
"""

from __future__ import annotations

from typing import NamedTuple

from .condition_tokens import Token, tokens
from .conditions import Call, Chain, Comparison, Constant, Expression, Name, Node, parse
from .text import duration

TIMES = ("duration", "total", "running", "waiting")
"""Measures that are seconds."""

_TURNED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}


class Threshold(NamedTuple):
    measure: str
    least: bool
    """The measure must be above it, else below."""
    value: float


def thresholds(expression: Expression) -> list[Threshold]:
    """Return the thresholds of a keep-condition in the order in which they stand there."""
    return [found for part in conjuncts(expression.root) for found in _of(part)]


def conjuncts(node: Node) -> list[Node]:
    """Return the parts all of which must hold."""
    if not (isinstance(node, Chain) and node.operator == "and"):
        return [node]
    return [part for operand in node.operands for part in conjuncts(operand)]


def parts(expression: Expression) -> list[Expression]:
    """Return the parts all of which must hold, each as it was written; the whole where there is but one."""
    if not (isinstance(expression.root, Chain) and expression.root.operator == "and"):
        return [expression]
    found: list[Expression] = []
    text, begins, depth = expression.text, 0, 0
    words = tokens(text)
    if words[0].text == "(" and _closes(words) == len(words) - 2:
        return parts(parse(text[words[0].at + 1 : words[-2].at].strip(), kind=expression.kind))
    for word in words:
        if word.kind == "operator" and word.text in ("(", "["):
            depth += 1
        elif word.kind == "operator" and word.text in (")", "]"):
            depth -= 1
        elif word.kind == "end" or (depth == 0 and word.kind == "operator" and word.text == "and"):
            found += parts(parse(text[begins : word.at].strip(), kind=expression.kind))
            begins = word.at + len(word.text)
    return found


def _closes(words: list[Token]) -> int:
    """Return which word closes the bracket that the first one opens."""
    depth = 0
    for place, word in enumerate(words):
        if word.kind == "operator" and word.text in ("(", "[", ")", "]"):
            depth += 1 if word.text in ("(", "[") else -1
            if depth == 0:
                return place
    return -1


def measures(expression: Expression) -> frozenset[str]:
    """Return what a keep-condition looks at: measures, `arg` for any argument, `raised`."""
    found = set(expression.names)
    if expression.arguments:
        found.add("arg")
    found.update(node.function for node in expression.nodes() if isinstance(node, Call))
    return frozenset(found)


def least_s(expression: Expression) -> float:
    """Return how many seconds a task has to take at the least to be kept, as far as that shows."""
    return max(
        (one.value for one in thresholds(expression) if one.least and one.measure in TIMES), default=0.0
    )


def shown(measure: str, value: float) -> str:
    """Return the value of a measure for people."""
    return duration(value * 1e9) if measure in TIMES else f"{value:g}"


def _of(node: Node) -> list[Threshold]:
    if not isinstance(node, Comparison):
        return []
    found = []
    left = node.first
    for operator, right in node.rest:
        if operator in _TURNED:
            if isinstance(left, Name) and _is_number(right):
                found.append(Threshold(left.name, operator[0] == ">", float(right.value)))  # type: ignore[union-attr, arg-type]
            elif isinstance(right, Name) and _is_number(left):
                found.append(Threshold(right.name, operator[0] == "<", float(left.value)))  # type: ignore[union-attr, arg-type]
        left = right
    return found


def _is_number(node: Node) -> bool:
    return isinstance(node, Constant) and type(node.value) in (int, float) and abs(node.value) < 1e18  # type: ignore[arg-type]
