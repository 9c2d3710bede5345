"""`--traceparent`, and which distributed trace a trace says it belongs to: with OpenTelemetry and without."""

from __future__ import annotations

import http.client
import json
import sys
from contextvars import ContextVar
from types import ModuleType
from typing import Any

import pytest

from ctl import COMMAND, environment
from processes import TARGETS, Process, process, wait_for
from targets import kept
from tracepatch.request import Request
from tracepatch.response import Response, tell_of
from tracepatch.spans import current_span, span_in
from tracepatch_shared.errors import UsageError
from tracepatch_shared.summary import head, symbols
from tracepatch_shared.traceparent import Traceparent, read, trace_id_of
from tracing_helpers import bench

ID = "4bf92f3577b34da6a3ce929d0e0e4736"
HEADER = f"00-{ID}-00f067aa0ba902b7-01"
OTHER = f"00-{ID[::-1]}-00f067aa0ba902b7-01"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (HEADER, Traceparent(ID, "00f067aa0ba902b7", 1)),
        (f" {HEADER} ", Traceparent(ID, "00f067aa0ba902b7", 1)),
        (f"01-{HEADER[3:]}-more", Traceparent(ID, "00f067aa0ba902b7", 1)),
        (f"{HEADER}-more", None),
        (f"ff-{HEADER[3:]}", None),
        (HEADER.upper(), None),
        (f"00-{'0' * 32}-00f067aa0ba902b7-01", None),
        (f"00-{ID}-{'0' * 16}-01", None),
        ("", None),
        (ID, None),
    ],
)
def test_what_a_header_says(text: str, expected: Traceparent | None) -> None:
    assert read(text) == expected


def test_it_is_written_as_it_was_read() -> None:
    assert str(read(HEADER)) == HEADER


@pytest.mark.parametrize("text", [ID, ID.upper(), HEADER, f" {ID} "])
def test_an_operator_names_an_id_or_a_header(text: str) -> None:
    assert trace_id_of(text) == ID


@pytest.mark.parametrize("text", ["", ID[1:], "0" * 32, f"00-{ID}", "x" * 5000, ID + "0"])
def test_what_is_none_is_said(text: str) -> None:
    with pytest.raises(UsageError, match="32 hex digits"):
        trace_id_of(text)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([(b"TraceParent", HEADER.encode())], HEADER),
        ({"HTTP_TRACEPARENT": HEADER}, HEADER),
        ([("a", "b")], None),
        ([("traceparent", HEADER), ("traceparent", OTHER)], None),
        ([("traceparent", "nonsense")], None),
        (None, None),
    ],
)
def test_the_header_of_a_request(headers: object, expected: str | None) -> None:
    found = Request("GET", "/", "", headers).traceparent
    assert (None if found is None else str(found)) == expected


def spans() -> Any:
    trace = pytest.importorskip("opentelemetry.trace")
    sdk = pytest.importorskip("opentelemetry.sdk.trace")
    return trace, sdk.TracerProvider().get_tracer("test")


def test_the_span_that_is_current_is_the_trace_s() -> None:
    _, tracer = spans()
    with bench() as made:
        made.arm("targets.kept:work", count=2)
        with tracer.start_as_current_span("outer") as span:
            kept.work("inside")
        kept.work("outside")
        inside, outside = made.traces()
    ids = span.get_span_context()
    assert inside.traceparent == f"00-{ids.trace_id:032x}-{ids.span_id:016x}-{ids.trace_flags:02x}"
    assert outside.traceparent is None
    (_, facts) = head(inside, symbols(ascii=True))
    assert f"traceparent {inside.traceparent}" in facts[0][1]


def test_only_the_tasks_of_one_trace_are_recorded() -> None:
    _, tracer = spans()
    with tracer.start_as_current_span("wanted") as span:
        wanted = f"{span.get_span_context().trace_id:032x}"
    with bench() as made:
        probe = made.arm("targets.kept:work", count=5, traceparent=wanted)
        kept.work("without")
        with tracer.start_as_current_span("another"):
            kept.work("another")
        from opentelemetry.trace import use_span

        with use_span(span):
            kept.work("wanted")
        (trace,) = made.traces()
        counters = probe.counters(0.0, held=0, held_bytes=0)
    assert trace.roots[0].args["what"] == "wanted"
    assert (counters["seen"], counters["other_traces"], counters["passed_over"]) == (3, 2, 0)


def test_of_a_request_the_span_that_begins_inside_is_its_own() -> None:
    trace, tracer = spans()
    from opentelemetry.trace import NonRecordingSpan, SpanContext, set_span_in_context

    tell = tell_of("opentelemetry.context", "attach", ("context",))
    assert tell is not None
    response = Response()
    caller = set_span_in_context(
        NonRecordingSpan(SpanContext(int(ID, 16), 0x00F067AA0BA902B7, is_remote=True))
    )
    tell(response, {"context": caller})
    assert response.span is not None
    assert (response.span.trace_id, response.span.remote) == (ID, True)
    server = tracer.start_span("server", context=caller)
    tell(response, {"context": set_span_in_context(server)})
    client = tracer.start_span("client", context=set_span_in_context(server))
    tell(response, {"context": set_span_in_context(client)})
    assert response.span.trace_id == ID
    assert response.span.span_id == f"{server.get_span_context().span_id:016x}"
    tell(response, {"context": {}})
    tell(response, {})
    assert trace


class Hostile:
    def __getattribute__(self, name: str) -> Any:
        raise AssertionError(name)

    def __eq__(self, other: object) -> bool:
        raise AssertionError

    __hash__ = None  # type: ignore[assignment]


def test_nothing_foreign_runs_and_nothing_else_is_a_span(monkeypatch: pytest.MonkeyPatch) -> None:
    spans()
    import opentelemetry.context as library
    from opentelemetry.context.context import Context
    from opentelemetry.trace.propagation import _SPAN_KEY  # type: ignore[attr-defined, unused-ignore]

    class Mine(Context):
        def get(self, *args: Any) -> Any:
            raise AssertionError

    for span in (Hostile(), None, object()):
        assert span_in(Context({_SPAN_KEY: span})) is None
        assert span_in(Mine({_SPAN_KEY: span})) is None
    assert span_in(Hostile()) is None
    assert span_in(None) is None
    for runtime in (Hostile(), None):
        monkeypatch.setattr(library, "_RUNTIME_CONTEXT", runtime)
        assert current_span() is None
    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, "opentelemetry.context", Hostile())
    assert current_span() is None
    monkeypatch.setitem(sys.modules, "opentelemetry.context", ModuleType("empty"))
    assert current_span() is None
    assert type(ContextVar("x")) is ContextVar


@pytest.fixture
def env(runtime_dir: Any, tmp_path: Any) -> dict[str, str]:
    return environment(XDG_STATE_HOME=str(tmp_path / "state"))


def ask(port: int, header: str | None = None) -> str | None:
    """Return what span the view says it ran in; None when there is no server yet."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/", headers={} if header is None else {"traceparent": header})
        return str(json.loads(connection.getresponse().read()))
    except ConnectionError:
        return None
    finally:
        connection.close()


def traced(
    env: dict[str, str], app: Process, port: int, *words: str, headers: list[str | None]
) -> tuple[list[str], list[str], dict[str, Any]]:
    """Return what the views say, what the traces say, and the last line."""
    command = [*COMMAND, "arm", "http:*", *words, "--pid", str(app.pid), "--json", "--ttl", "30s"]
    with process([*command, "--concurrent", "8"], env=env) as arm:
        wait_for(
            lambda: any('"armed"' in line for line in arm.lines) or arm.child.poll() is not None, what="armed"
        )
        said = [ask(port, header) or "" for header in headers]
        assert arm.wait(40) == 0, arm.stderr
        came = [json.loads(line) for line in arm.lines]
    return said, [one["traceparent"] for one in came if one["type"] == "trace"], came[-1]


@pytest.mark.parametrize("framework", ["fastapi", "flask"])
def test_with_opentelemetry_s_instrumentation(framework: str, env: dict[str, str]) -> None:
    pytest.importorskip(f"opentelemetry.instrumentation.{framework}")
    with process([sys.executable, str(TARGETS / "spanned.py"), framework, "on"]) as app:
        port = int(app.line(30))
        wait_for(lambda: ask(port) is not None, 30, what="a server")
        said, found, _ = traced(env, app, port, "-n", "2", headers=[HEADER, None])
        ids = [text[3:-3] for text in found]
        assert ids == said
        assert ids[0].startswith(ID)
        assert not ids[1].startswith(ID)
        _, found, end = traced(env, app, port, "--traceparent", OTHER, headers=[HEADER, OTHER, None, OTHER])
        assert [text[3:35] for text in found] == [ID[::-1]]
        assert end["other_traces"] >= 1


@pytest.mark.parametrize("framework", ["fastapi", "flask"])
def test_without_it_the_header_says_it(framework: str, env: dict[str, str]) -> None:
    with process([sys.executable, str(TARGETS / "spanned.py"), framework, "off"]) as app:
        port = int(app.line(30))
        wait_for(lambda: ask(port) is not None, 30, what="a server")
        _, found, _ = traced(env, app, port, "-n", "2", headers=[HEADER, None])
        assert found == [HEADER, None]
        _, found, end = traced(env, app, port, "--traceparent", ID, headers=[None, OTHER, HEADER])
        assert (found, end["other_traces"], end["seen"]) == ([HEADER], 2, 3)
