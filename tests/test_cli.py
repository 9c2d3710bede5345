"""Usage errors, help, and output that survives whatever is at the other end."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from ctl import COMMAND, ctl, environment, golden, invoke, terminal
from stream_agent import checkout, wide
from tracepatch_ctl.cli import COMMANDS


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("frobnicate", "no such command 'frobnicate'"),
        ("arm", "missing argument 'TARGET...'"),
        ("arm m:f --frob", "no such option '--frob'"),
        ("arm m:f --ttl 5", "'5' is not a duration: write a number and a unit, as in 250ms, 5s, 2m or 1h"),
        ("arm m:f --ttl 0s", "'0s' is no time at all"),
        ("arm m:f --ttl 25h", "--ttl may be 24h at most, not 25h"),
        ("arm m:f --max-bytes lots", "'lots' is not a size: write a number and a unit, as in 64KiB or 8MiB"),
        ("arm m:f --budget much", "'much' is not a part of a core: write a percentage, as in 5 or 2.5%"),
        ("arm m:f --capture width=3", "'width=3' is not a capture option: write depth=2,items=20,text=120"),
        ("arm m:f --capture depth=-1", "'depth=-1' is not a capture option"),
        ("arm m:f -n 0", "0 is not in the range 1<=x<=1000"),
        ("arm m:f -n many", "'many' is not a valid integer range"),
        ("arm m:f --detach", "--detach needs --ttl"),
        ("arm m:f --detach --ttl 1h --live", "--detach brings no traces"),
        ("extend cafe", "extend by what? --ttl 10m gives more time, -n 5 more traces"),
        ("disarm cafe --all", "either name probes or say --all"),
        ("show last --lines few", "'few' is not a number of lines: write for example 500, or all"),
        ("export last --format svg", "'svg' is not one of 'json', 'ndjson'"),
        ("tag last", "`tag TRACE NAME` gives a tag"),
    ],
)
def test_a_usage_error_is_one_sentence_with_the_right_form(line, sentence):
    result = invoke(*line.split())
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("tracepatch-ctl: ")
    assert sentence in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("target", ["m:", ":f", "m:f@x", "a b", "views.py:0"])
def test_a_malformed_target_is_a_usage_error(runtime_dir, target):
    result = invoke("arm", target)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("tracepatch-ctl: ")
    assert "as in" in result.stderr or "write" in result.stderr


def test_a_usage_error_in_json_is_an_object_too(runtime_dir):
    result = invoke("arm", "m:f", "--ttl", "5", "--json")
    assert result.exit_code == 2
    assert result.stdout.startswith('{"type":"error","code":"usage","message":"invalid value')


def test_without_a_command_it_says_what_there_is():
    result = invoke()
    assert (result.exit_code, result.stdout) == (2, "")
    assert all(f"\n  {name} " in result.stderr for name in COMMANDS)


def test_the_help_of_arm_begins_with_four_examples_that_parse():
    lines = invoke("arm", "--help").stdout.splitlines()
    assert lines[4] == ""
    for line in lines[:4]:
        assert line.startswith("tracepatch-ctl arm ")
    golden("arm-help.txt", "\n".join(lines[:6]) + "\n")


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_has_help(command):
    result = invoke(command, "--help")
    assert result.exit_code == 0
    assert f"Usage: tracepatch-ctl {command}" in result.stdout


def test_the_help_needs_no_zmq_and_no_rich():
    """What looks at nothing loads nothing: the help comes at once, also where pyzmq is broken."""
    code = (
        "import sys; from tracepatch_ctl.cli import cli; cli.main(['arm', '--help'], standalone_mode=False);"
    )
    code += "sys.exit(any(name in sys.modules for name in ('zmq', 'rich', 'msgpack', 'sqlite3')))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


@pytest.fixture
def small(tmp_path):
    path = tmp_path / "small.bin"
    path.write_bytes(checkout())
    return str(path)


@pytest.fixture
def large(tmp_path):
    path = tmp_path / "large.bin"
    path.write_bytes(wide(5_000))
    return str(path)


@pytest.mark.parametrize(
    "words", [("show",), ("show", "--json"), ("show", "--flat"), ("export", "--format", "ndjson")]
)
def test_a_reader_that_goes_away_is_no_error(large, words):
    with subprocess.Popen(
        [*COMMAND, words[0], large, *words[1:]],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as child:
        assert child.stdout and child.stderr
        child.stdout.read(10)
        child.stdout.close()
        assert child.stderr.read() == b""
    assert child.returncode == 0


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_a_full_disk_at_the_other_end_is_an_error(large):
    with open("/dev/full", "wb") as full:
        done = subprocess.run([*COMMAND, "show", large], stdout=full, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 1
    assert done.stderr == b"tracepatch-ctl: standard output cannot be written: No space left on device\n"


def test_a_locale_without_utf8_gets_ascii(small):
    env = environment(PYTHONUTF8="0", PYTHONIOENCODING="ascii", LC_ALL="C", PYTHONCOERCECLOCALE="0")
    done = ctl("show", small, env=env)
    assert done.returncode == 0
    assert done.stdout.isascii()
    assert "zo\\xeb" in done.stdout
    golden("show-ascii.txt", done.stdout)


def test_a_tree_as_text(small):
    golden("show.txt", ctl("show", small).stdout)


@pytest.mark.parametrize("changes", [{"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=str)
def test_no_escape_sequences_where_they_are_not_wanted(small, changes):
    code, shown = terminal("show", small, env=environment(**changes))
    assert code == 0
    assert "\x1b" not in shown
    assert shown == ctl("show", small).stdout


def test_a_terminal_gets_colours_from_rich(small):
    pytest.importorskip("rich")
    code, shown = terminal("show", small)
    assert code == 0
    assert "\x1b[" in shown


def test_without_rich_a_terminal_gets_plain_text(small, tmp_path):
    (tmp_path / "rich.py").write_text("raise ImportError('not installed')")
    code, shown = terminal("show", small, env=environment(PYTHONPATH=str(tmp_path)))
    assert (code, shown) == (0, ctl("show", small).stdout)


def test_a_tree_in_a_terminal_stops_at_200_lines(large):
    code, shown = terminal("show", large, env=environment(NO_COLOR="1"))
    assert code == 0
    lines = shown.splitlines()
    assert len(lines) == 4 + 200 + 2
    assert lines[-1] == f"`tracepatch-ctl show {large} --lines all` shows the rest"
    _, whole = terminal("show", large, "--lines", "all", env=environment(NO_COLOR="1"))
    assert len(whole.splitlines()) == 5_005
    _, some = terminal("show", large, "--lines", "7", env=environment(NO_COLOR="1"))
    assert len(some.splitlines()) == 4 + 7 + 2


def test_a_pipe_gets_the_whole_tree(large):
    assert len(ctl("show", large).stdout.splitlines()) == 5_005


def test_nobody_says_where_it_looked(runtime_dir):
    done = ctl("agents", "--service", "no-such-service-here")
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith("tracepatch-ctl: no")
    assert str(runtime_dir) in done.stderr


AS_NOBODY = """
import importlib, os, pkgutil, sys
import tracepatch_ctl, tracepatch_shared
for package in (tracepatch_ctl, tracepatch_shared):  # the folder of this checkout may be closed to others
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
import json, encodings.idna, getpass, pwd
os.setgroups([]), os.setgid(54321), os.setuid(54321)
tracepatch_ctl.cli.main()
"""


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can be somebody else")
@pytest.mark.parametrize(
    ("line", "code", "sentence"),
    [
        ("show -", 0, ""),
        ("arm m:f --service no-such-service-here", 3, "no agent"),
        ("agents --service no-such-service-here", 3, "no agent"),
        ("traces", 1, "there is no home folder to keep traces in: set TRACEPATCH_STORE to a path"),
    ],
)
def test_a_user_without_a_passwd_entry_and_a_home(tmp_path, line, code, sentence):
    gone = dict.fromkeys(("HOME", "USER", "LOGNAME", "LNAME", "USERNAME", "XDG_STATE_HOME"))
    done = subprocess.run(
        [sys.executable, "-c", AS_NOBODY, *line.split()],
        env=environment(TRACEPATCH_RUNTIME_DIR=str(tmp_path), **gone),
        input=checkout(),
        capture_output=True,
        check=False,
        cwd="/",
    )
    assert done.returncode == code, done.stderr
    assert b"Traceback" not in done.stderr
    assert sentence in done.stderr.decode().replace("none of", "no agent")
