"""`extend` and `disarm`: what can be done to an armed probe."""

from __future__ import annotations

from typing import Any

import click

from tracepatch_shared.errors import NoSuchProbe, UsageError
from tracepatch_shared.limits import MAX_COUNT
from tracepatch_shared.text import duration

from ..view.words import ended
from .completion import offer_probes
from .forms import ended_form, probe_form
from .options import DURATION, agent_options, json_option
from .output import Output
from .reach import complain, reach


@click.command()
@click.argument("probe", shell_complete=offer_probes)
@click.option("--ttl", type=DURATION, help="Live this long from now.")
@click.option("-n", "--count", type=click.IntRange(1, MAX_COUNT), help="Keep this many traces in all.")
@agent_options
@json_option
def extend(probe: str, ttl: float | None, count: int | None, agents: dict[str, Any], as_json: bool) -> int:
    """Give an armed PROBE more time or more traces."""
    if ttl is None and count is None:
        raise UsageError("extend by what? --ttl 10m gives more time, -n 5 more traces")
    out = Output(as_json=as_json)
    with reach(agents) as client:
        answers = client.extend(probe, ttl_s=ttl, count=count)
        if not answers and not client.refusals:
            raise NoSuchProbe(f"no probe {probe!r} lives in the agents reached; `status` lists them")
        for answer in answers:
            counters = answer.probe
            if as_json:
                out.object(probe_form(answer.agent, counters))
            else:
                left = duration(counters.expires_in_s * 1e9)
                out.line(
                    f"{counters.probe_id} in {answer.agent.name}: {counters.kept} of {counters.count} kept, {left} left"
                )
            for sentence in answer.lowered:
                out.say(f"{answer.agent.name}: {sentence}")
        return complain(out, client, answered=bool(answers))


@click.command()
@click.argument("probes", nargs=-1, metavar="[PROBE]...", shell_complete=offer_probes)
@click.option("--all", "everybody", is_flag=True, help="Also what others armed.")
@agent_options
@json_option
def disarm(probes: tuple[str, ...], everybody: bool, agents: dict[str, Any], as_json: bool) -> int:
    """Disarm PROBEs; alone: all that you armed. Finished traces stay to be collected."""
    if probes and everybody:
        raise UsageError("either name probes or say --all")
    out = Output(as_json=as_json)
    with reach(agents) as client:
        gone = [
            (answer.agent, one)
            for answer in client.disarm(list(probes) or None, everybody=everybody)
            for one in answer.ended
        ]
        for agent, one in gone:
            if as_json:
                out.object(ended_form(agent, one))
            else:
                out.line(f"{one.probe_id} in {agent.name}: {ended(one)}")
        if probes and not gone and not client.refusals:
            raise NoSuchProbe(f"no probe {' '.join(probes)} lives in the agents reached; `status` lists them")
        if not gone:
            out.say(
                "nothing was armed"
                if everybody
                else "nothing was armed by you; --all disarms what others armed"
            )
        return complain(out, client)
