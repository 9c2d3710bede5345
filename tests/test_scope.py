"""`trace()`: first against a recording made by hand, then against the real one."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import io
import json
import logging
import os
import signal
import stat
import subprocess
import sys
import textwrap
import threading
import types

import pytest

import tracepatch.scope as scope_module
from streams import Stream
from tracepatch.cores import core
from tracepatch.recording import current
from tracepatch.scope import TraceNode, trace
from tracepatch_shared import VERSION
from tracepatch_shared import records as r
from tracepatch_shared.errors import Conflict
from tracepatch_shared.values import Mark


class FakeRecording:
    """What `local_recording` returns, fed by hand."""

    def __init__(self, stream):
        self.stream = stream
        self.log = []

    def start(self, host=None):
        self.log.append("start")
        self.host = host

    def stop(self):
        self.log.append("stop")

    def pause(self):
        self.log.append("pause")

    def resume(self):
        self.log.append("resume")

    def records(self):
        return self.stream.records


@pytest.fixture
def recordings(monkeypatch):
    """The recordings that `trace()` asks for, each with the arguments it was asked with."""
    made = []

    def local_recording(limits, capture, capture_mode, ignore_modules=(), *, threads=False):
        recording = FakeRecording(made.stream() if callable(made.stream) else made.stream)
        recording.asked = (limits, capture, capture_mode, ignore_modules)
        made.append(recording)
        return recording

    class Made(list):
        stream = None

    made = Made()
    made.stream = checkout
    fake = types.ModuleType("tracepatch.local")
    fake.local_recording = local_recording
    monkeypatch.setitem(sys.modules, "tracepatch.local", fake)
    scope_module._recorder.cache_clear()
    yield made
    scope_module._recorder.cache_clear()


def checkout(ended=True):
    s = Stream()
    s.branch(name="checkout")
    root = s.call(1_000, "Shop.checkout", user="'ann'", cart="<Cart>")
    s.call(1_000, "price", sku="'SKU'")
    s.fail(2_000_000, "shop.errors.Missing", "no\x1b[1m price")
    s.branch(0, "task", "mail", root)
    s.call(0, "mail", n=3)
    s.add(r.SUSPEND, 0)
    s.add(r.SWITCH, 0)
    s.give(1_000, "{'ok': True}")
    if ended:
        s.end(5)
    return s


def test_what_is_asked_of_the_recorder(recordings):
    with trace(cache=False):
        pass
    limits, capture, mode, ignored = recordings[0].asked
    assert (limits.max_depth, limits.max_calls, capture.text, mode, ignored) == (31, 10_000, 120, "repr", ())
    with trace(
        ignore_modules=["logging", "ssl"], max_depth=5, max_calls=7, max_repr=50, capture="safe", cache=False
    ):
        pass
    limits, capture, mode, ignored = recordings[1].asked
    assert (limits.max_depth, limits.max_calls, capture.text, mode, ignored) == (
        6,
        7,
        50,
        "safe",
        ("logging", "ssl"),
    )
    with trace(ignore_modules="ssl", cache=False), trace(ignore_modules=None, cache=False):
        pass
    assert [recording.asked[3] for recording in recordings[2:]] == [("ssl",), ()]
    with pytest.raises(ValueError, match="capture must be"):
        trace(capture="all")
    with pytest.raises(TypeError):
        trace([])


def test_nodes(recordings):
    with trace(cache=False) as t:
        assert recordings[0].log == ["start"]
    assert recordings[0].log == ["start", "stop"]
    (root,) = t.roots
    price, mail = root.children
    assert isinstance(root, TraceNode)
    assert (root.name, root.module, root.args, root.return_value, root.exception) == (
        "checkout", "shop.views", "user='ann', cart=<Cart>", "{'ok': True}", None,
    )  # fmt: skip
    assert (price.exception, price.return_value, price.depth) == ("Missing: no\x1b[1m price", None, 1)
    assert round(root.elapsed, 6) == 0.002002
    assert round(root.end - root.start, 6) == 0.002002
    assert (mail.branch, mail.open, mail.waiting > 0, root.branch) == ("task 'mail'", True, True, "")
    assert t.call_count == 3
    assert t.was_limited is False
    assert t.roots is t.roots


def test_tree(recordings):
    t = trace(cache=False)
    assert t.tree() == "<trace not started>"
    assert (t.roots, t.call_count, t.was_limited, t.cache_path) == ([], 0, False, None)
    with t:
        pass
    assert t.tree() == textwrap.dedent("""\
        └── shop.views.checkout(user='ann', cart=<Cart>) -> {'ok': True}  [2.00ms]
            ├── shop.views.price(sku='SKU') !! Missing: no\\x1b[1m price  [2.00ms]
            └── [task 'mail'] shop.views.mail(n=3) ... still running  [1us, waited 1us]""")
    recordings.stream = Stream()
    with t:
        pass
    assert t.tree() == "<no calls captured>"


def test_texts_are_cut_as_they_were_in_the_seed(recordings):
    s = Stream()
    s.branch()
    s.call(0, "f", a="x" * 50, b="y" * 50)
    s.give(1, ["z" * 100])
    recordings.stream = s
    with trace(max_repr=20, cache=False) as t:
        pass
    (node,) = t.roots
    assert node.args == "a=" + "x" * 15 + "..."
    assert len(node.return_value) == 20
    assert node.return_value == "['zzzzzzzzzzzzzzz…']"


def test_safe_values_look_like_python(recordings):
    s = Stream()
    s.branch()
    s.call(0, "f", a="it", b={"n": [1]}, c=Mark("object", {"type": "m.Cart", "fields": {"n": 1}}))
    s.give(1, "text")
    recordings.stream = s
    with trace(capture="safe", cache=False) as t:
        pass
    assert t.roots[0].args == "a='it', b={'n': [1]}, c=<Cart n=1>"
    assert t.roots[0].return_value == "'text'"


def test_it_can_be_looked_at_while_it_runs(recordings):
    recordings.stream = lambda: checkout(ended=False)
    with trace(cache=False) as t:
        assert t.call_count == 3
        recordings[0].stream.call(1, "more")
        assert t.call_count == 4
        assert "more()" in t.tree()


def test_a_limit_that_tripped(recordings):
    s = checkout(ended=False)
    s.end(0, r.TRIPPED, "max_calls")
    recordings.stream = s
    with trace(cache=False) as t:
        pass
    assert t.was_limited is True


def test_json(recordings, tmp_path):
    with trace(cache=False, label="order 7") as t:
        pass
    t.to_json(tmp_path / "a.json")
    t.to_json(str(tmp_path / "b.json"))
    stream = io.StringIO()
    t.to_json(stream)
    text = (tmp_path / "a.json").read_text()
    assert text == (tmp_path / "b.json").read_text() == stream.getvalue()
    assert stat.S_IMODE((tmp_path / "a.json").stat().st_mode) == 0o600
    form = json.loads(text)
    assert list(form) == [
        "tracepatch_version",
        "timestamp",
        "label",
        "call_count",
        "was_limited",
        "config",
        "trace",
    ]
    assert (form["tracepatch_version"], form["label"], form["call_count"], form["was_limited"]) == (
        VERSION,
        "order 7",
        3,
        False,
    )
    assert form["config"] == {"max_depth": 30, "max_calls": 10000, "max_repr": 120, "ignore_modules": []}
    (root,) = form["trace"]
    assert list(root) == ["name", "module", "args", "return_value", "start", "end", "elapsed_ms", "children"]
    assert list(root["children"][0]) == [
        "name",
        "module",
        "args",
        "return_value",
        "start",
        "end",
        "elapsed_ms",
        "exception",
    ]
    assert root == t.roots[0].to_dict()
    assert root["elapsed_ms"] == 2.002
    assert text.count("\n") == 19, "a line for each call"
    assert trace.load(tmp_path / "a.json") == form
    with pytest.raises(OSError):
        t.to_json(tmp_path / "no" / "folder.json")


def test_a_deep_trace_is_written_and_loaded(recordings, tmp_path):
    s = Stream()
    s.branch()
    for index in range(10_000):
        s.call(10, "f", a=index)
    for _ in range(10_000):
        s.give(5)
    recordings.stream = s
    with trace(cache_dir=tmp_path, max_depth=20_000, max_calls=20_000) as t:
        pass
    lines = t.tree().splitlines()
    assert len(lines) == 10_000
    assert max(map(len, lines)) < 600
    assert t.cache_path.stat().st_size < 20_000_000
    node, depth = trace.load(t.cache_path)["trace"][0], 1
    while node.get("children"):
        (node,) = node["children"]
        depth += 1
    assert depth == 10_000
    assert trace.logs(tmp_path)[0]["call_count"] == 10_000
    repr(t.roots[0])


def test_the_cache(recordings, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with trace(label="first/../x") as first:
        pass
    with trace(label="second", cache_dir=tmp_path) as second:
        pass
    folder = tmp_path / ".tracepatch_cache"
    assert first.cache_path.parent == folder
    assert first.cache_path.name.endswith("_first____x.json")
    assert [entry["label"] for entry in trace.logs()] == ["second", "first/../x"]
    assert trace.logs(limit=1) == [
        {
            "file": str(second.cache_path),
            "timestamp": trace.load(second.cache_path)["timestamp"],
            "label": "second",
            "call_count": 3,
            "was_limited": False,
        }
    ]
    recordings.stream = Stream()
    with trace() as empty:
        pass
    assert empty.cache_path is None
    assert len(trace.logs()) == 2
    recordings.stream = checkout
    monkeypatch.setenv("TRACEPATCH_CACHE", "0")
    with trace() as off:
        pass
    assert off.cache_path is None
    assert len(trace.logs()) == 2


def test_a_cache_that_cannot_be_written_is_no_error(recordings, tmp_path):
    (tmp_path / ".tracepatch_cache").write_text("in the way")
    with trace(cache_dir=tmp_path) as t:
        pass
    assert t.cache_path is None
    assert t.call_count == 3
    with trace(cache_dir=tmp_path / "missing") as t:
        pass
    assert t.cache_path is None


def test_a_conflict_is_said_once_and_the_block_runs(recordings, monkeypatch, caplog):
    def refuse(self, host=None):
        raise Conflict("coverage holds every tool id")

    monkeypatch.setattr(FakeRecording, "start", refuse)
    monkeypatch.setattr(scope_module, "_said", set())
    ran = []
    with caplog.at_level(logging.WARNING, "tracepatch"):
        for _ in range(3):
            with trace(cache=False) as t:
                ran.append(1)
    assert len(ran) == 3
    assert (t.roots, t.tree(), t.call_count) == ([], "<no calls captured>", 0)
    assert [record.getMessage() for record in caplog.records] == [
        "trace() records nothing: coverage holds every tool id"
    ]


@pytest.mark.parametrize("where", ["start", "stop", "records"])
def test_an_error_of_ours_never_reaches_the_block(recordings, monkeypatch, caplog, where):
    monkeypatch.setattr(
        FakeRecording, where, functools.partial(int, "no number")
    )  # raises with no frame of others
    monkeypatch.setattr(scope_module, "_said", set())
    with pytest.raises(KeyError), trace(cache=False) as t:
        raise KeyError("the application's own")
    assert t.roots == []
    assert "error of tracepatch" in caplog.text


@pytest.mark.parametrize("where", ["start", "stop", "records"])
def test_what_a_signal_handler_raises_reaches_the_application(recordings, monkeypatch, where):
    def interrupted(self, *args):
        raise ValueError("soft time limit")

    monkeypatch.setattr(FakeRecording, where, interrupted)
    with pytest.raises(ValueError, match="soft time limit"), trace(cache=False):
        pass


def test_entered_again_it_goes_on(recordings):
    t = trace(cache=False)
    with t:
        with t:
            pass
        assert recordings[0].log == ["start"]
    assert recordings[0].log == ["start", "stop"]
    with t:
        pass
    assert len(recordings) == 2


def test_the_host_of_a_decorated_function_is_its_wrapper(recordings):
    t = trace(cache=False, label="deco")

    @t
    def function(a, *, b):
        """Doc."""
        return a + b

    assert function(1, b=2) == 3
    assert (function.__name__, function.__doc__, str(inspect.signature(function))) == (
        "function",
        "Doc.",
        "(a, *, b)",
    )
    assert recordings[0].host.f_code.co_name == "traced"
    assert recordings[0].log == ["start", "stop"]
    assert t.call_count == 3
    function(1, b=2)
    assert len(recordings) == 2


def test_kinds_stay_what_they_are(recordings):
    t = trace(cache=False)

    @t
    async def coroutine():
        return 1

    @t
    def generator():
        got = []
        while len(got) < 3:
            try:
                got.append((yield len(got)))
            except ValueError as error:
                got.append(str(error))
        return got

    @t
    async def async_generator():
        got = []
        while len(got) < 3:
            try:
                got.append((yield len(got)))
            except ValueError as error:
                got.append(str(error))

    assert inspect.iscoroutinefunction(coroutine)
    assert inspect.isgeneratorfunction(generator)
    assert inspect.isasyncgenfunction(async_generator)
    assert asyncio.run(coroutine()) == 1

    def drive():
        g = generator()
        items = [next(g), g.send("a"), g.throw(ValueError("b"))]
        try:
            g.send("c")
        except StopIteration as end:
            return items, end.value

    assert drive() == ([0, 1, 2], ["a", "b", "c"])
    assert recordings[1].log == ["start", "pause", "resume", "pause", "resume", "pause", "resume", "stop"]

    async def adrive():
        g = async_generator()
        items = [await g.__anext__(), await g.asend("a"), await g.athrow(ValueError("b"))]
        with pytest.raises(StopAsyncIteration):
            await g.asend("c")
        g = async_generator()
        items.append(await g.__anext__())
        await g.aclose()
        return items

    assert asyncio.run(adrive()) == [0, 1, 2, 0]
    assert recordings[2].log == recordings[1].log
    assert recordings[3].log == ["start", "pause", "resume", "stop"]

    g = generator()
    next(g)
    g.close()
    assert recordings[4].log == ["start", "pause", "resume", "stop"]


# ---- with the real recorder ---------------------------------------------------------------------------------------


def leaf(n):
    return {"n": n}


def fails(word):
    raise ValueError(f"no {word}")


def work(n, password="sesam"):
    try:
        fails("way")
    except ValueError:
        pass
    return leaf(n)


def names(nodes):
    """The calls of this file only, as nested lists."""
    found = []
    for node in nodes:
        inner = names(node.children)
        if node.module.endswith("test_scope"):
            found.append([node.name, *inner] if inner else node.name)
        else:
            found += inner
    return found


def test_real_a_block():
    with trace(cache=False) as t:
        result = work(7)
    leaf(8)
    assert result == {"n": 7}
    assert names(t.roots) == [["work", "fails", "leaf"]]
    (root,) = t.roots
    assert root.args.startswith("n=7, password=")
    assert "sesam" not in json.dumps(root.to_dict())
    assert root.return_value == "{'n': 7}"
    assert root.children[0].exception == "ValueError: no way"
    assert root.exception is None
    assert root.start <= root.children[0].start <= root.children[0].end <= root.children[1].start <= root.end
    assert t.call_count == 3


def test_real_limits():
    with trace(cache=False, max_calls=5) as t:
        for n in range(20):
            leaf(n)
    assert t.was_limited
    assert t.call_count <= 5
    with trace(cache=False, max_depth=1) as t:
        work(1)
    assert names(t.roots) == ["work"]
    assert not t.was_limited


def test_real_nested_blocks_each_see_their_own(tmp_path):
    with trace(cache=False) as outer:
        leaf(1)
        with trace(cache_dir=tmp_path) as inner:
            leaf(2)
        leaf(3)
    assert [node.args for node in inner.roots] == ["n=2"]
    assert [node.args for node in outer.roots] == ["n=1", "n=2", "n=3"]


async def sleeper(n):
    await asyncio.sleep(0.02)
    return leaf(n)


def test_real_concurrent_tasks_do_not_meet():
    async def one(n):
        async with trace(cache=False) as t:
            await sleeper(n)
            await asyncio.gather(sleeper(n + 100), sleeper(n + 200))
        return t

    async def main():
        return await asyncio.gather(*(one(n) for n in range(20)))

    for n, t in enumerate(asyncio.run(main())):
        seen, todo = [], list(t.roots)
        while todo:
            node = todo.pop()
            todo += node.children
            if node.name == "sleeper":
                seen.append(node.args)
                assert 0 < node.waiting < node.elapsed
                assert node.elapsed >= node.waiting
        assert sorted(seen) == sorted([f"n={n}", f"n={n + 100}", f"n={n + 200}"])


def test_real_threads_do_not_meet():
    results = {}

    def run(n):
        with trace(cache=False) as t:
            for _ in range(50):
                leaf(n)
        results[n] = t

    threads = [threading.Thread(target=run, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for n, t in results.items():
        assert {node.args for node in t.roots if node.name == "leaf"} == {f"n={n}"}
        assert sum(node.name == "leaf" for node in t.roots) == 50


def test_real_decorated_coroutine_knows_its_waiting_time():
    t = trace(cache=False)
    traced = t(sleeper)

    async def main():
        await asyncio.gather(traced(1), sleeper(2))

    asyncio.run(main())
    (root,) = t.roots
    assert (root.name, root.args, root.return_value) == ("sleeper", "n=1", "{'n': 1}")
    assert 0 < root.waiting < root.elapsed


def test_real_decorated_generator_records_itself_and_not_its_consumer():
    t = trace(cache=False)

    @t
    def generator():
        for n in range(3):
            leaf(n)
            yield n

    with trace(cache=False) as consumer:
        for n in generator():
            leaf(n + 100)
    (root,) = t.roots
    assert [node.args for node in root.children] == ["n=0", "n=1", "n=2"]
    assert [node.args for node in consumer.roots if node.name == "leaf"] == ["n=100", "n=101", "n=102"]


def test_real_it_needs_no_dependency(tmp_path):
    program = """
        import sys
        sys.modules["zmq"] = sys.modules["msgpack"] = None
        import tracepatch
        def f(a): return a
        with tracepatch.trace() as t:
            f(1)
        print(t.tree())
        print(len(tracepatch.trace.logs()), t.cache_path.name.startswith("trace_"))
    """
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(program)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ,
    )
    assert done.stderr == ""
    tree, logs = done.stdout.splitlines()
    assert tree.startswith("└── __main__.f(a=1) -> 1  [")
    assert logs == "1 True"


def test_real_nothing_stays_behind():
    with trace(cache=False):
        leaf(1)
    assert sys.getprofile() is None
    if hasattr(sys, "monitoring"):
        assert "tracepatch" not in [sys.monitoring.get_tool(tool) for tool in range(6)]


# ---- signal handlers that raise at a block's ends ---------------------------------------------------------------


class Limit(Exception):
    """What a job queue's signal handler raises."""


def cut(monkeypatch, name, *, at_end):
    """Have a method of `trace` raise as it is entered, or as it returns, the next time that it is called."""
    method = getattr(trace, name)

    def cuts(*args, **kwargs):
        monkeypatch.undo()
        if at_end:
            method(*args, **kwargs)
        raise Limit

    monkeypatch.setattr(trace, name, cuts)


def nothing_records():
    clean = core().clean()
    return "blocks" not in clean and not clean["events"] and not clean["hooks"] and sys.gettrace() is None


def by_with(made):
    with made:
        leaf(1)


def by_async_with(made):
    async def block():
        async with made:
            leaf(1)

    asyncio.run(block())


def by_call(made):
    made(leaf)(1)


def by_generator(made):
    list(made(counter)(3))


def counter(count):
    for number in range(count):
        yield leaf(number)


@pytest.mark.parametrize("way", [by_with, by_async_with, by_call, by_generator])
@pytest.mark.parametrize(
    ("name", "at_end"), [("_begin", False), ("_begin", True), ("_end", False), ("_end", True)]
)
def test_a_block_that_a_signal_handler_cuts_off_is_ended(monkeypatch, way, name, at_end):
    made = trace(cache=False)
    cut(monkeypatch, name, at_end=at_end)
    with contextlib.suppress(Limit):  # let go of at once: the traceback's frames hold a call's recording
        way(made)
        pytest.fail("it did not pass")
    assert nothing_records()
    assert current.get() is None
    way(made)
    assert made.call_count > 0
    assert nothing_records()


def test_a_block_within_one_that_is_cut_off_leaves_that_alone(monkeypatch):
    made = trace(cache=False)
    with trace(cache=False) as outer:
        with made:
            cut(monkeypatch, "_end", at_end=False)
            with pytest.raises(Limit):
                by_with(made)
            leaf(2)
        leaf(3)
    assert made.call_count >= 2
    assert [node.args for node in outer.roots if node.name == "leaf"][-1] == "n=3"
    assert nothing_records()


def test_the_ends_of_a_block_called_by_hand():
    made = trace(cache=False)
    made.__enter__()
    leaf(1)
    made.__exit__(None, None, None)
    assert made.call_count == 1
    with contextlib.ExitStack() as stack:
        stack.enter_context(made)
        leaf(1)
        leaf(2)
    assert made.call_count >= 2
    assert nothing_records()


def test_a_soft_time_limit_passes_while_a_trace_is_saved(monkeypatch):
    def handler(_number, _frame):
        raise TimeoutError("soft limit")

    def save(*_arguments):
        signal.raise_signal(signal.SIGALRM)

    monkeypatch.setattr(scope_module.cache_folder, "save", save)
    before = signal.signal(signal.SIGALRM, handler)
    try:
        with pytest.raises(TimeoutError, match="soft limit"):
            by_with(trace())
    finally:
        signal.signal(signal.SIGALRM, before)
    assert nothing_records()
