"""Commands that look: `stacks`, `agents`, `targets`, `status`. Nothing is changed in any process."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from tracepatch_shared.limits import MAX_STACKS, STACKS
from tracepatch_shared.showing import escape
from tracepatch_shared.text import duration, size

from ..view.advice import quoted
from ..view.chosen import nearest
from ..view.stacks import draw
from ..view.table import table
from ..view.words import clock, many, unmeant
from .completion import offer_targets
from .forms import function_form, probe_form, stack_forms
from .options import agent_options, json_option
from .output import Output
from .reach import complain, reach

if TYPE_CHECKING:
    from ..reports import Function


@click.command()
@click.option("--task", metavar="GLOB", help="Only tasks with this name, or whose coroutine has it.")
@click.option("--thread", metavar="GLOB", help="Only threads with this name.")
@click.option(
    "--limit",
    type=click.IntRange(1, MAX_STACKS),
    default=STACKS,
    show_default=True,
    help="Tasks, and threads, of each agent.",
)
@agent_options
@json_option
def stacks(task: str | None, thread: str | None, limit: int, agents: dict[str, Any], as_json: bool) -> int:
    """Show what every thread and task is doing now.

    Also when an event loop hangs; nothing is armed.
    """
    out = Output(as_json=as_json)
    with reach(agents) as client:
        answers = client.stacks(task=task, thread=thread, limit=limit)
        if task is not None and thread is None:
            answers = [replace(answer, threads=()) for answer in answers]
        elif thread is not None and task is None:
            answers = [replace(answer, tasks=(), not_shown={}) for answer in answers]
        for place, answer in enumerate(answers):
            if as_json:
                for form in stack_forms(answer):
                    out.object(form)
                continue
            if place:
                out.line()
            for line in draw(answer):
                out.line(line)
        return complain(out, client, answered=bool(answers))


@click.command()
@agent_options
@json_option
def agents(agents: dict[str, Any], as_json: bool) -> int:
    """List the agents that can be reached and what each records with."""
    out = Output(as_json=as_json)
    with reach(agents) as client:
        found = client.agents()
        if not found:
            raise client.nobody()
        if as_json:
            for agent in found:
                out.object(agent.to_json())
        else:
            rows = [
                (
                    agent.agent_id,
                    agent.service or "?",
                    agent.host or "?",
                    str(agent.pid or "?"),
                    agent.python,
                    agent.core,
                    agent.state,
                    duration(agent.uptime_s * 1e9) if agent.answers else "",
                    ",".join(f"{key}={value}" for key, value in agent.labels.items()),
                    agent.reason or agent.problem or agent.core_reason,
                )
                for agent in found
            ]
            names = ("agent", "service", "host", "pid", "python", "core", "state", "up", "labels", "why")
            for line in table(names, rows):
                out.line(escape(line))
        return complain(out, client, answered=any(agent.answers for agent in found))


@click.command()
@click.argument("pattern", shell_complete=offer_targets)
@click.option(
    "--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="Names of each agent."
)
@agent_options
@json_option
def targets(pattern: str, limit: int, agents: dict[str, Any], as_json: bool) -> int:
    """List what can be armed and PATTERN names.

    PATTERN is a target with globs, as 'app.*:*.check*', http:'POST /items*' or task:'worker*'; or a word that is looked
    for in the names of functions, routes, running tasks and threads.
    """
    out = Output(as_json=as_json)
    with reach(agents) as client:
        answers = client.targets(pattern, limit=limit)
        # Workers of one service say the same: what they name is shown once, with how many processes have it.
        functions: dict[Function, int] = {}
        entries: dict[tuple[str, str, str], list[int]] = {}
        total = 0
        near: dict[str, None] = {}
        refused: dict[tuple[str, str], None] = {}
        for answer in answers:
            total = max(total, answer.total + answer.entries_total)
            near.update(dict.fromkeys(answer.near))
            refused.update(dict.fromkeys(answer.refused))
            for function in answer.matched:
                functions[function] = functions.get(function, 0) + 1
            for entry in answer.entries:
                entries.setdefault((entry.kind, entry.target, entry.what), []).append(entry.count)
        if as_json:
            for (kind, target, what), counts in entries.items():
                form = {
                    "target": target,
                    "kind": kind,
                    "what": what,
                    "count": sum(counts),
                    "agents": len(counts),
                }
                out.object({"type": "target", **form})
            for function, processes in functions.items():
                name = f"{function.module}:{function.function}"
                out.object({"type": "target", "target": name, **function_form(function), "agents": processes})
            if not functions and not entries:
                out.object({"type": "near", "pattern": pattern, "near": list(near)})
        else:
            rows = [
                (
                    quoted(target),
                    what,
                    f"{sum(counts)} {kind}s" if sum(counts) > 1 else kind,
                    str(len(counts)),
                )
                for (kind, target, what), counts in entries.items()
            ] + [
                (quoted(f"{one.module}:{one.function}"), f"{one.file}:{one.line}", one.kind, str(processes))
                for one, processes in functions.items()
            ]
            if rows:
                for line in table(("target", "place", "kind", "processes"), rows):
                    out.line(escape(line))
            if total > len(rows):
                out.say(f"{total - len(rows)} more match: a narrower pattern or --limit shows them")
            for name, why in refused:
                out.say(f"{name} cannot be traced: {why}")
        if answers and not functions and not entries:
            names = f"; similar names: {', '.join(map(quoted, list(near)[:8]))}" if near else ""
            out.say(f"nothing that is loaded in {many(len(answers), 'process')} matches {pattern}{names}")
        return complain(out, client, answered=bool(answers))


@click.command()
@agent_options
@json_option
def status(agents: dict[str, Any], as_json: bool) -> int:
    """List the armed probes, who armed them, until when."""
    out = Output(as_json=as_json)
    with reach(agents) as client:
        answers = client.status()
        if as_json:
            for answer in answers:
                for probe in answer.probes:
                    out.object(probe_form(answer.agent, probe))
            return complain(out, client, answered=bool(answers))
        now = time.time()
        rows = [
            (
                probe.probe_id,
                " ".join(probe.targets)
                + (f" --where {probe.where!r}" if probe.where else "")
                + (f" --keep {probe.keep!r}" if probe.keep else ""),
                answer.agent.name,
                probe.operator + (" (detached)" if probe.detached else ""),
                clock(probe.armed_at),
                clock(now + probe.expires_in_s) if probe.detached or probe.expires_in_s > 0 else "ending",
                f"{probe.kept} of {probe.count}",
                " · ".join((str(probe.seen), *unmeant(probe))),
                str(probe.passed_over),
                str(probe.sampled_out + probe.rate_limited or ""),
                f"{probe.not_kept}{f' ({nearest(probe.nearest)})' if probe.nearest else ''}"
                if probe.not_kept
                else "",
                f"{probe.finished}, {size(probe.held_bytes)}" if probe.finished else "",
            )
            for answer in answers
            for probe in answer.probes
        ]
        if rows:
            names = (
                "probe",
                "targets",
                "agent",
                "by",
                "since",
                "until",
                "kept",
                "seen",
                "passed over",
                "not chosen",
                "not kept",
                "to collect",
            )
            for line in table(names, rows):
                out.line(escape(line))
        elif answers:
            out.say(f"nothing is armed in {many(len(answers), 'process')}")
        for answer in answers:
            if answer.agent.problem:
                out.say(f"{answer.agent.name}: {answer.agent.problem}")
        return complain(out, client, answered=bool(answers))
