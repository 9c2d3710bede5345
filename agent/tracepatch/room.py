"""How much memory the process's cgroup has left: arming is refused where a probe could bring the OOM killer."""

from __future__ import annotations

import os

from tracepatch_shared.errors import NoRoom
from tracepatch_shared.text import size

FACTOR = 2
"""The room left must be this many times what the probe may hold."""

_UNLIMITED_BYTES = 1 << 60
"""cgroup v1 writes 'no limit' as a number near 2**63."""


def check(total_bytes: int, *, root: str = "/sys/fs/cgroup", membership: str = "/proc/self/cgroup") -> None:
    """Raise `NoRoom` when the cgroup's limit is nearer than `FACTOR` times the probe's bytes."""
    left = left_bytes(root=root, membership=membership)
    if left is not None and left < FACTOR * total_bytes:
        raise NoRoom(
            f"the memory left in this process's cgroup is {size(max(left, 0))}, less than {FACTOR} times the "
            f"{size(total_bytes)} that the probe may hold: lower --max-bytes or give the process more memory"
        )


def left_bytes(*, root: str = "/sys/fs/cgroup", membership: str = "/proc/self/cgroup") -> int | None:
    """Return the bytes until the tightest memory limit above this process; None where none can be read.

    File pages that nobody used lately do not count: the kernel takes them back first.
    """
    try:
        with open(membership) as lines:
            groups = [line.rstrip("\n").split(":", 2) for line in lines]
    except (OSError, UnicodeDecodeError):
        return None
    rooms: list[int] = []
    for group in groups:
        if len(group) != 3:
            continue
        _, controllers, path = group
        if controllers == "":
            rooms += _rooms(root, path, "memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            base = os.path.join(root, "memory")
            rooms += _rooms(
                base, path, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"
            )
    return min(rooms, default=None)


def _rooms(base: str, path: str, limit_file: str, usage_file: str, cache_field: str) -> list[int]:
    """Return the room in a group and in each one above it that has a limit.

    In a container without a cgroup namespace the path is the host's and does not exist here: the mount's root
    is then the container's own group, and the walk ends there in any case.
    """
    rooms: list[int] = []
    parts = [part for part in path.split("/") if part and part != ".."]
    while True:
        folder = os.path.join(base, *parts)
        limit, usage = _number(os.path.join(folder, limit_file)), _number(os.path.join(folder, usage_file))
        if limit is not None and usage is not None and limit < _UNLIMITED_BYTES:
            rooms.append(limit - usage + _cache(os.path.join(folder, "memory.stat"), cache_field))
        if not parts:
            return rooms
        parts.pop()


def _number(file: str) -> int | None:
    try:
        with open(file) as text:
            return int(text.read())
    except (OSError, ValueError):
        return None


def _cache(file: str, field: str) -> int:
    try:
        with open(file) as lines:
            for line in lines:
                name, _, count = line.partition(" ")
                if name == field:
                    return int(count)
    except (OSError, ValueError):
        pass
    return 0
