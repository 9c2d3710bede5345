"""Reading what was kept: traces, show, export, tag, rm, prune; and files instead of ids."""

from __future__ import annotations

import json
import os
import stat
import sys

import pytest

from ctl import ctl, environment, golden, invoke, terminal
from stream_agent import STARTED_AT_NS, chain, checkout
from tracepatch_ctl import Trace
from tracepatch_ctl.store import Entry, Store

DEPTH = 10_000


@pytest.fixture
def store(tmp_path, monkeypatch):
    """A store with two traces of one arm and an older one."""
    path = tmp_path / "state" / "traces.db"
    monkeypatch.setenv("TRACEPATCH_STORE", str(path))
    monkeypatch.setenv("TZ", "UTC")
    with Store.open(path) as opened:
        for arm, trace_id in ((opened.begin_arm("a"), "99990000"), (2, "aaaa0001"), (2, "abcd0002")):
            entry = Entry(
                trace_id=trace_id, probe_id="cafe0001", target="app.cart:Cart.checkout", task="", service="shop",
                host="web-1", pid=4711, started_at_ns=STARTED_AT_NS, duration_ns=2_010_000, status="complete",
                reason=None, calls=3, tag="slow" if arm == 1 else None,
            )  # fmt: skip
            opened.add(entry, checkout(trace_id=trace_id), arm=arm)
    return path


def first(result) -> str:
    assert result.exit_code == 0, result.stderr
    return result.stdout.split()[1]


def test_the_list(store):
    result = invoke("traces")
    assert result.exit_code == 0
    golden("traces.txt", result.stdout)
    assert invoke("traces", "--tag", "slow").stdout.count("\n") == 2
    assert invoke("traces", "-n", "1").stdout.count("\n") == 2


def test_a_list_that_the_locale_cannot_write(store):
    assert invoke("tag", "last", "zoë → 茶").exit_code == 0
    env = environment(PYTHONUTF8="0", PYTHONIOENCODING="ascii", LC_ALL="C", PYTHONCOERCECLOCALE="0")
    done = ctl("traces", env={**env, "TRACEPATCH_STORE": str(store)})
    assert done.returncode == 0
    assert done.stdout.splitlines()[1].endswith("zo\\xeb -> \\u8336")


def test_an_empty_list_is_no_error(tmp_path, monkeypatch):
    monkeypatch.setenv("TRACEPATCH_STORE", str(tmp_path / "none.db"))
    result = invoke("traces")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "no traces are kept yet\n")
    assert not (tmp_path / "none.db").exists()
    assert invoke("show").exit_code == 1


def test_show_finds_by_every_form(store):
    assert first(invoke("show")) == first(invoke("show", "last")) == first(invoke("show", "2")) == "abcd0002"
    assert (
        first(invoke("show", "1"))
        == first(invoke("show", "last~1"))
        == first(invoke("show", "aa"))
        == "aaaa0001"
    )
    assert first(invoke("show", "last~2")) == first(invoke("show", "9")) == "99990000"


def test_show_of_what_is_not_there(store):
    result = invoke("show", "a")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "2 traces: abcd0002, aaaa0001" in result.stderr
    result = invoke("show", "ffff")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "no trace begins with ffff" in result.stderr


@pytest.mark.parametrize("words", [("--format", "json"), ("--format", "ndjson")], ids="/".join)
def test_what_was_exported_can_be_shown(store, tmp_path, words):
    path = tmp_path / "exported"
    assert invoke("export", "last", *words, "-o", str(path)).exit_code == 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    shown = invoke("show", str(path)).stdout
    piped = invoke("show", "-", input=path.read_bytes()).stdout
    assert shown == piped
    assert shown.splitlines()[4:] == invoke("show").stdout.splitlines()[4:]


def test_a_file_is_not_left_readable_for_others(store, tmp_path):
    path = tmp_path / "old.json"
    path.write_text("x")
    path.chmod(0o644)
    assert invoke("export", "last", "-o", str(path)).exit_code == 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_several_traces_are_several_lines(store, tmp_path):
    text = invoke("export", "last", "last~1").stdout
    assert [json.loads(line)["trace_id"] for line in text.splitlines()] == ["abcd0002", "aaaa0001"]
    mixed = '{"type":"armed"}\n' + text + '{"type":"end"}\n'
    assert invoke("show", "-", input=mixed).stdout.count("trace ") == 2
    flat = invoke("export", "last", "last~1", "--format", "ndjson").stdout
    assert invoke("show", "-", input=flat).stdout.count("trace ") == 2


def test_json_over_many_lines_can_be_read(store):
    pretty = json.dumps(json.loads(invoke("show", "--json").stdout), indent=2)
    assert first(invoke("show", "-", input=pretty)) == "abcd0002"


def test_a_file_in_the_working_directory_needs_no_path(store, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "raw").write_bytes(checkout(trace_id="eeee0001"))
    (tmp_path / "aa").write_bytes(checkout(trace_id="eeee0002"))
    assert first(invoke("show", "raw")) == "eeee0001"
    assert first(invoke("show", "aa")) == "aaaa0001"  # what is kept goes before a file of the same name
    assert first(invoke("show", "./aa")) == "eeee0002"


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"{}", b'{"a": 1', b"[]", b"\xff\xfe", b'{"type":"trace","roots":3}']
)
def test_a_file_that_is_no_trace(tmp_path, content):
    path = tmp_path / "some.json"
    path.write_bytes(content)
    for words in (("show", str(path)), ("export", str(path))):
        result = invoke(*words)
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr.startswith(f"tracepatch-ctl: {path} cannot be read: ")
        assert result.stderr.count("\n") == 1


def test_a_file_that_cannot_be_written(store, tmp_path):
    result = invoke("export", "last", "-o", str(tmp_path / "none" / "x.json"))
    assert result.exit_code == 1
    assert "cannot be written: No such file or directory" in result.stderr


def test_tag_rm_and_prune(store):
    assert invoke("tag", "last", "odd").exit_code == 0
    assert first(invoke("show", "last")) == "abcd0002"
    assert invoke("traces", "--tag", "odd").stdout.count("\n") == 2
    assert invoke("prune", "--keep", "1h").stderr == "1 trace removed, 566 B\n"
    gone = invoke("rm", "abcd", "9999", "last", "--json")
    assert gone.exit_code == 0
    assert [json.loads(line)["trace_id"] for line in gone.stdout.splitlines()] == ["abcd0002", "99990000"]
    assert invoke("traces").stderr == "no traces are kept\n"
    assert invoke("rm", "abcd").exit_code == 1
    result = invoke("prune", "--keep", "some")
    assert result.exit_code == 2
    assert "write a number, an age as 7d or a size as 500MiB" in result.stderr


def test_a_store_that_cannot_be_written_can_be_read(store):
    os.chmod(store, 0o400)
    os.chmod(store.parent, 0o500)
    try:
        assert first(invoke("show")) == "abcd0002"
    finally:
        os.chmod(store.parent, 0o700)


@pytest.fixture(scope="module")
def deep(tmp_path_factory):
    path = tmp_path_factory.mktemp("deep") / "deep.bin"
    path.write_bytes(chain(DEPTH))
    return str(path)


def test_a_deep_trace_is_shown_exported_and_loaded(deep, tmp_path):
    nested, flat = str(tmp_path / "deep.json"), str(tmp_path / "deep.ndjson")
    assert ctl("export", deep, "-o", nested).returncode == 0
    assert ctl("export", nested, "--format", "ndjson", "-o", flat).returncode == 0
    for path in (deep, nested, flat):
        shown = ctl("show", path)
        assert (shown.returncode, shown.stderr) == (0, "")
        assert len(shown.stdout.splitlines()) == 4 + DEPTH
        trace = Trace.load(path)
        assert trace.calls == DEPTH
        limit = sys.getrecursionlimit()
        assert max(node.depth for node in trace.nodes()) == DEPTH - 1 > limit


def test_a_stored_tree_in_a_terminal_says_its_id(store, tmp_path):
    env = environment(TRACEPATCH_STORE=str(store), NO_COLOR="1")
    _, shown = terminal("show", "last", "--lines", "1", env=env)
    assert shown.splitlines()[-1] == "`tracepatch-ctl show last --lines all` shows the rest"
