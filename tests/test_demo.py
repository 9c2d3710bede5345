"""The demo shows the main job and leaves nothing behind, however it ends."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from processes import short_directory
from tracepatch_ctl.cli import demo

DEMO = [sys.executable, "-m", "tracepatch_ctl", "demo"]


@pytest.fixture
def scratch() -> Iterator[Path]:
    """The folder for temporary files that a demo is given: nothing may be in it at the end."""
    with short_directory() as path:
        folder = path / "tmp"
        folder.mkdir()
        yield folder


def environment(scratch: Path) -> dict[str, str]:
    ours = {name: value for name, value in os.environ.items() if not name.startswith("TRACEPATCH_")}
    return {
        **ours,
        "TMPDIR": str(scratch),
        "HOME": str(scratch.parent),
        "NO_COLOR": "1",
        "PYTHONUNBUFFERED": "1",
    }


def wait_for(condition: Callable[[], object], timeout_s: float = 20.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        threading.Event().wait(0.02)


def shops(scratch: Path) -> list[int]:
    """Processes that were given this folder for temporary files."""
    mark = f"TMPDIR={scratch}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and mark in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
        except OSError:
            continue
    return found


needs_proc = pytest.mark.skipif(
    not Path("/proc/self/environ").exists(), reason="looks for processes in /proc"
)


def nothing_left(scratch: Path) -> bool:
    return not list(scratch.iterdir()) and not (Path("/proc/self/environ").exists() and shops(scratch))


def test_demo_shows_the_main_job(scratch: Path) -> None:
    done = subprocess.run(
        DEMO,
        env=environment(scratch),
        cwd=scratch.parent,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    shown = done.stdout + done.stderr
    assert done.returncode == 0, shown
    for words in (
        "$ tracepatch-ctl arm shop.app:checkout -n 1",  # as an operator would type it
        "checkout(",  # the request's function with its arguments
        "basket",
        "charge(",  # inside it
        '"paid"',  # a return value
        "redacted",
        "wait",  # the time that the bank takes
        "DeclinedError",  # the failing one
        "HTTPException",
        "clean",  # the proof
    ):
        assert words in shown, f"{words} is not in\n{shown}"
    for words in (*demo.SECRETS.values(), "a bug in tracepatch", "Traceback", "unreadable"):
        assert words not in shown
    assert nothing_left(scratch)


def test_demo_takes_another_port_when_its_own_is_taken_and_two_run_at_once(scratch: Path) -> None:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("127.0.0.1", demo.PORT))
            taken.listen()
        except OSError:
            pass  # somebody else has it: taken all the same
        both = [
            subprocess.Popen(
                DEMO, env=environment(scratch), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            )
            for _ in range(2)
        ]
        outputs = [process.communicate(timeout=120)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], "\n".join(outputs)
    ports = [re.findall(r"http://127\.0\.0\.1:(\d+)", output)[0] for output in outputs]
    assert len({str(demo.PORT), *ports}) == 3
    assert nothing_left(scratch)


STEPS = (
    "",
    "as process",
    "$ tracepatch-ctl agents",
    "$ tracepatch-ctl arm",
    "charge(",
    "$ tracepatch-ctl status",
)
"""What was printed last when the demo is killed; nothing: before the shop has started."""


def until(process: subprocess.Popen[str], words: str) -> Iterator[str]:
    assert process.stdout is not None
    for line in process.stdout:
        yield line
        if words in line:
            return
    raise AssertionError(f"the demo ended before it showed {words}")


@needs_proc
@pytest.mark.parametrize("step", STEPS)
def test_demo_killed_at_any_step_leaves_nothing(step: str, scratch: Path) -> None:
    with subprocess.Popen(
        DEMO, env=environment(scratch), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        if step:
            assert list(until(process, step))
        else:
            wait_for(lambda: len(shops(scratch)) > 1)
        process.kill()
        wait_for(lambda: nothing_left(scratch))


@needs_proc
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, -signal.SIGTERM)])
def test_demo_ends_on_a_signal_and_leaves_nothing(number: signal.Signals, code: int, scratch: Path) -> None:
    with subprocess.Popen(
        DEMO, env=environment(scratch), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert list(until(process, "$ tracepatch-ctl arm"))
        process.send_signal(number)
        output, _ = process.communicate(timeout=30)
        assert process.returncode == code, output
        assert "Traceback" not in output
        wait_for(lambda: nothing_left(scratch))


def test_without_a_web_framework_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    from tracepatch_shared.errors import TracepatchError

    monkeypatch.setattr(demo, "find_spec", lambda name: None)
    with pytest.raises(
        TracepatchError, match=r"fastapi and uvicorn and python-multipart.*make demo.*pip install"
    ):
        demo.run()


def test_a_shop_that_cannot_start_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from tracepatch_shared.errors import TracepatchError

    package = tmp_path / "shop"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text("raise SystemExit(7)")
    monkeypatch.setattr(demo, "shop_folder", lambda: tmp_path)
    with pytest.raises(TracepatchError, match=r"exit code 7"):
        demo.run()
