"""Where nothing was kept, `arm` says one command to try next; it is typed as it stands."""

from __future__ import annotations

import shlex
from typing import Any

import pytest

from ctl import ctl, environment
from tracepatch_ctl.choice import Tally
from tracepatch_ctl.cli import cli
from tracepatch_ctl.events import Armed, End
from tracepatch_ctl.reports import Agent
from tracepatch_ctl.view.advice import command, quoted

AGENT = Agent(
    agent_id="aaaaaaaaaaaa", service="shop", host="h", pid=1, endpoint="ipc://x", state="waiting", labels={}
)
TARGETS = ("app.views:buy", "http:POST /buy*")


def armed(total: int = 1, *near: str) -> Armed:
    return Armed(
        agent=AGENT, probe_id="aaaaaaaa", matched=(), matched_total=total, near=near, waits_for_import=not total, limits={},
        lowered=(), expires_in_s=1.0,
    )  # fmt: skip


def end(*, next: str | None = None, **counts: Any) -> End:
    tally = {name: counts.pop(name) for name in tuple(counts) if name in Tally.__dataclass_fields__}
    return End(
        probe_id="aaaaaaaa", reason="ttl", message="", option=None, asked=1, surplus=0, cut_off=0, errors=0, spent_ns=0,
        others_share=0.0, clean=True, per_agent=(), exit_code=5, next=next, tally=Tally(**tally),
        **{"kept": 0, "seen": 9, "passed_over": 0, **counts},
    )  # fmt: skip


HERE = [armed()]
BOTH = "app.views:buy http:'POST /buy*'"
CASES = [
    (HERE, end(kept=1), {}, None),
    ([], end(seen=0), {}, None),
    ([armed(0, "app.views:buys")], end(seen=0), {"count": "3"}, "arm app.views:buys --count 3"),
    ([armed(0)], end(seen=0), {}, "targets buy"),
    (HERE, end(seen=0), {"ttl": "2s", "skip": ["a.*", "b"]}, f"arm {BOTH} --ttl 10s --skip 'a.*' --skip b"),
    (HERE, end(seen=0), {}, f"arm {BOTH} --ttl 1500s"),
    (HERE, end(where_false=9), {"where": "n < 0", "count": "5"}, f"arm {BOTH} --count 1"),
    (HERE, end(where_errors=5, where_false=4), {"where": "n < 0", "pid": ["7"]}, f"arm {BOTH} --pid 7 --count 1"),
    (HERE, end(next="--slower-than 100ms", not_kept=9), {"slower-than": "1s"}, f"arm {BOTH} --slower-than 100ms"),
    (HERE, end(next="--keep 'calls > 3'", not_kept=9), {"keep": ["calls > 9"]}, f"arm {BOTH} --keep 'calls > 3'"),
    (HERE, end(next="--concurrent 4", passed_over=9), {"errors": True}, f"arm {BOTH} --errors --concurrent 4"),
    (HERE, end(next="--sample 1/10", sampled_out=9), {"sample": "1/100"}, f"arm {BOTH} --sample 1/10"),
    (HERE, end(next="--rate 50/s", rate_limited=9), {"rate": "5/s"}, f"arm {BOTH} --rate 50/s"),
    (HERE, end(next="--ttl", not_kept=9), {"slower-than": "1s"}, f"arm {BOTH} --slower-than 1s --ttl 1500s"),
    (HERE, end(not_kept=9), {"slower-than": "1s", "errors": True}, f"arm {BOTH} --count 1"),
    (HERE, end(throttled=9), {}, f"arm {BOTH} --budget 20"),
    (HERE, end(), {}, None),
]  # fmt: skip


@pytest.mark.parametrize(("events", "ended", "options", "line"), CASES)
def test_what_is_said(events: list[Armed], ended: End, options: dict, line: str | None) -> None:
    found = command(ended, events, TARGETS, options)
    assert (found and found[1]) == (line and f"tracepatch-ctl {line}")
    if found is not None:
        assert found[0]
        name, *words = shlex.split(found[1])[1:]
        chosen = cli.get_command(None, name)  # type: ignore[arg-type]
        chosen.make_context(name, words)  # a usage error otherwise


def test_requests() -> None:
    only = ("http:POST /buy*",)
    for events, ended in (([armed()], end(seen=0, unmatched=5)), ([armed(0)], end(seen=0))):
        assert command(ended, events, only, {})[1] == "tracepatch-ctl targets http:'*'"  # type: ignore[index]
    assert command(end(seen=0), [armed()], only, {})[1].endswith("--ttl 1500s")  # type: ignore[index]


@pytest.mark.parametrize("target", ["a:b", "http:POST /x y*", "task:a b", "app.*:*", "http:'", "a b"])
def test_what_is_quoted_is_one_word_again(target: str) -> None:
    assert shlex.split(quoted(target)) == [target]


def test_of_several_processes_each_has_a_line(fake_agent: Any) -> None:
    fake_agent(service="one")
    fake_agent(service="two").counts = {"seen": 7, "sampled_out": 7}
    done = ctl("arm", "m:f", "--ttl", "500ms", "--sample", "1/100", env=environment())
    lines = done.stderr.splitlines()
    agents = sorted(line.partition("@")[0].strip() for line in lines if "function, 0 kept" in line)
    assert agents == ["one", "two"]
    assert lines[-2] == "next (the sample left them out): tracepatch-ctl arm m:f --sample 1/10 --ttl 500ms"
    assert lines[-1].startswith("0 of 1 kept, 7 seen, 0 passed over, 7 sampled out")
