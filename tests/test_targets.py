"""The grammar of targets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracepatch_shared.errors import UsageError
from tracepatch_shared.targets import Target, parse_target, parse_targets


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("app.views:Cart.checkout", ("function", "app.views", "Cart.checkout", "", None)),
        ("func:app.views:Cart.checkout", ("function", "app.views", "Cart.checkout", "", None)),
        (" app.*:* ", ("function", "app.*", "*", "", None)),
        ("app.views:save@120", ("function", "app.views", "save", "", 120)),
        ("app:outer.<locals>.inner", ("function", "app", "outer.<locals>.inner", "", None)),
        ("app:[a-c]*.save", ("function", "app", "[a-c]*.save", "", None)),
        ("my-script:main", ("function", "my-script", "main", "", None)),
        ("__main__:main", ("function", "__main__", "main", "", None)),
        ("app.módulo:función", ("function", "app.módulo", "función", "", None)),
        ("func:http:fetch", ("function", "http", "fetch", "", None)),
        ("app/views.py:120", ("file", "", "", "app/views.py", 120)),
        ("./app/views.py:120", ("file", "", "", "app/views.py", 120)),
        ("../shop/app/views.py:120", ("file", "", "", "shop/app/views.py", 120)),
        ("/srv/app/views.py:7", ("file", "", "", "/srv/app/views.py", 7)),
        ("C:\\srv\\views.py:7", ("file", "", "", "/C:/srv/views.py", 7)),
        ("views.py:7", ("file", "", "", "views.py", 7)),
        ("bin/server:7", ("file", "", "", "bin/server", 7)),
        ("func:app/views.py:120", ("file", "", "", "app/views.py", 120)),
        ("app.views.Cart.checkout", ("dotted", "", "app.views.Cart.checkout", "", None)),
        ("app.save@12", ("dotted", "", "app.save", "", 12)),
        ("http:POST /checkout*", ("http", "", "", "/checkout*", None)),
        ("task:worker-*", ("task", "", "worker-*", "", None)),
        ("job:send_email", ("job", "", "send_email", "", None)),
        ("thread:pool-*", ("thread", "", "pool-*", "", None)),
    ],
)
def test_forms(text, expected):
    target = parse_target(text)
    assert (target.kind, target.module, target.qualname, target.path, target.line) == expected
    assert target.text == text.strip()


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("", "empty"),
        ("checkout", "app.views:checkout"),
        ("app.views:", "module:qualname"),
        (":checkout", "module:qualname"),
        ("a:b:c", "module:qualname"),
        ("app..views:x", "module:qualname"),
        ("app.views:x.", "module:qualname"),
        ("app views:x", "module:qualname"),
        ("app:[x", "module:qualname"),
        ("app:save@", "name@line"),
        ("app:save@twelve", "name@line"),
        ("app:save@0", "name@line"),
        ("app:save@²", "name@line"),
        ("app/views.py", "path.py:line"),
        ("views.py", "path.py:line"),
        ("app/views.py:0", "path.py:line"),
        ("/:3", "path.py:line"),
        ("app/views:save", "path.py:line"),
        ("app.*.checkout", "app.*:Cart.*"),
        (".checkout", "module:qualname"),
        ("job:", "job:send_email"),
        ("func:", "func:app.views:Cart.checkout"),
        ("x" * 2000, "2000 characters"),
    ],
)
def test_malformed_shows_the_right_form_and_the_value(text, form):
    with pytest.raises(UsageError) as caught:
        parse_target(text)
    message = str(caught.value)
    assert form in message
    assert "\n" not in message
    if 0 < len(text) < 1000:
        assert repr(text) in message


@pytest.mark.parametrize(
    ("text", "name", "matches"),
    [
        ("job:send_email", "send_email", True),
        ("job:send_email", "send_emails", False),
        ("job:app.*.send_*", "app.tasks.send_email", True),
        ("task:Task-1?", "Task-12", True),
        ("task:Task-1?", "Task-1", False),
        ("thread:pool-[01]", "pool-1", True),
        ("thread:Pool-*", "pool-1", False),
    ],
)
def test_names(text, name, matches):
    assert parse_target(text).matches_name(name) is matches


@pytest.mark.parametrize(
    ("text", "method", "path", "matches"),
    [
        ("http:POST /checkout*", "POST", "/checkout/4/items", True),
        ("http:POST /checkout*", "GET", "/checkout/4", False),
        ("http:get|head /a", "HEAD", "/a", True),
        ("http:GET /a", "HEAD", "/a", False),
        ("http:/a", "DELETE", "/a", True),
        ("http:/a", "GET", "/a/", False),
        ("http:* /a", "PUT", "/a", True),
        ("http:*", "GET", "/", True),
        ("http:*/x", "GET", "/a/b/x", True),
        ("http:GET /with space", "GET", "/with space", True),
        ("http:/items/{id}", "GET", "/items/3", True),
        ("http:/items/{id}", "GET", "/items/3/x", False),
        ("http:/items/{id}", "GET", "/items/", False),
        ("http:/items/{id}", "GET", "/items/{id}", True),
        ("http:/files/{rest:path}", "GET", "/files/a/b", True),
        ("http:/files/<path:rest>", "GET", "/files/a/b", True),
        ("http:/<int:year>/x", "GET", "/2026/x", True),
        ("http:/a/*/q/{id}/x", "GET", "/a/q/1/q/2/x", True),
        ("http:/a.c", "GET", "/abc", False),
        ("http:/*a*a*a*a*a*a*a*a*b", "GET", "/" + "a" * 2000, False),
    ],
)
def test_requests(text, method, path, matches):
    assert parse_target(text).matches_request(method, path) is matches


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("http:checkout", "a path begins with / or \\*"),
        ("http:POST checkout", "a path begins with / or \\*"),
        ("http:PO-ST /x", "'PO-ST' is no method"),
        ("http:/x?user=42", "the query is not part of the path.*--where"),
        ("http:/{a}-{b}-{c}", "more than 2 parameters"),
        ("http:", "names nothing after http:"),
    ],
)
def test_malformed_requests(text, says):
    with pytest.raises(UsageError, match=says):
        parse_target(text)


def test_parse_targets():
    assert [target.kind for target in parse_targets(["a:b", "a.b", "a.py:1"])] == [
        "function",
        "dotted",
        "file",
    ]


def test_matching_modules():
    target = parse_target("app.*:save")
    assert target.matches_module("app.views")
    assert not target.matches_module("app")
    assert not target.matches_module("App.views")
    assert parse_target("app:save").matches_module("app")
    assert not parse_target("app:save").matches_module("app.views")
    dotted = parse_target("app.views.Cart.save")
    assert [
        name
        for name in ("app", "app.views", "app.view", "app.views.Cart.save", "x")
        if dotted.matches_module(name)
    ] == ["app", "app.views"]
    assert parse_target("a.py:1").matches_module("anything")
    assert not Target("http", "http:x", qualname="x").matches_module("x")


@pytest.mark.parametrize(
    "written", ["outer.inner", "outer.<locals>.inner", "outer.*", "*.inner", "o?ter.inn[a-f]r"]
)
@pytest.mark.parametrize("real", ["outer.<locals>.inner", "outer.inner"])
def test_locals_may_be_left_out(written, real):
    assert parse_target(f"app:{written}").matches_qualname(real)


def test_nameless_code_matches_only_when_spelled():
    nameless = ["<lambda>", "f.<locals>.<lambda>", "f.<locals>.<listcomp>", "f.__annotate__"]
    assert not any(parse_target("app:*").matches_qualname(name) for name in nameless)
    assert parse_target("app:f.<lambda>").matches_qualname("f.<locals>.<lambda>")
    assert parse_target("app:*<lambda>").matches_qualname("<lambda>")
    assert parse_target("app:*").matches_qualname("<lambda>.<locals>.f")


def test_matching_paths():
    target = parse_target("app/views.py:1")
    assert target.matches_path("/srv/app/views.py")
    assert target.matches_path("app/views.py")
    assert not target.matches_path("/srv/myapp/views.py")
    assert not target.matches_path("views.py")
    assert target.matches_path("C:\\srv\\app\\views.py")
    absolute = parse_target("/srv/app/views.py:1")
    assert absolute.matches_path("/srv/app/views.py")
    assert not absolute.matches_path("/x/srv/app/views.py")


def test_splits_of_a_dotted_name():
    assert list(parse_target("a.b.C.m").splits()) == [("a.b.C", "m"), ("a.b", "C.m"), ("a", "b.C.m")]


def test_is_exact():
    assert parse_target("a:b").is_exact
    assert not parse_target("a*:b").is_exact
    assert not parse_target("a:[bc]").is_exact


@given(st.text(max_size=60) | st.from_regex(r"[a-z.*\[\]?:@/<>0-9 ]{0,30}", fullmatch=True))
def test_any_text_parses_or_is_refused(text):
    try:
        target = parse_target(text)
    except UsageError as error:
        assert str(error)
        return
    target.matches_module("app.views")
    target.matches_qualname("Cart.checkout")
    target.matches_path("/srv/app/views.py")
    assert parse_target(target.text) == target
