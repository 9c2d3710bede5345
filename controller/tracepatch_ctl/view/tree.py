"""A trace's tree on the command's output: coloured where rich and a terminal are there, cut where it is a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from tracepatch_shared.render import draw

if TYPE_CHECKING:
    from tracepatch_shared.tree import Trace

TERMINAL_LINES = 200
"""Lines of one tree in a terminal, unless the user says otherwise."""

_HEAD_LINES = 4
"""What `draw` yields before the tree."""

_STYLES = {
    "head": "bold",
    "dim": "dim",
    "time": "cyan",
    "wait": "dim cyan",
    "guide": "dim",
    "module": "dim",
    "function": "bold",
    "args": "default",
    "value": "green",
    "error": "bold red",
    "open": "yellow",
    "branch": "magenta",
    "note": "dim italic",
}

Paint = Callable[[str, str], str]
"""From a style of `draw` and a text to what is printed."""


def painter(colour: bool) -> Paint:
    """Return what paints a span: rich where colour is wanted and rich is installed, else plain text."""
    if not colour:
        return _plain
    try:
        from rich.color import ColorSystem
        from rich.console import Console
        from rich.style import Style
    except ImportError:
        return _plain
    if Console().color_system is None:
        return _plain
    styles = {name: Style.parse(text) for name, text in _STYLES.items()}

    def paint(style: str, text: str) -> str:
        found = styles.get(style)
        return (
            text
            if found is None or not text.strip()
            else found.render(text, color_system=ColorSystem.STANDARD)
        )

    return paint


def _plain(style: str, text: str) -> str:  # noqa: ARG001
    return text


def tree(trace: Trace, *, paint: Paint, ascii: bool, max_lines: int | None, rest: str) -> Iterator[str]:
    """Yield the lines of a trace, each with its end; `rest` is the line that says how to see what `max_lines` cut."""
    cut = False
    for place, line in enumerate(draw(trace, ascii=ascii, max_lines=max_lines)):
        if max_lines is not None and place == _HEAD_LINES + max_lines and line:
            cut = True
        yield "".join([paint(style, text) for style, text in line]) + "\n"
    if cut:
        yield paint("note", rest) + "\n"
