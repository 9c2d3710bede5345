"""How tables look on a terminal."""

from __future__ import annotations

from collections.abc import Sequence

FIRST = 31

lines: list[str] = []
"""All that was printed, for the summary and the README."""


class Table:
    """A table that is printed row by row, as it is measured."""

    def __init__(self, title: str, *columns: str) -> None:
        self._widths = [max(9, len(column) + 2) for column in columns]
        say("")
        self.row(title, *columns)

    def row(self, name: str, *cells: str) -> None:
        """Print one line."""
        line = f"{name:{FIRST}}"
        for cell, width in zip(cells, self._widths, strict=True):
            line += f"{cell:>{width}}"
        say(line)


def say(line: str) -> None:
    """Print a line and keep it."""
    print(line, flush=True)
    lines.append(line.rstrip())


def markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a Markdown table."""
    return [f"| {' | '.join(row)} |" for row in (columns, ["---"] * len(columns), *rows)]
