"""The store: what it keeps, how traces are found, and files that it must not touch."""

from __future__ import annotations

import os
import sqlite3
import stat
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tracepatch_ctl.store import SCHEMA, Entry, Store, location
from tracepatch_shared.errors import StoreError, TracepatchError, UsageError


def entry(trace_id: str, **changes: object) -> Entry:
    usual = Entry(
        trace_id=trace_id, probe_id="cafe0001", target="m:f", task="m:f", service="shop", host="web-1", pid=7,
        started_at_ns=time.time_ns(), duration_ns=5, status="complete", reason=None, calls=1, tag=None,
    )  # fmt: skip
    return replace(usual, **changes)  # type: ignore[arg-type]


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path / "state" / "tracepatch" / "traces.db") as opened:
        yield opened


def test_a_trace_comes_back_as_it_was(store):
    kept = store.add(entry("aaaa0001", tag="slow"), b"\x90stream\0", arm=store.begin_arm("m:f"))
    assert store.stream(kept) == b"\x90stream\0"
    assert (kept.position, kept.bytes, kept.tag) == (1, 8, "slow")
    assert store.entries() == [kept]


def test_files_are_for_their_owner_only(store):
    store.add(entry("aaaa0001"), b"x", arm=1)
    for path in (store.path, *store.path.parent.glob("traces.db-*")):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    for folder in (store.path.parent, store.path.parent.parent):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_the_same_trace_twice_is_one_and_keeps_its_place(store):
    arm = store.begin_arm("m:f")
    store.add(entry("aaaa0001"), b"short", arm=arm)
    store.add(entry("bbbb0001"), b"b", arm=arm)
    again = store.add(entry("aaaa0001"), b"longer", arm=store.begin_arm("collect"))
    assert store.stream(again) == b"longer"
    assert (again.arm, again.position) == (arm, 1)
    assert [one.trace_id for one in store.entries()] == ["bbbb0001", "aaaa0001"]


def test_references(store):
    first, second = store.begin_arm("a"), store.begin_arm("b")
    store.add(entry("12ab0000"), b"", arm=first)
    for trace_id in ("aaaa0001", "aabb0002", "99990003"):
        store.add(entry(trace_id), b"", arm=second)

    def found(reference: str) -> str:
        return store.find(reference).trace_id

    assert found("") == found("last") == found("last~0") == "99990003"
    assert found("last~1") == "aabb0002"
    assert found("1") == "aaaa0001"
    assert found("3") == "99990003"
    assert found("9999") == "99990003"  # no such place in the last arm: the beginning of an id
    assert found("AAAA") == "aaaa0001"
    assert found("12ab0000") == "12ab0000"
    with pytest.raises(UsageError, match="2 traces: aabb0002, aaaa0001"):
        store.find("aa")
    with pytest.raises(TracepatchError, match="no trace begins with dddd"):
        store.find("dddd")
    with pytest.raises(TracepatchError, match="4 traces are kept"):
        store.find("last~4")
    with pytest.raises(UsageError, match="is no trace: give an id"):
        store.find("trace!")


def test_prune_keeps_what_it_says_and_what_is_tagged(store):
    now = time.time_ns()
    for age_days, trace_id in enumerate(("dddd0004", "cccc0003", "bbbb0002", "aaaa0001")[::-1]):
        day = 3 - age_days
        tag = "keep" if trace_id == "aaaa0001" else None
        store.add(entry(trace_id, started_at_ns=now - day * 86_400 * 10**9, tag=tag), b"x" * 1000, arm=1)
    assert [one.trace_id for one in store.prune(age_s=1.5 * 86_400)] == ["bbbb0002"]
    assert [one.trace_id for one in store.prune(size_bytes=1000)] == ["cccc0003"]
    assert store.prune(count=1) == []
    assert [one.trace_id for one in store.entries()] == ["dddd0004", "aaaa0001"]


def test_pruning_gives_room_back(store):
    store.add(entry("aaaa0001"), os.urandom(1 << 20), arm=1)
    store.add(entry("bbbb0002"), b"x", arm=1)
    store.prune(count=1)
    store.close()
    assert store.path.stat().st_size < 1 << 18


def test_an_arm_number_is_never_used_twice(tmp_path):
    with Store.open(tmp_path / "t.db") as one, Store.open(tmp_path / "t.db") as other:
        assert one.begin_arm("a") != other.begin_arm("b")
        one.add(entry("aaaa0001"), b"", arm=1)
        assert [found.trace_id for found in other.entries()] == ["aaaa0001"]


@pytest.mark.parametrize("content", [b"hello, world", b"\x90\x91\x92" * 100], ids=["text", "bytes"])
def test_a_foreign_file_is_left_alone(tmp_path, content):
    path = tmp_path / "notes"
    path.write_bytes(content)
    for opening in (Store.open, Store.read):
        with pytest.raises(StoreError, match="is no trace store"):
            opening(path)
    assert path.read_bytes() == content
    assert [one.name for one in tmp_path.iterdir()] == ["notes"]


def test_a_database_of_others_is_left_alone(tmp_path):
    path = tmp_path / "app.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE users (name TEXT)")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match="no trace store"):
        Store.open(path)
    assert path.read_bytes() == before


def test_a_newer_schema_is_left_alone(tmp_path):
    path = tmp_path / "t.db"
    Store.open(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA + 1}")
    connection.close()
    before = path.read_bytes()
    for opening in (Store.open, Store.read):
        with pytest.raises(StoreError, match="written by a newer tracepatch"):
            opening(path)
    assert path.read_bytes() == before


def test_a_locked_store_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr("tracepatch_ctl.store.BUSY_S", 0.05)
    path = tmp_path / "t.db"
    Store.open(path).close()
    blocker = sqlite3.connect(path, isolation_level=None)
    blocker.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StoreError, match="locked"):
        Store.open(path)
    blocker.close()


def test_a_full_disk_loses_nothing_that_was_kept(store):
    store.add(entry("aaaa0001"), b"kept", arm=1)
    pages = store._connection.execute("PRAGMA page_count").fetchone()[0]
    store._connection.execute(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(StoreError, match="full"):
        store.add(entry("bbbb0002"), b"x" * 100_000, arm=1)
    assert [one.trace_id for one in store.entries()] == ["aaaa0001"]
    store.add(entry("cccc0003"), b"small", arm=1)


def test_reading_makes_no_file(tmp_path):
    with pytest.raises(StoreError, match="no traces are kept yet"):
        Store.read(tmp_path / "none.db")
    assert not list(tmp_path.iterdir())


def test_where_it_is():
    assert location({"TRACEPATCH_STORE": "here.db", "HOME": "/h"}) == (Path("here.db"), True)
    assert location({"XDG_STATE_HOME": "/x", "HOME": "/h"}) == (Path("/x/tracepatch/traces.db"), False)
    assert location({"XDG_STATE_HOME": "relative", "HOME": "/h"})[0] == Path(
        "/h/.local/state/tracepatch/traces.db"
    )
    with pytest.raises(StoreError, match="only a path"):
        location({"TRACEPATCH_STORE": "postgresql://db/traces"})


def test_a_user_without_a_home(monkeypatch):
    import pwd

    def nobody(uid: int) -> None:
        raise KeyError(uid)

    monkeypatch.setattr(pwd, "getpwuid", nobody)
    monkeypatch.delenv("HOME", raising=False)
    for environ in ({}, {"HOME": ""}, {"HOME": "relative"}):
        with pytest.raises(StoreError, match="no home folder"):
            location(environ)
