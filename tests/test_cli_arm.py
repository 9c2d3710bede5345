"""Arming from the command line, against agents that serve hand-made streams."""

from __future__ import annotations

import json
import re
import signal
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from ctl import COMMAND, ctl, environment, golden, terminal
from processes import process, wait_for
from stream_agent import StreamAgent, chain, checkout, wide
from tracepatch_ctl import Trace
from tracepatch_ctl.choice import Tally
from tracepatch_ctl.events import Progress
from tracepatch_ctl.reports import Nearest
from tracepatch_ctl.store import SCHEMA, Store
from tracepatch_ctl.view.words import standing


@pytest.fixture
def agent(runtime_dir):
    """Start stream agents: `agent(traces=2)`; words to reach exactly one are in `.reach`."""
    started: list[StreamAgent] = []

    def start(**options) -> StreamAgent:
        one = StreamAgent(runtime_dir, **{"service": "shop", **options})
        one.reach = ("--connect", one.url)
        started.append(one)
        return one

    yield start
    for one in started:
        one.close()


@pytest.fixture
def env(tmp_path):
    """An environment with a store of its own that the user did not name."""
    return environment(XDG_STATE_HOME=str(tmp_path / "state"))


def stored(tmp_path: Path) -> list[str]:
    with Store.open(tmp_path / "state" / "tracepatch" / "traces.db") as store:
        return [entry.trace_id for entry in store.entries()][::-1]


def masked(text: str) -> str:
    text = re.sub(r"\b[0-9a-f]{12}\b|\b[0-9a-f]{8}\b", "<id>", text)
    return re.sub(r"testhost:\d+", "testhost:<pid>", text)


def test_as_many_as_asked(agent, env, tmp_path):
    shop = agent(traces=2)
    done = ctl("arm", "m:f", "-n", "2", *shop.reach, env=env)
    assert done.returncode == 0
    golden("arm.out.txt", masked(done.stdout))
    golden("arm.err.txt", masked(done.stderr))
    assert re.findall(r"^trace (\w+)", done.stdout, re.M) == stored(tmp_path)
    wait_for(lambda: shop.acknowledged == stored(tmp_path))


def test_fewer_than_asked(agent, env):
    done = ctl("arm", "m:f", "-n", "3", "--ttl", "300ms", *agent(traces=1).reach, env=env)
    assert done.returncode == 5
    assert "ended: the time to live ran out (--ttl raises it)\n1 of 3 kept, " in done.stderr


def test_all_options_reach_the_agent(agent, env):
    shop = agent(traces=1)
    line = (
        "--ttl 90s --max-calls 7 --max-depth 8 --max-duration 2s --max-bytes 64KiB --concurrent 3 --budget 2.5%"
        " --capture depth=1,items=2,text=3 --lib lib.* --all --only app.* --skip app.x --skip app.y --no-args --threads --live"
        " --force --tag odd"
    )
    assert ctl("arm", "m:f", "m:g", *line.split(), *shop.reach, env=env).returncode == 0
    (request,) = shop.of("arm")
    probe = request["probe"]
    assert probe["targets"] == ["m:f", "m:g"]
    assert (probe["ttl_s"], probe["count"], probe["tag"]) == (90.0, 1, "odd")
    assert (probe["args"], probe["threads"], probe["live"], probe["force"]) == (False, True, True, True)
    limits = {
        "max_calls": 7, "max_depth": 8, "max_duration_s": 2.0, "max_bytes": 65_536, "concurrent": 3, "budget": 0.025,
    }  # fmt: skip
    assert limits.items() <= probe["limits"].items()
    assert probe["capture"] == {"depth": 1, "items": 2, "text": 3}
    assert probe["scope"] == {"all": True, "lib": ["lib.*"], "only": ["app.*"], "skip": ["app.x", "app.y"]}


def test_an_agent_that_knows_no_conditions_is_disarmed(agent, env):
    shop = agent(traces=0)
    done = ctl("arm", "m:f", "--where", "user_id == 42", *shop.reach, env=env)
    assert done.returncode == 4
    assert "--where is newer than its tracepatch: nothing is armed there" in done.stderr
    (request,) = shop.of("arm")
    assert request["probe"]["where"] == "user_id == 42"
    wait_for(
        lambda: [message["probe_ids"] for message in shop.of("disarm")] == [[request["probe"]["probe_id"]]]
    )


def test_what_chooses_among_tasks_reaches_the_agent(agent, env):
    shop = agent(traces=1)
    line = "--slower-than 500ms --errors --sample 1/10 --rate 30/m"
    done = ctl("arm", "m:f", *line.split(), "--keep", "calls > 3", *shop.reach, env=env)
    assert done.returncode == 0, done.stderr
    (request,) = shop.of("arm")
    probe = request["probe"]
    assert probe["keep"] == "duration > 500ms and error and (calls > 3)"
    assert (probe["sample"], probe["rate"]) == (10, 0.5)
    assert "concurrent" not in probe["limits"]


def test_calls_that_have_to_occur_reach_the_agent_and_it_says_what_they_match(agent, env):
    shop = agent(traces=1)
    sought = {"having": "a:b(x == 1)", "matched_total": 0, "near": ["a:bb"], "waits_for_import": True}
    shop.says = {"having_matched": [sought, {**sought, "having": "c:d", "matched_total": 2}]}
    trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"
    words = (
        "--having",
        "a:b(x == 1)",
        "--having",
        " c:d ",
        "--traceparent",
        f"00-{trace_id}-00f067aa0ba902b7-01",
    )
    done = ctl("arm", "m:f", *words, *shop.reach, env=env)
    assert done.returncode == 0, done.stderr
    assert shop.of("arm")[0]["probe"]["having"] == ["a:b(x == 1)", "c:d"]
    assert shop.of("arm")[0]["probe"]["traceparent"] == trace_id
    assert (
        "  --having: nothing that is loaded matches a:b(x == 1)\n  similar names: a:bb\n"
        "  waiting for a module that matches to be imported\n"
    ) in done.stderr
    assert "matches c:d" not in done.stderr
    done = ctl("arm", "m:f", *words, "--json", *shop.reach, env=env)
    assert json.loads(done.stdout.splitlines()[0])["having"][0] == sought


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("--having a:b(x=1)", "    x=1\n     ^"),
        ("--traceparent 4bf9", "32 hex digits"),
        ("--having http:/a", "a call is of a function"),
        ("--having a:b --live", "--live shows a trace while it grows"),
        ("--keep duraton>5s", "did you mean duration?"),
        ("--keep user_id==4", "an argument is arg.user_id"),
        ("--errors --live", "--live shows a trace while it grows"),
        ("--slower-than 2m --ttl 1m", "no task can take 2m00s within a --ttl of 60.00s"),
        ("--sample 3", "write 1/N"),
        ("--rate 5", "a number a second, as in 5/s"),
        ("--keep returned==1 --no-args", "with --no-args no value is recorded"),
    ],
)
def test_what_cannot_be_chosen_by_is_said_before_anybody_is_reached(agent, env, words, text):
    shop = agent()
    done = ctl("arm", "m:f", *words.split(), *shop.reach, env=env)
    assert (done.returncode, shop.of("arm")) == (2, [])
    assert text in done.stderr


def test_an_agent_that_does_not_know_a_condition_is_disarmed_and_refuses(agent, env):
    old, new = agent(traces=1, chooses=False), agent(traces=1)
    words = ("--errors", "--having", "a:b", "--rate", "5/s")
    done = ctl("arm", "m:f", *words, *old.reach, *new.reach, env=env)
    assert done.returncode == 0
    assert (
        "refused: --keep and --having and --rate are newer than its tracepatch: nothing is armed there"
        in done.stderr
    )
    assert len(re.findall(r"^trace ", done.stdout, re.M)) == 1
    assert [message["probe_ids"] for message in old.of("disarm")] == [[old.of("arm")[0]["probe"]["probe_id"]]]
    alone = ctl("arm", "m:f", "--errors", *agent(traces=1, chooses=False).reach, env=env)
    assert (alone.returncode, alone.stdout) == (4, "")


def test_what_became_of_the_others_and_what_to_try(agent, env):
    nearest = {"measure": "duration", "least": True, "value": 0.48}
    shop = agent()
    shop.counts = {"seen": 812, "passed_over": 3, "not_kept": 769, "sampled_out": 40, "nearest": nearest}
    done = ctl("arm", "m:f", "-n", "3", "--slower-than", "500ms", "--ttl", "600ms", *shop.reach, env=env)
    assert done.returncode == 5
    assert (
        "0 of 3 kept, 812 seen, 3 passed over (--concurrent), 40 sampled out (--sample), 769 not kept: slowest 480 ms; "
        "try --slower-than 400ms; "
    ) in done.stderr
    done = ctl("arm", "m:f", "--slower-than", "500ms", "--ttl", "600ms", "--json", *shop.reach, env=env)
    end = json.loads(done.stdout.splitlines()[-1])
    assert (end["not_kept"], end["nearest"], end["next"]) == (769, nearest, "--slower-than 400ms")
    assert end["agents"][0]["nearest"] == nearest


def test_status_shows_what_is_kept_and_what_is_not(agent, env):
    shop = agent()
    shop.counts = {
        "seen": 812, "keep": "duration > 500ms", "not_kept": 769, "sampled_out": 40, "rate_limited": 3,
        "nearest": {"measure": "duration", "least": True, "value": 0.48},
    }  # fmt: skip
    ctl("arm", "m:f", "--slower-than", "500ms", "--detach", "--ttl", "1m", *shop.reach, env=env)
    names, row = ctl("status", *shop.reach, env=env).stdout.splitlines()
    assert names.split("PASSED OVER")[1].split("  ")[1:] == ["NOT CHOSEN", "NOT KEPT"]
    assert "m:f --keep 'duration > 500ms'" in row
    assert row.endswith("43          769 (slowest 480 ms)")


def test_the_live_line_says_what_is_not_kept():
    progress = Progress(
        asked=3, kept=1, seen=812, passed_over=40, live=2, agents=1, expires_in_s=12.0,
        tally=Tally(not_kept=769, nearest=Nearest(measure="duration", least=True, value=0.48)),
    )  # fmt: skip
    assert standing(progress, 12.0) == (
        "tracing 2, 12s left · 812 seen · 40 passed over (--concurrent) · 769 not kept: slowest 480 ms · 1 of 3 kept"
    )


def test_near_misses_are_said_at_once(agent, env):
    armed = {
        "type": "armed", "matched": [], "matched_total": 0, "near": ["m:f", "m:ff"], "waits_for_import": True,
        "limits": {}, "lowered": ["max_calls 2000000 is above the ceiling: 1000000 holds"], "expires_in_s": 5.0,
    }  # fmt: skip
    shop = agent(answers={"arm": lambda request: [{**armed, "probe_id": request["probe"]["probe_id"]}]})
    with process([*COMMAND, "arm", "m:fff", *shop.reach], env=env) as running:
        wait_for(lambda: "ceiling" in running.stderr)
        running.signal(signal.SIGINT)
        assert running.wait() == 130
    lines = masked(running.stderr).splitlines()
    assert lines[:4] == [
        "armed <id> in shop@testhost:<pid>: nothing that is loaded matches m:fff",
        "  similar names: m:f, m:ff",
        "  waiting for a module that matches to be imported",
        "  max_calls 2000000 is above the ceiling: 1000000 holds",
    ]


def test_equal_answers_are_one_line(agent, env):
    one, two = agent(), agent(pid=77)
    done = ctl("arm", "m:f", "--per-agent", "--ttl", "300ms", *one.reach, *two.reach, env=env)
    assert done.returncode == 5
    assert re.search(
        r"armed \w+ in 2 processes \(shop@testhost:\d+, shop@testhost:\d+\): 1 function, m:f", done.stderr
    )


def test_all_refused(agent, env):
    shop = agent(refuses=("too-wide", "m:* matches 51 functions; --force arms them all the same"))
    done = ctl("arm", "m:*", *shop.reach, env=env)
    assert (done.returncode, done.stdout) == (4, "")
    assert "refused: m:* matches 51 functions; --force arms them all the same" in done.stderr


def test_some_refused(agent, env):
    done = ctl(
        "arm", "m:f", *agent(traces=1).reach, *agent(refuses=("conflict", "pdb is here")).reach, env=env
    )
    assert done.returncode == 0
    assert "refused: pdb is here" in done.stderr


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_disarms_and_still_shows_what_came(agent, env, tmp_path, number, code):
    shop = agent(traces=1)
    with process([*COMMAND, "arm", "m:f", "-n", "3", *shop.reach], env=env) as running:
        running.expect("trace ")
        running.signal(number)
        assert running.wait() == code
    assert len(shop.of("disarm")) == 1
    assert running.errors[-1].endswith("events 0, tool id freed: clean")
    wait_for(lambda: shop.acknowledged == stored(tmp_path))


def test_json_is_all_there_is_on_standard_output(agent, env):
    shop = agent(traces=2, streams=(checkout, lambda trace_id: chain(3_000, trace_id)))
    done = ctl("arm", "m:f", "-n", "2", "--json", *shop.reach, env=env)
    assert done.returncode == 0
    heads = [line[:20] for line in done.stdout.splitlines()]
    kinds = [re.match(r'\{"type":"(\w+)"', head)[1] for head in heads]  # type: ignore[index]
    assert kinds == ["armed", "trace", "trace", "end"]
    end = json.loads(done.stdout.splitlines()[-1])
    assert (end["reason"], end["asked"], end["kept"], end["clean"], end["exit_code"]) == (
        "count",
        2,
        2,
        True,
        0,
    )


def test_json_without_agents_ends_with_an_end(runtime_dir, env):
    done = ctl("arm", "m:f", "--json", "--connect", f"ipc://{runtime_dir}/none.sock", env=env)
    assert done.returncode == 3
    error, end = map(json.loads, done.stdout.splitlines())
    assert (error["type"], error["code"], end["type"], end["reason"]) == ("error", "nobody", "end", "nobody")
    assert done.stderr == f"tracepatch-ctl: {error['message']}\n"


def test_a_refusal_in_json(agent, env):
    shop = agent(refuses=("no-room", "no memory left"))
    done = ctl("arm", "m:f", "--json", *shop.reach, env=env)
    error, end = map(json.loads, done.stdout.splitlines())
    assert (error["type"], error["code"], error["message"]) == ("error", "no-room", "no memory left")
    assert error["agent"]["service"] == "shop"
    assert (end["exit_code"], done.returncode) == (4, 4)


def test_detach_and_collect(agent, env, tmp_path):
    shop = agent(traces=1)
    done = ctl("arm", "m:f", "-n", "5", "--detach", "--ttl", "1h", "--tag", "night", *shop.reach, env=env)
    assert (done.returncode, done.stdout) == (0, "")
    (probe_id,) = shop.probes
    assert f"tracepatch-ctl collect {probe_id}" in done.stderr
    assert not (tmp_path / "state").exists()
    status = ctl("status", *shop.reach, env=env)
    assert re.search(rf"{probe_id}  m:f .*\(detached\).*1 of 5", status.stdout)
    extended = ctl("extend", probe_id[:4], "-n", "9", "--ttl", "2h", *shop.reach, env=env)
    assert (extended.returncode, shop.counters[probe_id]["count"]) == (0, 9)
    collected = ctl("collect", probe_id[:5], *shop.reach, env=env)
    assert (collected.returncode, collected.stdout.count("trace ")) == (0, 1)
    wait_for(lambda: shop.acknowledged == stored(tmp_path))
    again = ctl("collect", probe_id, *shop.reach, env=env)
    assert (again.returncode, again.stdout) == (5, "")
    assert ctl("collect", *shop.reach, env=env).returncode == 0
    disarmed = ctl("disarm", *shop.reach, env=env)
    assert "1 of 9 kept, 1 seen, 0 passed over; 0.001 ms spent" in disarmed.stdout
    assert ctl("disarm", *shop.reach, env=env).stderr.startswith("nothing was armed by you")
    for gone in (("disarm", probe_id), ("extend", probe_id, "-n", "3"), ("disarm", "ff")):
        assert ctl(*gone, *shop.reach, env=env).returncode == 4


def test_an_agent_that_refuses_to_hand_over(agent, env):
    refusal = {"type": "error", "code": "internal", "message": "a bug of ours"}
    shop = agent(answers={"collect": lambda _: [refusal]})
    done = ctl("collect", *shop.reach, "--connect", agent().url, env=env)
    assert (done.returncode, done.stdout) == (0, "")
    assert "refused: a bug of ours" in done.stderr


def test_no_save(agent, env, tmp_path):
    shop = agent(traces=1)
    assert ctl("arm", "m:f", "--no-save", *shop.reach, env=env).returncode == 0
    wait_for(lambda: len(shop.acknowledged) == 1)
    assert not (tmp_path / "state").exists()


def test_a_file_for_each_trace(agent, env, tmp_path):
    shop = agent(traces=2)
    folder = tmp_path / "out"
    assert ctl("arm", "m:f", "-n", "2", "-o", f"{folder}/", *shop.reach, env=env).returncode == 0
    files = sorted(folder.iterdir())
    assert sorted(path.stem for path in files) == sorted(stored(tmp_path))
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert Trace.load(files[0]).calls == 3


def test_a_line_for_each_trace(agent, env, tmp_path):
    path = tmp_path / "out.json"
    assert ctl("arm", "m:f", "-n", "2", "-o", str(path), *agent(traces=2).reach, env=env).returncode == 0
    assert [json.loads(line)["trace_id"] for line in path.read_text().splitlines()] == stored(tmp_path)


def test_a_file_that_cannot_be_written_is_known_before_arming(agent, env, tmp_path):
    shop = agent(traces=1)
    done = ctl("arm", "m:f", "-o", str(tmp_path / "none" / "x.json"), *shop.reach, env=env)
    assert done.returncode == 1
    assert "cannot be written" in done.stderr
    assert not shop.received


# -- stores that fail ---------------------------------------------------------------------------------------------


def newer(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Store.open(path).close()
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {SCHEMA + 1}")
    connection.commit()
    connection.close()


def text(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("my notes")


def folder(path: Path) -> None:
    path.mkdir(parents=True)


@pytest.mark.parametrize("spoil", [newer, text, folder])
def test_a_default_store_that_fails(agent, env, tmp_path, spoil):
    path = tmp_path / "state" / "tracepatch" / "traces.db"
    spoil(path)
    before = path.read_bytes() if path.is_file() else None
    shop = agent(traces=2)
    done = ctl("arm", "m:f", "-n", "2", *shop.reach, env=env)
    assert (done.returncode, done.stdout.count("trace ")) == (0, 2)
    assert done.stderr.count("shown but not kept") == 1
    assert shop.acknowledged == []
    assert (path.read_bytes() if path.is_file() else None) == before


@pytest.mark.parametrize("spoil", [newer, text, folder])
def test_a_named_store_that_fails(agent, tmp_path, spoil):
    path = tmp_path / "mine.db"
    spoil(path)
    before = path.read_bytes() if path.is_file() else None
    shop = agent(traces=1)
    done = ctl("arm", "m:f", *shop.reach, env=environment(TRACEPATCH_STORE=str(path)))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    assert not shop.received
    assert (path.read_bytes() if path.is_file() else None) == before
    assert [one.name for one in tmp_path.iterdir()] == ["mine.db"]


def test_a_locked_default_store(agent, env, tmp_path):
    path = tmp_path / "state" / "tracepatch" / "traces.db"
    Store.open(path).close()
    blocker = sqlite3.connect(path, isolation_level=None)
    blocker.execute("BEGIN EXCLUSIVE")
    shop = agent(traces=1)
    done = ctl("arm", "m:f", *shop.reach, env=env)
    blocker.close()
    assert (done.returncode, done.stdout.count("trace "), shop.acknowledged) == (0, 1, [])
    assert "locked" in done.stderr


LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))
from tracepatch_ctl.cli import main
main()
"""


@pytest.mark.parametrize(("named", "code"), [(False, 0), (True, 1)], ids=["default", "named"])
def test_a_disk_that_fills_while_armed(agent, env, tmp_path, named, code):
    shop = agent(traces=2, streams=(lambda trace_id: wide(20_000, trace_id), checkout))
    if named:
        env["TRACEPATCH_STORE"] = str(tmp_path / "mine.db")
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, "arm", "m:f", "-n", "2", *shop.reach],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert done.stdout.count("\ntrace ") + done.stdout.startswith("trace ") == 2
    assert done.stderr.count("shown but not kept") == 1
    wait_for(lambda: len(shop.acknowledged) == 1)  # the small one fits


# -- terminals and pipes -------------------------------------------------------------------------------------------


def test_the_status_line_is_rewritten_in_a_terminal(agent, env):
    env["NO_COLOR"] = "1"
    code, shown = terminal("arm", "m:f", "-n", "2", "--ttl", "1500ms", *agent(traces=1).reach, env=env)
    assert code == 5
    assert "\r\x1b[Kwaiting 1s left · 1 seen · 1 of 2 kept" in shown
    last = shown.splitlines()[-1]
    assert last == (
        "1 of 2 kept, 1 seen, 0 passed over; 0.001 ms spent, 0.1 % of one core on others;"
        " events 0, tool id freed: clean"
    )


def test_a_dumb_terminal_gets_no_control_characters(agent, env):
    env["TERM"] = "dumb"
    _, shown = terminal("arm", "m:f", "--live", "--ttl", "1s", *agent(traces=1).reach, env=env)
    assert "\x1b" not in shown
    assert "\r" not in shown


def test_live_shows_an_open_tree(agent, env):
    shop = agent(streams=(lambda trace_id: wide(100, trace_id),))
    env["NO_COLOR"] = "1"
    with process([*COMMAND, "arm", "m:f", "--live", *shop.reach], env=env) as running:
        wait_for(lambda: shop.probes)
        shop.trace(finish=False)
        wait_for(lambda: "calls, " in running.stderr)
        assert re.search(r"trace \w{8}: \d\d calls, .* now in app.wide.", running.stderr)
        running.signal(signal.SIGINT)
        assert running.wait() == 130


def test_a_tree_in_a_terminal_stops_and_says_how_to_see_the_rest(agent, env, tmp_path):
    env["NO_COLOR"] = "1"
    shop = agent(traces=1, streams=(lambda trace_id: wide(1_000, trace_id),))
    _, shown = terminal("arm", "m:f", *shop.reach, env=env)
    (trace_id,) = stored(tmp_path)
    assert f"`tracepatch-ctl show {trace_id} --lines all` shows the rest" in shown
    assert shown.count("app.wide") < 210


def test_a_reader_that_goes_away_ends_the_arm(agent, env, tmp_path):
    shop = agent(traces=1)
    with subprocess.Popen(
        [*COMMAND, "arm", "m:f", "-n", "3", *shop.reach],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as child:
        assert child.stdout and child.stderr
        child.stdout.read(5)
        child.stdout.close()
        wait_for(lambda: shop.probes)
        shop.trace()
        errors = child.stderr.read().decode()
    assert "Broken" not in errors
    assert "Traceback" not in errors
    assert child.returncode == 5
    assert len(shop.of("disarm")) == 1
    wait_for(lambda: sorted(shop.acknowledged) == sorted(stored(tmp_path)))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_standard_output_ends_the_arm_and_loses_nothing(agent, env, tmp_path):
    shop = agent(traces=1)
    path = tmp_path / "out.json"
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [*COMMAND, "arm", "m:f", "-n", "2", "-o", str(path), *shop.reach],
            env=env,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 5
    assert "tracepatch-ctl: standard output cannot be written: No space left on device" in done.stderr
    assert Trace.load(path).trace_id == stored(tmp_path)[0]
    assert len(shop.of("disarm")) == 1
    wait_for(lambda: shop.acknowledged == stored(tmp_path))


def test_what_an_agent_says_does_not_steer_the_terminal(agent, env):
    shop = agent(refuses=("refused", "no\x1b[2J\r\nevents 0, tool id freed: clean\u202e"))
    done = ctl("arm", "m:f", *shop.reach, env=env)
    assert "refused: no\\x1b[2J\\r\\nevents 0, tool id freed: clean\\u202e" in done.stderr
    assert "\x1b" not in done.stderr


def test_a_trace_that_was_cut_off_says_why_also_later(agent, env, tmp_path):
    shop = agent()
    with process([*COMMAND, "arm", "m:f", *shop.reach], env=env) as running:
        wait_for(lambda: shop.probes)
        shop.trace(finish=False)
        wait_for(lambda: shop.counters)
        shop.close(remove=True)
        assert running.wait() == 5
    assert "process ended" in running.stderr
    assert "NOT proven clean" in running.errors[-1]
    assert running.lines[0].endswith("· open")
    (trace_id,) = stored(tmp_path)
    shown = ctl("show", trace_id, env=env).stdout
    assert "process ended" in shown
    assert shown.splitlines() == running.lines


def test_threads_that_wait_with_the_hook_are_said(agent, env):
    left = {"events": 0, "tool_id_freed": True, "hooks": 0, "hooked_threads": 2, "ok": True}
    for form in ([], ["--json"]):
        shop = agent()
        with process([*COMMAND, "arm", "m:f", *form, *shop.reach], env=env) as running:
            wait_for(lambda shop=shop: shop.probes)
            shop.end("ttl", clean=left)
            assert running.wait() == 5
        if form:
            end = json.loads(running.lines[-1])
            assert (end["clean"], end["agents"][0]["hooked_threads"]) == (True, 2)
        else:
            assert running.errors[-1].endswith(
                "; events 0, tool id freed, hook on 2 waiting threads until they go on: clean"
            )


def test_without_saving_a_trace_that_nobody_saw_stays_in_the_agent(agent, env):
    shop = agent(traces=2)
    with subprocess.Popen(
        [*COMMAND, "arm", "m:f", "-n", "2", "--no-save", *shop.reach],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as child:
        assert child.stdout and child.stderr
        child.stdout.close()
        child.stderr.read()
    assert len(shop.held) == 2
    assert shop.acknowledged == []
