"""Where agents are found, and that nothing else is touched."""

from __future__ import annotations

import json
import os
import shutil
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from fake_agent import FakeAgent
from processes import ROOT, process, python_process, short_directory, wait_for
from tracepatch_ctl import discovery, namespaces
from tracepatch_ctl.client import Client
from tracepatch_ctl.discovery import Search, runtime_directory
from tracepatch_ctl.sockets import SUN_PATH, Address, knock

Start = Callable[..., FakeAgent]

needs_root = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root: other users and mount namespaces"
)
needs_linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc of Linux")

OLD = 100.0


def stale_socket(directory: Path, agent_id: str) -> Path:
    """Leave a socket behind as a killed process does, with its file of particulars."""
    path = directory / f"{agent_id}.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
        left.listen()
    (directory / f"{agent_id}.json").write_text("{}")
    os.utime(path, (time.time() - OLD,) * 2)
    return path


def test_nothing_but_the_variable_moves_the_directory(monkeypatch):
    monkeypatch.delenv("TRACEPATCH_RUNTIME_DIR", raising=False)
    for name in ("XDG_RUNTIME_DIR", "TMPDIR", "HOME", "USER"):
        monkeypatch.setenv(name, "/somewhere/else")
    assert runtime_directory() == f"/tmp/tracepatch-{os.geteuid()}"
    monkeypatch.setenv("TRACEPATCH_RUNTIME_DIR", "/run/shop")
    assert runtime_directory() == "/run/shop"


def test_an_agent_is_found_with_what_its_file_says(fake_agent: Start, runtime_dir):
    agent = fake_agent(service="shop", pid=77)
    search = Search()
    (place,) = search.places()
    assert (place.agent_id, place.card["pid"], place.card["service"]) == (agent.agent_id, 77, "shop")
    assert place.endpoint == f"ipc://{agent.path}"
    assert str(runtime_dir) in search.looked_in


def test_two_agents_of_equal_pid_in_one_directory_are_two(fake_agent: Start):
    first, second = fake_agent(pid=7, service="a"), fake_agent(pid=7, service="b")
    assert {place.agent_id for place in Search().places()} == {first.agent_id, second.agent_id}
    with Client() as client:
        assert [(agent.service, agent.pid) for agent in client.agents()] == [("a", 7), ("b", 7)]


def test_agents_that_are_known_are_left_alone(fake_agent: Start):
    known, fresh = fake_agent(), fake_agent()
    assert [place.agent_id for place in Search().places(skip={known.agent_id})] == [fresh.agent_id]


def test_only_refused_sockets_are_removed(runtime_dir: Path):
    stale = stale_socket(runtime_dir, "a" * 12)
    others = ["notes.txt", "off", f"{'b' * 12}.json", f"{'a' * 12}.spool", f"{'c' * 12}.sock", "short.sock"]
    for name in others:
        (runtime_dir / name).write_text("keep")
    assert Search().places() == []
    assert not stale.exists()
    assert not stale.with_suffix(".json").exists()
    assert sorted(others) == sorted(entry.name for entry in runtime_dir.iterdir())


def test_a_socket_that_listens_a_moment_later_is_not_stale(runtime_dir: Path, monkeypatch):
    path = runtime_dir / f"{'d' * 12}.sock"
    with socket.socket(socket.AF_UNIX) as starting:
        starting.bind(str(path))
        monkeypatch.setattr(discovery.time, "sleep", lambda seconds: starting.listen())
        assert [place.agent_id for place in Search().places()] == ["d" * 12]


@needs_root
def test_stale_sockets_of_others_stay(runtime_dir: Path):
    theirs = stale_socket(runtime_dir, "a" * 12)
    os.chown(theirs, 12345, 12345)
    assert Search().places() == []
    assert theirs.exists()


@needs_root
def test_stale_sockets_in_a_directory_of_others_stay(runtime_dir: Path):
    stale = stale_socket(runtime_dir, "a" * 12)
    os.chown(runtime_dir, 12345, 12345)
    assert Search().places() == []
    assert stale.exists()


def test_shared_directories_are_looked_in(fake_agent: Start, runtime_dir: Path):
    tmp = runtime_dir.parent / "tmp"
    theirs = tmp / "tracepatch-4711"
    theirs.mkdir(parents=True)
    agent = fake_agent(directory=theirs)
    assert [place.agent_id for place in Search(tmp=str(tmp)).places()] == [agent.agent_id]


def test_a_directory_that_is_reached_twice_counts_once(fake_agent: Start, runtime_dir: Path, monkeypatch):
    tmp = runtime_dir.parent / "tmp"
    (tmp / "tracepatch-1").mkdir(parents=True)
    monkeypatch.setenv("TRACEPATCH_RUNTIME_DIR", str(tmp / "tracepatch-1" / ".." / "tracepatch-1"))
    fake_agent(directory=tmp / "tracepatch-1")
    assert len(Search(tmp=str(tmp)).places()) == 1


def test_a_shared_directory_that_is_a_link_is_not_followed(fake_agent: Start, runtime_dir: Path):
    tmp = runtime_dir.parent / "tmp"
    target = runtime_dir.parent / "target"
    tmp.mkdir()
    target.mkdir()
    fake_agent(directory=target)
    (tmp / "tracepatch-1").symlink_to(target)
    assert Search(tmp=str(tmp)).places() == []


@pytest.mark.parametrize("text", ["", "[]", "{", '{"pid": "x"}', "[" * 100_000, '"' + "x" * 200_000 + '"'])
def test_a_malformed_file_of_particulars_hides_no_agent(fake_agent: Start, text: str):
    agent = fake_agent()
    agent.path.with_suffix(".json").write_text(text)
    with Client() as client:
        (found,) = client.agents()
    assert (found.agent_id, found.service, found.state) == (agent.agent_id, "fake", "dormant")


def test_a_pipe_in_place_of_the_file_does_not_block(fake_agent: Start):
    agent = fake_agent()
    file = agent.path.with_suffix(".json")
    file.unlink()
    os.mkfifo(file)
    (place,) = Search().places()
    assert place.card == {}
    file.unlink()


def test_a_link_in_place_of_the_file_is_not_read(fake_agent: Start, runtime_dir: Path):
    agent = fake_agent()
    file = agent.path.with_suffix(".json")
    file.unlink()
    secret = runtime_dir / "secret"
    secret.write_text(json.dumps({"service": "secret"}))
    file.symlink_to(secret)
    (place,) = Search().places()
    assert place.card == {}


@needs_linux
def test_a_path_too_long_for_a_socket_is_reached(fake_agent: Start, runtime_dir: Path, monkeypatch):
    long = runtime_dir / ("d" * 60) / ("e" * 60)
    long.mkdir(parents=True)
    (runtime_dir / "short").symlink_to(long)
    agent = fake_agent(directory=runtime_dir / "short")
    monkeypatch.setenv("TRACEPATCH_RUNTIME_DIR", str(long))
    before = len(os.listdir("/proc/self/fd"))
    with Client() as client:
        (found,) = client.agents()
        assert found.agent_id == agent.agent_id
        assert len(found.endpoint) > SUN_PATH
    with Client(connect=[found.endpoint]) as client:
        (again,) = client.agents()
        assert again.agent_id == agent.agent_id
    assert wait_for(lambda: len(os.listdir("/proc/self/fd")) <= before + 16)


def test_an_address_gives_back_its_short_way(runtime_dir: Path):
    long = runtime_dir / ("d" * 60) / ("e" * 60)
    long.mkdir(parents=True)
    address = Address(str(long / "x.sock"))
    assert len(address.path) <= SUN_PATH
    assert os.path.samefile(os.path.dirname(address.path), long)
    address.close()
    assert not os.path.lexists(os.path.dirname(address.path))
    address.close()


def test_knock_tells_what_is_there(fake_agent: Start, runtime_dir: Path):
    assert knock(str(fake_agent().path)) == "open"
    assert knock(str(stale_socket(runtime_dir, "a" * 12))) == "refused"
    assert knock(str(runtime_dir / "none.sock")) == "gone"
    full = runtime_dir / "full.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(full))
        listener.listen(0)
        visitors = []
        try:
            for _ in range(3):
                visitors.append(socket.socket(socket.AF_UNIX))
                visitors[-1].setblocking(False)
                visitors[-1].connect_ex(str(full))
            assert knock(str(full)) == "open", "a stopped process with a full backlog lives"
        finally:
            for visitor in visitors:
                visitor.close()


@needs_root
def test_unreadable_directories_are_named_with_their_owner(runtime_dir: Path):
    tmp = runtime_dir.parent / "tmp"
    theirs = tmp / "tracepatch-0"
    theirs.mkdir(parents=True)
    theirs.chmod(0o700)
    runtime_dir.parent.chmod(0o755)
    program = f"""
import os
os.setgid(65534); os.setuid(65534)
from tracepatch_ctl.client import Client
from tracepatch_ctl.discovery import Search
Search.__init__.__kwdefaults__ = {{"tmp": {str(tmp)!r}, "proc": "/nowhere"}}
with Client() as client:
    print(client.agents())
    print(client.unreadable)
    print(client.nobody())
"""
    # The interpreter itself may lie where another user cannot go, so everything is imported before the change of user.
    program = "import tracepatch_ctl.client, pwd, encodings.idna, json\n" + program
    with python_process(program) as child:
        assert child.line() == "[]"
        assert child.line() == f"['{runtime_dir} of root', '{theirs} of root']"
        told = child.line()
    assert f"could not read {runtime_dir} of root, {theirs} of root" in told
    assert f"looked in {runtime_dir}" in told


@needs_root
@needs_linux
@pytest.mark.parametrize("variable", [False, True])
def test_an_agent_in_another_mount_namespace_is_found_and_answers(runtime_dir: Path, variable: bool):
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-m", "true"], check=False).returncode:
        pytest.skip("unshare -m is not possible here")
    directory = "/tmp/deep/own" if variable else "/tmp/tracepatch-0"
    keep = runtime_dir.parent / "keep"  # the checkout, and a Python in it, stay where they are
    keep.mkdir()
    script = (
        f'mount --bind "{ROOT}" {keep} && exec 9<{keep} && mount -t tmpfs none /tmp && mkdir -p "{ROOT}" && '
        f'(ls "{ROOT}/tests" >/dev/null 2>&1 || mount --bind /proc/self/fd/9 "{ROOT}") && '
        f'exec "{sys.executable}" -u "{ROOT}/tests/fake_agent.py" {directory} inside'
    )
    env = {key: value for key, value in os.environ.items() if key != "TRACEPATCH_RUNTIME_DIR"}
    if variable:
        env["TRACEPATCH_RUNTIME_DIR"] = directory
    with process(["unshare", "-m", "sh", "-c", script], env=env) as child:
        agent_id = child.line()
        search = Search(tmp=str(runtime_dir), proc="/proc")
        started = time.monotonic()
        places = {place.agent_id: place for place in search.places()}
        assert time.monotonic() - started < 2.0
        assert agent_id in places
        assert places[agent_id].directory.endswith(f"/root{directory}")
        with Client(connect=[places[agent_id].endpoint]) as client:
            (agent,) = client.agents()
        assert (agent.service, agent.state, agent.agent_id) == ("inside", "dormant", agent_id)
        child.kill()
        assert agent_id not in {place.agent_id for place in search.places()}


@needs_linux
def test_thousands_of_processes_take_less_than_two_seconds(runtime_dir: Path, fake_agent: Start, monkeypatch):
    proc = runtime_dir.parent / "proc"
    ours, other = runtime_dir.parent / "ours", runtime_dir.parent / "other"
    inside = other / "tmp" / "tracepatch-0"
    inside.mkdir(parents=True)
    ours.mkdir()
    agent = fake_agent(directory=inside)

    def entry(pid: str, namespace: str, root: Path) -> None:
        (proc / pid / "ns").mkdir(parents=True)
        (proc / pid / "ns" / "mnt").symlink_to(f"mnt:[{namespace}]")
        (proc / pid / "root").symlink_to(root)
        (proc / pid / "environ").write_bytes(b"A=B\0" * 50)

    entry("self", "1", ours)
    for pid in range(1, 4000):
        entry(str(pid), "1" if pid % 100 else "2", ours if pid % 100 else other)
    search = Search(proc=str(proc))
    started = time.monotonic()
    assert [place.agent_id for place in search.places()] == [agent.agent_id]
    assert time.monotonic() - started < 2.0
    assert any("1 other mount namespaces" in place for place in search.looked_in)
    looked: list[str] = []
    readlink = os.readlink
    monkeypatch.setattr(namespaces.os, "readlink", lambda path: looked.append(path) or readlink(path))
    assert len(search.places()) == 1
    assert len(looked) < 5, "processes that are known are not looked at again"


def test_what_the_budget_left_out_is_said_and_comes_the_next_time(runtime_dir: Path, monkeypatch):
    proc = runtime_dir.parent / "proc"
    for pid in ("self", "1", "2", "3"):
        (proc / pid / "ns").mkdir(parents=True)
        (proc / pid / "ns" / "mnt").symlink_to("mnt:[1]")
        (proc / pid / "root").symlink_to("/")
    looker = namespaces.Namespaces(str(proc))
    looker.refresh(budget_s=-1.0)
    assert any("3 processes" in note for note in looker.notes())
    looker.refresh(budget_s=5.0)
    assert not any("for lack of time" in note for note in looker.notes())


def test_a_stopped_process_is_silent_and_the_others_go_on(fake_agent: Start, runtime_dir: Path):
    fake_agent(service="well")
    with python_process(ROOT / "tests" / "fake_agent.py", str(runtime_dir), "stopped") as child:
        agent_id = child.line()
        child.stop()
        with Client() as client:
            started = time.monotonic()
            well, silent = sorted(client.agents(), key=lambda agent: agent.service, reverse=True)
            assert time.monotonic() - started < 2.0
        assert (well.service, well.state) == ("well", "dormant")
        assert (silent.agent_id, silent.service, silent.state) == (agent_id, "stopped", "silent")
        assert "stopped, or its GIL" in silent.reason
        assert client.unreached == [silent]
        child.resume()
        with Client() as client:
            assert all(agent.state == "dormant" for agent in client.agents())


def test_a_killed_process_is_not_listed(runtime_dir: Path):
    with python_process(ROOT / "tests" / "fake_agent.py", str(runtime_dir)) as child:
        agent_id = child.line()
        child.kill()
        assert stat.S_ISSOCK((runtime_dir / f"{agent_id}.sock").stat().st_mode)
        with Client() as client:
            assert client.agents() == []
    assert list(runtime_dir.iterdir()) == []


def test_helpers_paths_are_short():
    with short_directory() as directory:
        assert len(str(directory)) < 40
