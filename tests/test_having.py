"""`--having`: a trace is kept only if a call occurred in it, wherever that was and whether it was recorded or not."""

from __future__ import annotations

import asyncio
import http.client
import json
import re
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from ctl import COMMAND, environment
from processes import TARGETS, process, wait_for
from targets import having
from tracepatch_shared.errors import ConditionError, MessageError, NotTraceable, Refused, UsageError
from tracepatch_shared.having import parse_having
from tracing_helpers import bench, names

LOAD = "targets.having:load_user"
FORTY_TWO = f"{LOAD}(user_id == 42)"


def users(traces: list[Any]) -> list[Any]:
    return [trace.roots[0].args["user_id"] for trace in traces]


def counted(probe: Any) -> tuple[int, int, int]:
    counters = probe.counters(0.0, held=0, held_bytes=0)
    return counters["not_kept"], counters["having_missed"], counters["having_errors"]


CASES: dict[str, tuple[str, dict[str, Any], Callable[[int], Any]]] = {
    "deep": ("work", {}, lambda user: having.work(user, 20)),
    "deeper than is recorded": ("work", {"limits": {"max_depth": 3}}, lambda user: having.work(user, 20)),
    "after as many calls as are recorded": ("busy", {"limits": {"max_calls": 5}}, lambda user: having.busy(user, 50)),
    "skipped": ("work", {"scope": {"skip": ["targets.having"]}}, having.work),
    "not among what is recorded": ("work", {"scope": {"only": ["targets.kept"]}}, having.work),
    "called back by a library": ("dump", {}, having.dump),
    "in a branch": ("serve", {}, lambda user: asyncio.run(having.serve(user))),
    "in a thread that is followed": ("threads", {"threads": True}, having.threads),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_call_is_seen_wherever_it_is(case: str) -> None:
    name, options, run = CASES[case]
    with bench() as made:
        target = f"targets.having:{name}"
        probe = made.arm(target, count=2, having=[FORTY_TWO], **options)
        for user in (41, 42, 43, 42):
            run(user)
        traces = made.traces()
    assert users(traces) == [42, 42]
    assert counted(probe) == (2, 2, 0)


def test_a_call_inside_a_library_is_seen() -> None:
    with bench() as made:
        probe = made.arm(
            "targets.having:in_a_library",
            count=5,
            having=["json.encoder:JSONEncoder.encode(o['user'] == 42)"],
        )
        for user in (41, 42, 43):
            having.in_a_library(user)
        (trace,) = made.traces()
    assert users([trace]) == [42]
    assert "JSONEncoder.encode" not in names(trace)
    assert counted(probe) == (2, 2, 0)


def test_without_a_condition_any_call_will_do() -> None:
    with bench() as made:
        probe = made.arm(
            "targets.having:work", "targets.having:iterate", count=5, having=["targets.having:it*()"]
        )
        having.work(1)
        having.iterate(2)
        assert users(made.traces()) == [2]
    assert counted(probe) == (1, 1, 0)


def test_each_of_several_has_to_occur_and_the_condition_on_the_end_to_hold() -> None:
    with bench() as made:
        probe = made.arm(
            "targets.having:busy",
            count=5,
            having=[FORTY_TWO, "targets.having:audit(user_id == 3)"],
            keep="calls > 6",
        )
        for user, calls in ((42, 2), (42, 4), (41, 9), (42, 9)):
            having.busy(user, calls)
        assert users(made.traces()) == [42]
        counters = probe.counters(0.0, held=0, held_bytes=0)
    assert (counters["not_kept"], counters["having_missed"]) == (3, 2)
    assert counters["nearest"] == {"measure": "calls", "least": True, "value": 6.0}
    assert counters["having"] == [FORTY_TWO, "targets.having:audit(user_id == 3)"]


def test_the_root_itself_is_a_call_that_occurs() -> None:
    with bench() as made:
        made.arm("targets.having:work", count=5, having=["targets.having:work(levels == 2)"])
        having.work(1, 1)
        having.work(2, 2)
        assert users(made.traces()) == [2]


def test_of_two_tasks_side_by_side_only_the_one_with_the_call_is_kept() -> None:
    async def main() -> None:
        await asyncio.gather(*(having.serve(user) for user in range(40, 45)))

    with bench() as made:
        made.arm("targets.having:serve", count=5, having=[FORTY_TWO])
        asyncio.run(main())
        assert users(made.traces()) == [42]


def test_what_cannot_be_evaluated_is_counted_with_the_first_reason() -> None:
    with bench() as made:
        probe = made.arm("targets.having:work", having=[f"{LOAD}(name.first == 'x')"])
        having.work(1)
        assert made.traces() == []
        counters = probe.counters(0.0, held=0, held_bytes=0)
    assert (counters["having_missed"], counters["having_errors"]) == (1, 1)
    assert "no attribute first" in counters["having_error"]


def test_a_function_that_is_imported_later_matches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "comes_late.py").write_text("def load_late(user_id):\n    return user_id\n")
    monkeypatch.syspath_prepend(tmp_path)
    try:
        with bench() as made:
            made.arm("targets.having:late", count=5, having=["comes_late:load_late(user_id == 42)"])
            for user in (41, 42, 43, 42):
                having.late("comes_late", user)
            assert users(made.traces()) == [42, 42]
    finally:
        sys.modules.pop("comes_late", None)


def test_one_that_is_imported_while_its_task_records_matches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "comes_later.py").write_text("def load_late(user_id):\n    return user_id\nload_late(1)\n")
    monkeypatch.syspath_prepend(tmp_path)
    try:
        with bench() as made:
            made.arm("targets.having:late", count=5, having=["comes_later:load_late(user_id == 42)"])
            having.late("comes_later", 42)
            assert users(made.traces()) == [42]
    finally:
        sys.modules.pop("comes_later", None)


def test_a_target_may_be_a_call_too() -> None:
    with bench() as made:
        made.arm(LOAD, count=1)
        made.arm("targets.having:work", count=5, having=[FORTY_TWO])
        having.load_user(1)
        having.work(41)
        having.work(42)
        traces = made.traces()
    assert [trace.roots[0].function for trace in traces] == ["load_user", "work"]
    assert users(traces) == [1, 42]


def test_a_variable_that_is_shared_with_an_inner_function_is_read() -> None:
    with bench() as made:
        made.arm(
            "targets.having:closure",
            count=5,
            having=["targets.having:closure.outer(user_id == 42)"],
            scope={"skip": ["targets.having"]},
        )
        assert [having.closure(user) for user in (41, 42)] == [41, 42]
        assert users(made.traces()) == [42]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="there a traced frame keeps a copy (docs/design.md)")
def test_arguments_live_no_longer_than_without_it() -> None:
    with bench() as made:
        probe = made.arm(
            "targets.having:drop",
            having=["targets.having:drops(basket is None)"],
            scope={"skip": ["targets.having"]},
        )
        assert having.drop() == [True]
        assert made.traces() == []
    assert counted(probe) == (1, 1, 0)


@pytest.mark.parametrize(
    ("text", "kind", "says"),
    [
        (f"{LOAD}(user == 42)", ConditionError, "user is none of the arguments of targets.having:load_user"),
        (f"{LOAD}(user_id = 42)", ConditionError, "write == to compare"),
        (f"{LOAD}(duration > 1s)", ConditionError, "known only at the end"),
        (f"{LOAD}(options['password'] == 'x')", Refused, "password is redacted"),
        (f"{LOAD}(user_id == 42", UsageError, "never closed"),
        ("http:/a", UsageError, "a call is of a function"),
        ("load_user", UsageError, "does not say the module"),
        ("math:sqrt", NotTraceable, "--having: calls of math:sqrt cannot be seen"),
    ],
)
def test_mistakes_are_refused_when_it_is_armed(text: str, kind: type[Exception], says: str) -> None:
    with bench() as made, pytest.raises(kind, match=re.escape(says)):
        made.arm("targets.having:work", having=[text])


@pytest.mark.parametrize("wrong", [FORTY_TWO, [1], [""], ["x" * 2001]])
def test_what_is_no_list_of_texts_is_malformed(wrong: Any) -> None:
    with bench() as made, pytest.raises(MessageError):
        made.arm("targets.having:work", having=wrong)


@pytest.mark.parametrize("options", [{"live": True}, {"having": [LOAD] * 9}])
def test_what_cannot_be_meant_is_refused(options: dict[str, Any]) -> None:
    with bench() as made, pytest.raises(UsageError):
        made.arm("targets.having:work", **{"having": [LOAD], **options})


@pytest.mark.parametrize(
    ("text", "target", "condition"),
    [
        ("a.b:C.d", "a.b:C.d", None),
        ("a.b:C.d()", "a.b:C.d", None),
        ("a.b:C.d(x == (1, 2))", "a.b:C.d", "x == (1, 2)"),
        ("a/b.py:3(x == '(')", "a/b.py:3", "x == '('"),
        ("a(b)/c.py:3(x == 1)", "a(b)/c.py:3", "x == 1"),
        ("a(b)/c.py:3", "a(b)/c.py:3", None),
        (" a.b.c ( x ) ", "a.b.c", "x"),
    ],
)
def test_what_is_written(text: str, target: str, condition: str | None) -> None:
    found = parse_having(text)
    assert found.target.text == target
    assert (None if found.condition is None else found.condition.text) == condition


def test_names_that_look_alike_are_told() -> None:
    with bench() as made:
        probe = made.arm("targets.having:work", having=["targets.having:load_usr"])
        assert probe.keep is not None
        (told,) = probe.keep.calls.to_wire()
    assert told["matched_total"] == 0
    assert told["near"] == [LOAD]


@pytest.mark.parametrize(("framework", "server"), [("fastapi", "uvicorn"), ("flask", "waitress")])
def test_requests_of_a_live_server(framework: str, server: str, runtime_dir: Path, tmp_path: Path) -> None:
    """What tells the two wanted ones from the others is an argument of a function below the view."""
    env = environment(XDG_STATE_HOME=str(tmp_path))
    with process([sys.executable, str(TARGETS / "web.py"), framework, server]) as app:
        port = int(app.line(30))

        def ask(path: str) -> int | None:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
            try:
                connection.request("GET", path)
                response = connection.getresponse()
                response.read()
                return response.status
            except ConnectionError:
                return None
            finally:
                connection.close()

        wait_for(lambda: ask("/caught") == 200, 30, what="a server")
        words = ["arm", "http:*", "--having", "__main__:inner(startswith(number, 'wanted'))", "-n", "2"]
        command = [*COMMAND, *words, "--pid", str(app.pid), "--json", "--ttl", "30s", "--concurrent", "16"]
        with process([*command, "--budget", "25%"], env=env) as arm:
            wait_for(
                lambda: any('"armed"' in line for line in arm.lines) or arm.child.poll() is not None,
                what="armed",
            )
            paths = [
                f"/items/{number}" if number % 20 else f"/items/wanted{number}" for number in range(1, 61)
            ]
            with ThreadPoolExecutor(8) as pool:
                list(pool.map(ask, paths))
            assert arm.wait(40) == 0, arm.stderr
            came = [json.loads(line) for line in arm.lines]
    found = [one["task"]["path"] for one in came if one["type"] == "trace"]
    assert len(found) == 2
    assert all(path.startswith("/items/wanted") for path in found)
    assert came[0]["having"][0]["matched_total"] == 1
    assert came[-1]["having_missed"] >= 10
    assert came[-1]["clean"] is True
