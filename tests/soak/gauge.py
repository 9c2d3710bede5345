"""Memory, descriptors and threads of a process, from outside (Linux)."""

from __future__ import annotations

import os
import statistics
from dataclasses import dataclass, field
from pathlib import Path

PAGE = os.sysconf("SC_PAGE_SIZE")
RESIDENT, BLOCKS = 1, 2
"""Columns of `at_rest`."""


@dataclass
class Gauge:
    """Samples of one process."""

    pid: int
    resident: list[int] = field(default_factory=list)
    """Bytes, at any time."""
    at_rest: list[tuple[float, int, int]] = field(default_factory=list)
    """Seconds, bytes resident, and blocks that its Python objects take: with nothing armed."""

    def sample(self) -> int:
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        self.resident.append(pages * PAGE)
        return self.resident[-1]

    def rest(self, at_s: float, blocks: int) -> None:
        self.at_rest.append((at_s, self.sample(), blocks))

    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def threads(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/task"))

    def growth(self, since_s: float, *, what: int) -> tuple[float, float]:
        """Return how much a column of `at_rest` grows in a second, and over the whole time since then."""
        kept = [(row[0], row[what]) for row in self.at_rest if row[0] >= since_s]
        slope = statistics.linear_regression(*zip(*kept, strict=True)).slope
        return slope, slope * (kept[-1][0] - kept[0][0])
