"""Conditions: what an operator asks of a task, in a small part of Python's syntax that always comes to an end.

    --where  user_id == 42 and startswith(path, "/api")      when the task starts; bare names are its arguments,
                                                             or a request's `method path query header client`
    --keep   duration > 500ms or arg.amount >= 100           when it ends; bare names are measures of it

`parse` turns the text into an `Expression` made of plain data, the same on every Python, and says what is wrong with
a caret under it. Nothing is evaluated here: the agent does that. In both kinds `arg.NAME` is the argument NAME.

Durations (`500ms`, `5s`, `2m`, `1h`) are numbers of seconds, sizes (`64KiB`) numbers of bytes. Python's own parser is not
used: it warns and fails differently from version to version, and deep nesting can take the C stack of a process with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, NoReturn, TypeAlias

from .condition_tokens import Token, near, tokens, wrong
from .globs import MAX_CHARACTERS as MAX_GLOB

Kind = Literal["where", "keep"]
Scalar = bool | int | float | str | bytes | None

MAX_CHARACTERS: Final = 1000
MAX_NODES: Final = 200
MAX_DEPTH: Final = 30
"""Of brackets and signs when it is read, of operations inside each other when it is evaluated."""

MEASURES: Final = (
    "duration", "total", "running", "waiting", "error", "http_status", "route", "returned", "calls",
)  # fmt: skip
"""What is known of a task at its end."""
REQUEST: Final = ("method", "path", "query", "header", "client")
"""What is known of a request at its start."""

FUNCTIONS: Final = {"len": 1, "startswith": 2, "endswith": 2, "contains": 2, "glob": 2, "lower": 1}
"""Functions and how many operands they take; all but `len` may also be written as methods of the first one."""
AT_THE_END: Final = {"raised": 1}
"""Functions of --keep."""


class Constant(NamedTuple):
    at: int
    value: Scalar


class Display(NamedTuple):
    """`(a, b)` or `[a, b]`."""

    at: int
    kind: Literal["tuple", "list"]
    items: tuple[Node, ...]


class Name(NamedTuple):
    """An argument or a field of a request in --where, a measure in --keep."""

    at: int
    name: str


class Argument(NamedTuple):
    """`arg.NAME`"""

    at: int
    name: str


class Attribute(NamedTuple):
    at: int
    of: Node
    name: str


class Item(NamedTuple):
    """`of[key]`; keys are written out, so that it is known beforehand whether one names a secret."""

    at: int
    of: Node
    key: int | str | bytes


class Call(NamedTuple):
    at: int
    function: str
    operands: tuple[Node, ...]


class Sign(NamedTuple):
    """`not`, `-` or `+` before an operand."""

    at: int
    operator: Literal["not", "-", "+"]
    operand: Node


class Chain(NamedTuple):
    """Operands between which there is `and`, or `or`, throughout."""

    at: int
    operator: Literal["and", "or"]
    operands: tuple[Node, ...]


class Comparison(NamedTuple):
    """`first op operand op operand ...`; operators are `== != < <= > >= in`, `not in`, `is`, `is not`."""

    at: int
    first: Node
    rest: tuple[tuple[str, Node], ...]


class Arithmetic(NamedTuple):
    """`left op right`; operators are `+ - * / // %`."""

    at: int
    operator: str
    left: Node
    right: Node


Node: TypeAlias = (
    Constant | Display | Name | Argument | Attribute | Item | Call | Sign | Chain | Comparison | Arithmetic
)


@dataclass(frozen=True)
class Expression:
    """A parsed condition. `at` in a node is where in `text` it stands: an operator's own place, else its beginning."""

    text: str
    kind: Kind
    root: Node

    def nodes(self) -> Iterator[Node]:
        """Yield all nodes."""
        todo: list[Node] = [self.root]
        while todo:
            node = todo.pop()
            yield node
            todo.extend(_inside(node))

    @property
    def names(self) -> dict[str, int]:
        """Bare names and where each stands first."""
        return _first_places((node.name, node.at) for node in self.nodes() if isinstance(node, Name))

    @property
    def arguments(self) -> dict[str, int]:
        """Names of arguments and where each stands first: `arg.NAME`, and in --where the bare ones (a request's fields too)."""
        kinds: tuple[type[Argument | Name], ...] = (Argument, Name) if self.kind == "where" else (Argument,)
        return _first_places((node.name, node.at) for node in self.nodes() if isinstance(node, kinds))

    @property
    def words(self) -> dict[str, int]:
        """All names by which values are asked for: arguments, attributes, keys; and where each stands first."""
        return _first_places(_words(self.nodes()))

    def check_names(self, known: Iterable[str], what: str) -> None:
        """Raise `ConditionError` for the first argument or field that is none of `known`; `what` says of what those are."""
        known = list(known)
        for name, at in sorted(self.arguments.items(), key=lambda item: item[1]):
            if name not in known:
                listed = ", ".join(known[:12]) + (", …" if len(known) > 12 else "") or "none"
                said = f"{name} is none of {what}{near(name, known)} (there are: {listed})"
                wrong(self.text, said, at, len(name))


def parse(text: str, *, kind: Kind) -> Expression:
    """Return what `text` means as a condition of --where or of --keep; raise `ConditionError`."""
    if len(text) > MAX_CHARACTERS:
        wrong("", f"a condition of {len(text)} characters is longer than {MAX_CHARACTERS}", 0)
    text = text.replace("\n", " ").replace("\t", " ")
    for at, character in enumerate(text):
        if not character.isprintable():
            wrong(
                "",
                f"character {at + 1} of a condition, {character!a}, cannot be printed: write it as an escape",
                0,
            )
    reader = _Reader(text, kind)
    return Expression(text, kind, reader.whole())


# Which operators bind how tightly: or, and, not, comparisons, + -, * / // %, signs.
_OR, _AND, _NOT, _COMPARING, _ADDING, _MULTIPLYING, _SIGN = range(1, 8)
_COMPARISONS = ("==", "!=", "<", "<=", ">", ">=", "in", "is")
_STRENGTH = {
    "or": _OR,
    "and": _AND,
    "not": _COMPARING,  # between operands: `not in`
    **dict.fromkeys(_COMPARISONS, _COMPARING),
    **dict.fromkeys(("+", "-"), _ADDING),
    **dict.fromkeys(("*", "/", "//", "%"), _MULTIPLYING),
}
_LIKE_CONSTANTS = {"true": "True", "false": "False", "null": "None", "none": "None"}
_METHODS = tuple(name for name in FUNCTIONS if name != "len")


class _Reader:
    """Reads one text from left to right; methods return a node and how deep it is."""

    def __init__(self, text: str, kind: Kind) -> None:
        self._text = text
        self._kind = kind
        self._tokens = tokens(text)
        self._place = 0
        self._depth = 0
        self._nodes = 0

    def whole(self) -> Node:
        if self._now.kind == "end":
            self._wrong("a condition is empty: write for example user_id == 42 or duration > 500ms")
        node, _ = self._expression(_OR)
        left = self._now
        if left.kind != "end":
            self._wrong(f"{left.text} is not expected here: operands are joined by and, or, ==, <, in …")
        return node

    # ---- tokens

    @property
    def _now(self) -> Token:
        return self._tokens[self._place]

    def _next(self) -> Token:
        token = self._tokens[self._place]
        self._place += 1
        return token

    def _takes(self, text: str) -> bool:
        """Tell whether the next token is this operator, and go past it."""
        token = self._now
        if token.kind == "operator" and token.text == text:
            self._place += 1
            return True
        return False

    def _expects(self, text: str, opened: Token) -> None:
        if not self._takes(text):
            end = self._now.kind == "end"
            self._wrong(
                f"the bracket {opened.text} is never closed"
                if end
                else f"{self._now.text} is not expected here: {text} or , is",
                opened if end else None,
            )

    def _wrong(self, sentence: str, token: Token | None = None) -> NoReturn:
        token = token or self._now
        wrong(self._text, sentence, token.at, len(token.text))

    # ---- nodes

    def _made(self, node: Node, depth: int, token: Token) -> tuple[Node, int]:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            self._wrong(f"a condition of more than {MAX_NODES} parts is too long", token)
        if depth > MAX_DEPTH:
            self._wrong(f"more than {MAX_DEPTH} operations inside each other are too deep", token)
        return node, depth

    def _expression(self, least: int) -> tuple[Node, int]:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            self._wrong(f"more than {MAX_DEPTH} levels of brackets and signs are too deep")
        left, depth = self._prefix(least)
        while self._now.kind == "operator" and (strength := _STRENGTH.get(self._now.text, 0)) >= least:
            token = self._now
            if strength == _COMPARING:
                left, depth = self._comparison(left, depth)
            elif strength in (_OR, _AND):
                left, depth = self._chain(left, depth, strength)
            else:
                self._place += 1
                right, inner = self._expression(strength + 1)
                left, depth = self._made(
                    Arithmetic(token.at, token.text, left, right), max(depth, inner) + 1, token
                )
        self._depth -= 1
        return left, depth

    def _chain(self, left: Node, depth: int, strength: int) -> tuple[Node, int]:
        token = self._now
        operands = [left]
        while self._takes(token.text):
            node, inner = self._expression(strength + 1)
            operands.append(node)
            depth = max(depth, inner)
        return self._made(Chain(token.at, token.text, tuple(operands)), depth + 1, token)  # type: ignore[arg-type]

    def _comparison(self, left: Node, depth: int) -> tuple[Node, int]:
        first = self._now
        rest: list[tuple[str, Node]] = []
        while self._now.kind == "operator" and _STRENGTH.get(self._now.text) == _COMPARING:
            token = self._next()
            operator = token.text
            if operator == "not":
                if not self._takes("in"):
                    self._wrong("not stands between two operands here: write not in, or and not", token)
                operator = "not in"
            elif operator == "is" and self._takes("not"):
                operator = "is not"
            node, inner = self._expression(_COMPARING + 1)
            if operator in ("is", "is not") and not (
                type(node) is Constant and (node.value is None or type(node.value) is bool)
            ):
                self._wrong("is compares with None, True and False only: write == for anything else", token)
            rest.append((operator, node))
            depth = max(depth, inner)
        return self._made(Comparison(first.at, left, tuple(rest)), depth + 1, first)

    def _prefix(self, least: int) -> tuple[Node, int]:
        token = self._now
        if token.kind == "operator" and token.text in ("not", "-", "+"):
            if token.text == "not" and least > _NOT:
                self._wrong("not is not expected here: put (not …) into brackets")
            self._place += 1
            operand, depth = self._expression(_NOT if token.text == "not" else _SIGN)
            if type(operand) is Constant and token.text == "-" and type(operand.value) in (int, float):
                return Constant(token.at, -operand.value), depth  # type: ignore[operator]
            return self._made(Sign(token.at, token.text, operand), depth + 1, token)  # type: ignore[arg-type]
        return self._operand()

    def _operand(self) -> tuple[Node, int]:
        token = self._next()
        if token.kind == "value":
            node, depth = self._made(Constant(token.at, token.value), 1, token)
        elif token.kind == "name":
            node, depth = self._named(token)
        elif token.kind == "operator" and token.text in ("(", "["):
            node, depth = self._bracket(token)
        else:
            self._place -= 1
            if token.kind == "end":
                self._wrong("the condition ends where an operand is expected")
            self._wrong(f"{token.text} is not expected here: an operand is")
        while True:
            if self._takes("."):
                node, depth = self._attribute(node, depth)
            elif self._now.text == "[" and self._now.kind == "operator":
                node, depth = self._item(node, depth)
            elif self._now.text == "(" and self._now.kind == "operator":
                self._wrong(f"only these can be called: {', '.join(self._functions)}")
            else:
                return node, depth

    def _bracket(self, opened: Token) -> tuple[Node, int]:
        items: list[Node] = []
        deepest = 0
        close = ")" if opened.text == "(" else "]"
        comma = False
        while not self._takes(close):
            node, depth = self._expression(_OR)
            items.append(node)
            deepest = max(deepest, depth)
            if not self._takes(","):
                self._expects(close, opened)
                break
            comma = True
        if close == ")" and len(items) == 1 and not comma:
            return items[0], deepest
        kind: Literal["tuple", "list"] = "tuple" if close == ")" else "list"
        return self._made(Display(opened.at, kind, tuple(items)), deepest + 1, opened)

    @property
    def _functions(self) -> list[str]:
        return [*FUNCTIONS, *(AT_THE_END if self._kind == "keep" else ())]

    def _named(self, token: Token) -> tuple[Node, int]:
        name = token.text
        if self._takes("("):
            return self._call(token, [], 0)
        if name in _LIKE_CONSTANTS:
            self._wrong(f"write {_LIKE_CONSTANTS[name]}", token)
        if name == "arg":
            if not self._takes(".") or self._now.kind != "name":
                self._wrong("an argument is written arg.NAME", token)
            argument = self._next()
            if self._now.text == "(" and argument.text in _METHODS:
                self._wrong(f"write {argument.text}(arg.NAME, …)", argument)
            return self._made(Argument(argument.at, argument.text), 1, token)
        self._check_name(token)
        return self._made(Name(token.at, name), 1, token)

    def _check_name(self, token: Token) -> None:
        """Raise for a name that is not known when the condition is looked at."""
        name = token.text
        if self._kind == "where":
            if name in MEASURES:
                self._wrong(
                    f"{name} is known only at the end: use --keep (an argument of that name is arg.{name})",
                    token,
                )
            if name in AT_THE_END:
                self._wrong(f"{name} is known only at the end: use --keep", token)
        elif name not in MEASURES:
            if name in AT_THE_END:
                self._wrong(f'write {name}("app.errors:*")', token)
            said = near(name, MEASURES)
            if name in REQUEST:
                said = " of a task at its end: it is known at the start, use --where"
            elif not said:
                said = f": an argument is arg.{name}, and --where looks at it when the task starts"
            self._wrong(f"{name} is no measure{said} (measures: {', '.join(MEASURES)})", token)

    def _attribute(self, node: Node, depth: int) -> tuple[Node, int]:
        token = self._next()
        if token.kind != "name":
            self._place -= 1
            self._wrong("the name of an attribute is expected here")
        if self._takes("("):
            if token.text not in _METHODS:
                said = near(token.text, _METHODS)
                self._wrong(f"{token.text} cannot be called{said}; methods are {', '.join(_METHODS)}", token)
            return self._call(token, [node], depth)
        return self._made(Attribute(token.at, node, token.text), depth + 1, token)

    def _item(self, node: Node, depth: int) -> tuple[Node, int]:
        opened = self._next()
        key, _ = self._expression(_OR)
        if self._now.text == ":":
            self._wrong("slices are no part of conditions")
        self._expects("]", opened)
        if not (type(key) is Constant and type(key.value) in (int, str, bytes)):
            self._wrong('a key is written out: a number or a text, as in items[0] or data["kind"]', opened)
        return self._made(Item(opened.at, node, key.value), depth + 1, opened)  # type: ignore[arg-type]

    def _call(self, token: Token, operands: list[Node], depth: int) -> tuple[Node, int]:
        """Read the operands of a call; the opening bracket has been taken, `operands` holds what stood before a method."""
        function = token.text
        count = FUNCTIONS.get(function) or AT_THE_END.get(function)
        if count is None:
            said = near(function, self._functions)
            self._wrong(
                f"{function} is no function of conditions{said}: there are {', '.join(self._functions)}",
                token,
            )
        if function in AT_THE_END and self._kind == "where":
            self._wrong(f"{function} is known only at the end: use --keep", token)
        opened = Token("operator", "(", token.at, None)
        while not self._takes(")"):
            node, inner = self._expression(_OR)
            operands.append(node)
            depth = max(depth, inner)
            if not self._takes(","):
                self._expects(")", opened)
                break
        if len(operands) != count:
            self._wrong(
                f"{function} takes {count} operand{'s' if count > 1 else ''}, not {len(operands)}", token
            )
        if function in ("glob", "raised"):
            self._check_pattern(function, operands[-1], token)
        return self._made(Call(token.at, function, tuple(operands)), depth + 1, token)

    def _check_pattern(self, function: str, pattern: Node, token: Token) -> None:
        if not (type(pattern) is Constant and type(pattern.value) is str):
            self._wrong(
                f'the pattern of {function} is written out as a text, as in {function}({"path, " * (function == "glob")}"app*")',
                token,
            )
        if len(pattern.value) > MAX_GLOB:
            self._wrong(f"a glob of {len(pattern.value)} characters is longer than {MAX_GLOB}", token)


def _inside(node: Node) -> tuple[Node, ...]:
    if isinstance(node, Display):
        return node.items
    if isinstance(node, (Attribute, Item)):
        return (node.of,)
    if isinstance(node, (Call, Chain)):
        return node.operands
    if isinstance(node, Sign):
        return (node.operand,)
    if isinstance(node, Comparison):
        return (node.first, *(operand for _, operand in node.rest))
    if isinstance(node, Arithmetic):
        return (node.left, node.right)
    return ()


def _words(nodes: Iterable[Node]) -> Iterator[tuple[str, int]]:
    for node in nodes:
        if isinstance(node, (Name, Argument, Attribute)):
            yield node.name, node.at
        elif type(node) is Item:
            key = node.key
            if type(key) is bytes:
                key = key.decode("utf-8", "replace")
            if type(key) is str:
                yield key, node.at + 1


def _first_places(places: Iterable[tuple[str, int]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for name, at in places:
        found[name] = min(at, found.get(name, at))
    return found
