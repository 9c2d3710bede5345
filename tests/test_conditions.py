"""The language of conditions: what is understood, and what is said where it is not."""

import pytest

from tracepatch_shared.conditions import (
    MAX_CHARACTERS,
    MEASURES,
    Argument,
    Call,
    Chain,
    Comparison,
    Constant,
    Name,
    parse,
)
from tracepatch_shared.errors import ConditionError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("42", 42),
        ("-1.5e3", -1500.0),
        ("0x1F", 31),
        ("1_000", 1000),
        ("500ms", 0.5),
        ("5s", 5),
        ("2m", 120),
        ("1.5h", 5400),
        ("64KiB", 65536),
        ("8MiB", 8 << 20),
        ("'it'", "it"),
        (r'"a\n\x41\u00e9\\"', "a\nAé\\"),
        (r'r"\d"', r"\d"),
        (r"b'\xff'", b"\xff"),
        ("None", None),
        ("True", True),
    ],
)
def test_literals(text, value):
    assert parse(text, kind="where").root == Constant(0, value)


def test_and_binds_closer_than_or_and_not_closer_than_both():
    root = parse("a or not b == 1 and c", kind="where").root
    assert isinstance(root, Chain) and root.operator == "or"
    assert isinstance(root.operands[1], Chain) and root.operands[1].operator == "and"


def test_comparisons_are_chained():
    root = parse("1 < a <= 2 not in b", kind="where").root
    assert isinstance(root, Comparison)
    assert [operator for operator, _ in root.rest] == ["<", "<=", "not in"]


def test_a_method_is_the_function_of_what_stands_before_it():
    assert parse("startswith(path, 'a')", kind="where").root == Call(
        0, "startswith", (Name(11, "path"), Constant(17, "a"))
    )
    called = parse("path.startswith('a')", kind="where").root
    assert isinstance(called, Call) and called.operands[0] == Name(0, "path")


def test_names_are_known_with_their_places():
    where = parse('user.id == 4 and arg.duration > 5s and kw["Nick"] in names', kind="where")
    assert where.arguments == {"user": 0, "duration": 21, "kw": 39, "names": 53}
    assert where.words == {"user": 0, "id": 5, "duration": 21, "kw": 39, "Nick": 42, "names": 53}
    keep = parse("duration > 5s and arg.user.id == 4", kind="keep")
    assert keep.names == {"duration": 0} and keep.arguments == {"user": 22}
    assert Argument(22, "user") in list(keep.nodes())


@pytest.mark.parametrize("name", MEASURES)
def test_a_measure_is_asked_for_with_keep(name):
    assert parse(name, kind="keep").names == {name: 0}
    with pytest.raises(ConditionError, match=f"{name} is known only at the end: use --keep"):
        parse(name, kind="where")
    assert parse(f"arg.{name}", kind="where").arguments == {name: 4}


@pytest.mark.parametrize(
    ("kind", "text", "sentence", "caret"),
    [
        ("where", "", "empty", None),
        ("where", "user_id = 42", "write == to compare", "        ^"),
        ("where", "a == 1 && b", "write and", "       ^"),
        ("where", "a b", "b is not expected here", "  ^"),
        ("where", "(a", "never closed", "^"),
        ("where", "(a]", "] is not expected here", "  ^"),
        ("where", "a +", "ends where an operand is expected", "   ^"),
        ("where", "a ** 2", "an operand is", "   ^"),
        ("where", "x == 5sec", "sec is no unit", "      ^^^"),
        ("where", "a[1:2]", "slices", "   ^"),
        ("where", "a[b]", "a key is written out", " ^"),
        ("where", "a is 5", "None, True and False only", "  ^^"),
        ("where", "a == not b", "put (not …) into brackets", "     ^^^"),
        ("where", "open('x')", "open is no function of conditions", "^^^^"),
        ("where", "statswith(a, 'x')", "did you mean startswith?", "^^^^^^^^^"),
        ("where", "a.strip()", "strip cannot be called", "  ^^^^^"),
        ("where", "a[0](1)", "only these can be called: len", "    ^"),
        ("where", "len(a, b)", "len takes 1 operand, not 2", "^^^"),
        ("where", "glob(a, b)", "the pattern of glob is written out", "^^^^"),
        ("where", "lambda: 1", "lambda is no part of conditions", "^^^^^^"),
        ("where", "f'{a}'", "texts with f before them", "^"),
        ("where", "[a for a in b]", "for is no part", "   ^^^"),
        ("where", "{1: 2}", "write a list", "^"),
        ("where", "'abc", "this text has no end", "^"),
        ("where", r"'\d'", "is no escape", " ^^"),
        ("where", "true", "write True", "^^^^"),
        ("where", "arg", "an argument is written arg.NAME", "^^^"),
        ("where", "raised('x')", "raised is known only at the end: use --keep", "^^^^^^"),
        ("keep", "user_id == 4", "an argument is arg.user_id", "^^^^^^^"),
        ("keep", "1 < durration", "did you mean duration?", "    ^^^^^^^^^"),
        ("keep", "path == 'x'", "known at the start, use --where", "^^^^"),
        ("where", "a\x00", "cannot be printed", None),
        ("where", "a" * (MAX_CHARACTERS + 1), "longer than", None),
        ("where", "(" * 1000, "too deep", None),
        ("where", "-" * 1000, "too deep", None),
        ("where", "not " * 250, "too deep", None),
        ("where", "a" + ".a" * 300, "too deep", None),
        ("where", "+".join("a" * 300), "too deep", None),
        ("where", "[" + ",".join("a" * 220) + "]", "too long", None),
    ],
)
def test_mistakes_are_pointed_at(kind, text, sentence, caret):
    with pytest.raises(ConditionError) as caught:
        parse(text, kind=kind)
    assert sentence in caught.value.sentence
    assert "\n" not in caught.value.sentence
    if caret is not None:
        assert str(caught.value).splitlines()[1:] == ["    " + text, "    " + caret]


def test_of_a_long_condition_the_part_around_the_mistake_is_shown():
    with pytest.raises(ConditionError) as caught:
        parse("a == 1 and " * 40 + "b = 2" + " and a == 1" * 40, kind="where")
    _, shown, caret = str(caught.value).splitlines()
    assert len(shown) < 110
    assert shown[caret.index("^")] == "="


def test_an_unknown_name_is_pointed_at_with_near_ones():
    condition = parse("amount > 5 and usr_id == 42", kind="where")
    condition.check_names(["amount", "usr_id"], "the arguments")
    with pytest.raises(
        ConditionError, match=r"usr_id is none of the arguments of app:pay: did you mean user_id\?"
    ) as caught:
        condition.check_names(["amount", "user_id"], "the arguments of app:pay")
    assert caught.value.at == 15
