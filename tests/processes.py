"""Real processes for tests, and waiting for what they do. Nothing here sleeps for a fixed time to let things happen."""

from __future__ import annotations

import contextlib
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

ROOT = Path(__file__).resolve().parent.parent
TARGETS = Path(__file__).resolve().parent / "targets"


def wait_for(predicate: Callable[[], T], timeout: float = 10.0, *, what: str = "") -> T:
    """Return the first true result of `predicate`; fail when there is none within `timeout` seconds."""
    deadline = time.monotonic() + timeout
    pause = 0.002
    while True:
        result = predicate()
        if result:
            return result
        if time.monotonic() > deadline:
            raise AssertionError(
                f"not within {timeout:g} s: {what or getattr(predicate, '__name__', predicate)}; last: {result!r}"
            )
        time.sleep(pause)
        pause = min(pause * 1.5, 0.05)


class Process:
    """A child process whose output is read as it comes. `lines` and `errors` grow; `terminate` always works."""

    def __init__(
        self, command: Sequence[str], *, env: Mapping[str, str] | None = None, cwd: str | Path | None = None
    ) -> None:
        self.child = subprocess.Popen(
            list(command),
            env=dict(os.environ if env is None else env),
            cwd=cwd,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
        self.lines: list[str] = []
        self.errors: list[str] = []
        self._fresh: queue.Queue[str | None] = queue.Queue()
        self._readers = [
            threading.Thread(target=self._read, args=(self.child.stdout, self.lines, True), daemon=True),
            threading.Thread(target=self._read, args=(self.child.stderr, self.errors, False), daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    def _read(self, stream, lines: list[str], announce: bool) -> None:
        with stream:
            for line in stream:
                lines.append(line.rstrip("\n"))
                if announce:
                    self._fresh.put(lines[-1])
        if announce:
            self._fresh.put(None)

    @property
    def pid(self) -> int:
        return self.child.pid

    @property
    def stderr(self) -> str:
        return "\n".join(self.errors)

    def line(self, timeout: float = 20.0) -> str:
        """Return the next line of standard output."""
        try:
            line = self._fresh.get(timeout=timeout)
        except queue.Empty:
            raise AssertionError(f"no line within {timeout:g} s; standard error:\n{self.stderr}") from None
        if line is None:
            self.child.wait(5)
            raise AssertionError(f"it ended with {self.child.returncode}; standard error:\n{self.stderr}")
        return line

    def expect(self, text: str, timeout: float = 20.0) -> str:
        """Return the next line of standard output that contains `text`."""
        deadline = time.monotonic() + timeout
        while True:
            line = self.line(max(0.01, deadline - time.monotonic()))
            if text in line:
                return line

    def tell(self, line: str) -> None:
        """Write a line to its standard input."""
        assert self.child.stdin is not None
        self.child.stdin.write(line + "\n")
        self.child.stdin.flush()

    def signal(self, number: int) -> None:
        self.child.send_signal(number)

    def wait(self, timeout: float = 20.0) -> int:
        """Wait for its end and for the rest of its output; return the exit code."""
        try:
            code = self.child.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(
                f"still running after {timeout:g} s; standard error:\n{self.stderr}"
            ) from None
        for reader in self._readers:
            reader.join(5)
        return code

    def kill(self) -> None:
        """SIGKILL it and reap it; nothing when it has ended."""
        if self.child.poll() is None:
            self.child.kill()
        with contextlib.suppress(OSError):
            if self.child.stdin:
                self.child.stdin.close()
        self.wait()

    def stop(self) -> None:
        """Stop it (SIGSTOP) and wait until it has stopped."""
        self.signal(signal.SIGSTOP)
        if sys.platform.startswith("linux"):
            wait_for(lambda: _state(self.pid) == "T", what="stopped")

    def resume(self) -> None:
        self.signal(signal.SIGCONT)


@contextlib.contextmanager
def process(
    command: Sequence[str], *, env: Mapping[str, str] | None = None, cwd: str | Path | None = None
) -> Iterator[Process]:
    """Run a command; it is killed when the block ends."""
    running = Process(command, env=env, cwd=cwd)
    try:
        yield running
    finally:
        running.kill()


@contextlib.contextmanager
def python_process(
    script: str | Path, *args: str, env: Mapping[str, str] | None = None, cwd: str | Path | None = None
) -> Iterator[Process]:
    """Run Python on a file (`Path`), or on a program text (`str`), unbuffered; killed when the block ends.

    `env` is added to this process's environment.
    """
    what = [str(script)] if isinstance(script, Path) else ["-c", script]
    command = [sys.executable, "-u", *what, *args]
    with process(command, env={**os.environ, **(env or {})}, cwd=cwd) as running:
        yield running


@contextlib.contextmanager
def short_directory() -> Iterator[Path]:
    """A directory whose path leaves room for a socket's name (`sun_path` has 108 bytes), removed afterwards."""
    path = Path(tempfile.mkdtemp(prefix="tpt-", dir="/tmp"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""
