"""Aligned columns of plain text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence


def table(names: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield a line of names and one of each row; columns in which nothing stands are left out."""
    used = [place for place in range(len(names)) if any(row[place] for row in rows)]
    widths = {place: max(len(names[place]), *(len(row[place]) for row in rows)) for place in used}
    for cells in ([name.upper() for name in names], *rows):
        yield "  ".join(cells[place].ljust(widths[place]) for place in used).rstrip()
