"""Where the command line writes: results on standard output, everything else on standard error.

Readable whatever is at the other end: a pipe that closes early ends quietly, text that the stream cannot encode is
escaped, and a terminal without cursor movement, `NO_COLOR` or a pipe gets plain lines.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterable, Mapping
from typing import IO, Any

from tracepatch_shared.errors import TracepatchError
from tracepatch_shared.showing import escape

_ASCII = str.maketrans({"·": "-", "µ": "u", "…": "...", "–": "-", "→": "->", "×": "x", "—": "-"})

_encode = json.JSONEncoder(separators=(",", ":")).encode

_INDENTED = "\n    "

STATUS_EVERY_S = 10.0
"""Where a line cannot be rewritten, a changed status is said this often."""


class PipeClosed(Exception):
    """Whoever read standard output has gone; nothing more can be said there."""


class Output:
    """One command's output. Not for several threads."""

    def __init__(self, *, as_json: bool = False, environ: Mapping[str, str] = os.environ) -> None:
        self.as_json = as_json
        self.closed = False
        """Standard output is gone; what is printed goes nowhere."""
        self.stdout: IO[str] = sys.stdout
        self.stderr: IO[str] = sys.stderr
        for stream in (self.stdout, self.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="backslashreplace")
        dumb = environ.get("TERM") == "dumb"
        self.terminal = _is_terminal(self.stdout)
        self.colour = self.terminal and not dumb and not environ.get("NO_COLOR")
        self.ascii = not _encodes(self.stdout)
        self._plain_stderr = not _encodes(self.stderr)
        self._rewrites = _is_terminal(self.stderr) and not dumb
        self._status = ""
        self._status_at = time.monotonic()

    def line(self, text: str = "") -> None:
        """Print one line of the result."""
        self.write(text + "\n")

    def write(self, *pieces: str) -> None:
        """Print pieces of the result; raise `PipeClosed` the first time that nobody reads."""
        if self.closed:
            return
        self.clear()
        try:
            for piece in pieces:
                self.stdout.write(piece.translate(_ASCII) if self.ascii else piece)
            if self.terminal:
                self.stdout.flush()
        except OSError as error:
            raise self._close(error) from None

    def flush(self) -> None:
        """Hand over what was printed: a reader sees each trace when it ends, not when a buffer is full."""
        if self.closed:
            return
        try:
            self.stdout.flush()
        except OSError as error:
            raise self._close(error) from None

    def _close(self, error: OSError) -> Exception:
        """Return what to raise: nobody reads, or what is printed does not fit where it should go."""
        self.closed = True
        try:
            # The interpreter flushes at exit and would complain: let it write into nothing.
            nothing = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nothing, self.stdout.fileno())
            os.close(nothing)
        except (OSError, ValueError):
            pass
        if isinstance(error, BrokenPipeError):
            return PipeClosed()
        return TracepatchError(f"standard output cannot be written: {error.strerror or error}")

    def object(self, form: Mapping[str, Any]) -> None:
        """Print one object a line; it carries its `type`."""
        self.write(_encode(form) + "\n")
        self.flush()

    def pieces(self, pieces: Iterable[str]) -> None:
        """Print a text that comes in pieces, at the speed of the reader."""
        for piece in pieces:
            self.write(piece)
        self.flush()

    def say(self, text: str) -> None:
        """Tell the operator something on standard error; what processes send must not steer a terminal.

        It is one line; further ones have to be indented, as the two with the caret under a condition are.
        """
        self.clear()
        self._tell(_INDENTED.join(map(escape, text.split(_INDENTED))) + "\n")

    def status(self, text: str, *, changed: bool) -> None:
        """Show where things stand: rewrite one line, or say it now and then where that is not possible.

        `changed` is false where only the clock went on.
        """
        if self._rewrites:
            if text != self._status:
                self._tell(f"\r\x1b[K{_fit(text)}")
                self._status = text
        elif changed and time.monotonic() - self._status_at >= STATUS_EVERY_S:
            self._status_at = time.monotonic()
            self._tell(text + "\n")

    def screen(self, lines: list[str], height: int) -> int:
        """Draw `lines` over the `height` lines drawn before and return how many there are now; only where it can."""
        if not self._rewrites:
            return 0
        self.clear()
        up = f"\x1b[{height}A" if height else ""
        self._tell(f"\r{up}\x1b[J" + "".join(f"{_fit(line)}\n" for line in lines))
        return len(lines)

    @property
    def rewrites(self) -> bool:
        """Whether lines on standard error can be rewritten."""
        return self._rewrites

    def clear(self) -> None:
        """Take the status line away."""
        if self._status:
            self._status = ""
            self._tell("\r\x1b[K")

    def error(self, problem: TracepatchError) -> None:
        """Say an error: one sentence on standard error, and an object where objects are asked for."""
        if self.as_json:
            self.object({"type": "error", "code": problem.code, "message": str(problem)})
        self.say(f"tracepatch-ctl: {problem}")

    def _tell(self, text: str) -> None:
        try:
            self.stderr.write(text.translate(_ASCII) if self._plain_stderr else text)
            self.stderr.flush()
        except (OSError, ValueError):
            pass  # nobody listens: what is done does not depend on it


def columns() -> int:
    """Return the terminal's width, 80 where there is none."""
    try:
        return os.get_terminal_size(2).columns or 80
    except OSError:
        return 80


def rows() -> int:
    """Return the terminal's height, 24 where there is none."""
    try:
        return os.get_terminal_size(2).lines or 24
    except OSError:
        return 24


def _fit(text: str) -> str:
    width = columns() - 1
    return text if len(text) <= width else text[: width - 1] + "…"


def _is_terminal(stream: IO[str]) -> bool:
    try:
        return stream.isatty()
    except (AttributeError, ValueError):
        return False


def _encodes(stream: IO[str]) -> bool:
    try:
        "·µ├└│…".encode(getattr(stream, "encoding", None) or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
