"""How much memory the cgroup leaves, version 2 and 1."""

from __future__ import annotations

from pathlib import Path

import pytest

from tracepatch import room
from tracepatch_shared.errors import NoRoom

MIB = 1 << 20


def write(file: Path, content: object) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"{content}\n")


def left(tmp_path: Path, membership: str) -> int | None:
    write(tmp_path / "cgroup", membership)
    return room.left_bytes(root=str(tmp_path / "fs"), membership=str(tmp_path / "cgroup"))


def test_the_tightest_group_above_counts(tmp_path: Path) -> None:
    fs = tmp_path / "fs"
    write(fs / "pod/app/memory.max", "max")
    write(fs / "pod/app/memory.current", 40 * MIB)
    write(fs / "pod/memory.max", 100 * MIB)
    write(fs / "pod/memory.current", 70 * MIB)
    assert left(tmp_path, "0::/pod/app") == 30 * MIB
    write(fs / "pod/memory.stat", f"anon 5\ninactive_file {20 * MIB}")
    assert left(tmp_path, "0::/pod/app") == 50 * MIB
    write(fs / "pod/app/memory.max", 45 * MIB)
    assert left(tmp_path, "0::/pod/app") == 5 * MIB


def test_version_1(tmp_path: Path) -> None:
    fs = tmp_path / "fs"
    write(fs / "memory/memory.limit_in_bytes", 1 << 63)
    write(fs / "memory/memory.usage_in_bytes", 1)
    assert left(tmp_path, "5:cpu:/x\n4:hugetlb,memory:/not/here\n0::/") is None
    write(fs / "memory/memory.limit_in_bytes", 10 * MIB)
    assert left(tmp_path, "5:cpu:/x\n4:hugetlb,memory:/not/here\n0::/") == 10 * MIB - 1


@pytest.mark.parametrize("membership", ["", "nonsense", "0::/../..", "0::/nowhere"])
def test_what_cannot_be_read_is_no_limit(tmp_path: Path, membership: str) -> None:
    assert left(tmp_path, membership) is None
    assert room.left_bytes(root=str(tmp_path), membership=str(tmp_path / "missing")) is None


def test_arming_needs_twice_the_bytes(tmp_path: Path) -> None:
    write(tmp_path / "cgroup", "0::/")
    write(tmp_path / "fs/memory.max", 100 * MIB)
    write(tmp_path / "fs/memory.current", 40 * MIB)
    where = {"root": str(tmp_path / "fs"), "membership": str(tmp_path / "cgroup")}
    room.check(30 * MIB, **where)
    with pytest.raises(NoRoom, match=r"60\.0 MiB.*32\.0 MiB"):
        room.check(32 * MIB, **where)
