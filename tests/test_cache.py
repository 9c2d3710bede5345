"""The folder of traces beside an application."""

from __future__ import annotations

import os
import stat

import pytest

from tracepatch import cache


def test_files_and_folder_are_the_owner_s_only(tmp_path):
    path = cache.save(tmp_path, "a b/c" + "ü" * 300, ["{", "}"])
    assert path.read_text() == "{}"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert path.name.endswith("_a_b_c" + "_" * 55 + ".json")
    assert (path.parent / ".gitignore").read_text().splitlines()[-1] == "*"
    assert "tracepatch" in (path.parent / "README").read_text()


def test_the_oldest_go(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "MAX_FILES", 3)
    names = [cache.save(tmp_path, None, ["{}"]).name for _ in range(5)]
    folder = tmp_path / cache.FOLDER
    (folder / "notes.json").write_text("mine")
    cache.save(tmp_path, None, ["{}"])
    left = sorted(name for name in os.listdir(folder) if name.startswith("trace_"))
    assert len(left) == 3
    assert left[:2] == names[3:]
    assert (folder / "notes.json").exists()


def test_the_bytes_are_bounded_and_the_newest_stays(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "MAX_BYTES", 1000)
    for _ in range(5):
        last = cache.save(tmp_path, None, ["x" * 400])
    assert len(list(last.parent.glob("trace_*"))) == 2
    huge = cache.save(tmp_path, None, ["x" * 5000])
    assert list(huge.parent.glob("trace_*")) == [huge]


def test_a_link_is_neither_followed_nor_counted(tmp_path):
    target = tmp_path / "elsewhere"
    target.write_text("keep")
    folder = cache.save(tmp_path, None, ["{}"]).parent
    (folder / "trace_0.json").symlink_to(target)
    for _ in range(3):
        cache.save(tmp_path, None, ["{}"])
    assert target.read_text() == "keep"


def test_a_failed_write_leaves_nothing(tmp_path):
    def pieces():
        yield "{"
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError):
        cache.save(tmp_path, None, pieces())
    assert list((tmp_path / cache.FOLDER).glob("trace_*")) == []


def test_entries_pass_over_what_is_no_trace(tmp_path):
    assert list(cache.entries(tmp_path, 5)) == []
    folder = cache.save(tmp_path, None, ['{"label": "\\"trace\\":", "call_count": 3, "trace": [']).parent
    (folder / "trace_0.json").write_text("not json")
    (folder / "trace_1.json").write_text("[1]")
    (folder / "trace_2.json").write_text('{"trace": [], "label": "late"}')
    entries = list(cache.entries(tmp_path, 50))
    assert [entry["label"] for entry in entries] == ['"trace":', None]
    assert entries[0]["call_count"] == 3
    assert list(cache.entries(tmp_path, 0)) == []


@pytest.mark.parametrize(
    ("text", "on"), [("0", False), ("no", False), ("OFF", False), ("", True), ("1", True)]
)
def test_the_switch(monkeypatch, text, on):
    monkeypatch.setenv("TRACEPATCH_CACHE", text)
    assert cache.enabled() is on
