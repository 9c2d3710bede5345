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
    at_rest: list[tuple[float, int, int, int]] = field(default_factory=list)
    """Seconds, bytes resident, blocks that its Python objects take, rounds done: with nothing armed."""

    def sample(self) -> int:
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        self.resident.append(pages * PAGE)
        return self.resident[-1]

    def rest(self, at_s: float, blocks: int, rounds: int) -> None:
        self.at_rest.append((at_s, self.sample(), blocks, rounds))

    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def threads(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/task"))

    def series(self) -> str:
        """Return what happened between rests: MB, thousands of blocks, rounds a second."""
        pairs = zip(self.at_rest, self.at_rest[1:], strict=False)
        return " ".join(
            f"{new[1] / 1e6:.0f}/{new[2] / 1e3:.0f}/{(new[3] - old[3]) / (new[0] - old[0]):.0f}"
            for old, new in pairs
        )

    def growth(self, since_s: float, *, what: int) -> tuple[float, float]:
        """Return how much a column of `at_rest` grows in a second, and over the whole time since then."""
        kept = [(row[0], row[what]) for row in self.at_rest if row[0] >= since_s]
        if len(kept) < 2:
            return 0.0, 0.0
        slope = statistics.linear_regression(*zip(*kept, strict=True)).slope
        return slope, slope * (kept[-1][0] - kept[0][0])
