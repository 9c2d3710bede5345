"""Where the agent can be reached: the folder, the socket, the file; and what happens where there is no such place."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from agent_helpers import cards, host, log_line, peer
from processes import python_process, short_directory, wait_for
from tracepatch.endpoint import Unreachable, Waker, prepare_folder, write_whole

START = """
import logging, os, sys
import tracepatch
logging.basicConfig(level=logging.INFO, format="%(name)s %(levelname)s %(message)s")
agent = tracepatch.start(service="x")
print("started", agent.state, agent.endpoint, flush=True)
print("problem", agent.problem, flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def folder():
    with short_directory() as directory:
        yield directory


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def test_socket_and_file_are_for_this_user_only(runtime_dir) -> None:
    with host(runtime_dir) as (program, endpoint):
        path = Path(endpoint.removeprefix("ipc://"))
        assert mode(path) == 0o600
        assert mode(path.with_suffix(".json")) == 0o600
        assert list(cards(runtime_dir)) == [path.stem]
        assert len(path.stem) == 12
        program.tell("stop")
        assert program.expect("stopped") == "stopped disabled"
        assert os.listdir(runtime_dir) == []


def test_the_folder_is_made(folder) -> None:
    prepare_folder(str(folder / "a" / "b"))
    assert mode(folder / "a" / "b") == 0o700
    prepare_folder(str(folder / "a" / "b"))


def test_a_symbolic_link_is_refused(folder) -> None:
    (folder / "real").mkdir(mode=0o700)
    (folder / "link").symlink_to(folder / "real")
    with pytest.raises(Unreachable, match="symbolic link"):
        prepare_folder(str(folder / "link"))


def test_a_dangling_link_is_refused(folder) -> None:
    (folder / "link").symlink_to(folder / "nowhere")
    with pytest.raises(Unreachable, match="symbolic link"):
        prepare_folder(str(folder / "link"))


def test_a_file_is_refused(folder) -> None:
    (folder / "file").touch()
    with pytest.raises(Unreachable, match="not a folder"):
        prepare_folder(str(folder / "file"))


@pytest.mark.parametrize("open_to", [0o020, 0o002, 0o077])
def test_a_folder_that_others_may_write_is_refused_or_put_right(folder, open_to: int) -> None:
    (folder / "d").mkdir()
    (folder / "d").chmod(0o700 | open_to)
    with pytest.raises(Unreachable, match="chmod 700"):
        prepare_folder(str(folder / "d"))
    prepare_folder(str(folder / "d"), ours=True)
    assert mode(folder / "d") == 0o700


def test_a_folder_of_somebody_else_is_refused(folder) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can make one")
    (folder / "d").mkdir(mode=0o700)
    os.chown(folder / "d", 12345, -1)
    with pytest.raises(Unreachable, match="belongs to uid 12345"):
        prepare_folder(str(folder / "d"))


def test_a_file_appears_whole_or_not_at_all(folder, monkeypatch: pytest.MonkeyPatch) -> None:
    target = folder / "f"
    write_whole(str(target), b"abc")
    assert (target.read_bytes(), mode(target)) == (b"abc", 0o600)

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_whole(str(folder / "g"), b"abc")
    assert sorted(os.listdir(folder)) == ["f"]


@pytest.mark.parametrize("case", ["a file in the way", "too long", "a link", "others may write"])
def test_the_application_runs_on_where_no_folder_can_be_used(folder, case: str) -> None:
    runtime = folder / "d"
    if case == "a file in the way":
        (folder / "file").touch()
        runtime = folder / "file" / "d"
    elif case == "too long":
        runtime = folder / ("x" * 100)
    elif case == "a link":
        runtime.symlink_to("/tmp")
    else:
        runtime.mkdir()
        runtime.chmod(0o777)
    with python_process(START, env={"TRACEPATCH_RUNTIME_DIR": str(runtime)}) as program:
        assert program.expect("started") == "started disabled None"
        assert program.expect("problem") != "problem None"
        line = log_line(program, "cannot be reached, the application runs on")
        assert line.startswith("tracepatch WARNING ")
        program.tell("")
        assert program.wait() == 0
        assert len(program.errors) == 1


def test_a_dead_agents_files_hinder_nobody(runtime_dir) -> None:
    with host(runtime_dir) as (program, endpoint):
        program.child.kill()
        program.wait()
        assert len(os.listdir(runtime_dir)) == 2
        with host(runtime_dir) as (_, other), peer(other) as connected:
            assert connected.ask("hello")["agent"]["state"] == "dormant"
            assert other != endpoint


def test_wake_ups_are_one_and_never_block() -> None:
    waker = Waker()
    try:
        for _ in range(100_000):
            waker.wake()
        assert os.read(waker.fileno(), 100) == b"\0"
        waker.wake()
        with pytest.raises(BlockingIOError):
            os.read(waker.fileno(), 1)
        waker.clear()
        waker.wake()
        assert os.read(waker.fileno(), 100) == b"\0"
    finally:
        waker.close()


def test_the_default_folder_is_found_without_any_environment() -> None:
    program = (
        "import tracepatch.endpoint as e, os; print(e.default_folder() == f'/tmp/tracepatch-{os.geteuid()}')"
    )
    with python_process(program, env={"XDG_RUNTIME_DIR": "/nowhere", "TMPDIR": "/nowhere"}) as started:
        assert started.line() == "True"
        wait_for(lambda: started.child.poll() == 0)
