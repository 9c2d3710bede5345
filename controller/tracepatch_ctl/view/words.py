"""The sentences of an armed session: what matched, where it stands, and the proof at its end."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tracepatch_shared.text import duration

from ..choice import tally
from .chosen import left_out, passed_over
from .durations import milliseconds

if TYPE_CHECKING:
    from ..events import Armed, End, Outcome, Progress
    from ..reports import Agent, Counters, Ended, Sought

NAMES = 5
"""Functions, agents and near misses that a sentence names before it counts."""


def many(count: int, noun: str) -> str:
    """Return `1 process`, `2 processes`, `3 traces`."""
    if count == 1:
        return f"1 {noun}"
    return f"{count} {noun}{'es' if noun.endswith('s') else 's'}"


def listed(names: Sequence[str], total: int | None = None) -> str:
    """Return the first few names, and how many more there are."""
    total = len(names) if total is None else total
    shown = list(names[:NAMES])
    if total > len(shown):
        return f"{', '.join(shown)} and {total - len(shown)} more"
    return ", ".join(shown)


def clock(moment: float) -> str:
    """Return a local time of day, with the date when it is not today's."""
    there = time.localtime(moment)
    today = time.localtime()[:3] == there[:3]
    return time.strftime("%H:%M:%S" if today else "%Y-%m-%d %H:%M", there)


def armed(events: Sequence[Armed], targets: Sequence[str]) -> list[str]:
    """Return what agents that took a probe have to say, those that say the same in one line."""
    groups: dict[object, list[Armed]] = {}
    for event in events:
        same = (
            event.matched, event.matched_total, event.near, event.joined, event.having, event.lowered, event.refused,
            event.notes,
        )  # fmt: skip
        groups.setdefault(same, []).append(event)
    lines = []
    for group in groups.values():
        first = group[0]
        where = _agents([event.agent for event in group])
        verb = "armed later" if first.joined else "armed"
        if first.matched_total:
            names = listed([f"{one.module}:{one.function}" for one in first.matched], first.matched_total)
            what = many(first.matched_total, "function")
            lines.append(f"{verb} {first.probe_id} in {where}: {what}, {names}")
        else:
            lines.append(
                f"{verb} {first.probe_id} in {where}: nothing that is loaded matches {' '.join(targets)}"
            )
            if first.near:
                lines.append(f"  similar names: {listed(first.near)}")
            if first.waits_for_import:
                lines.append("  waiting for a module that matches to be imported")
        lines += having(first.having)
        lines += [
            f"  {sentence}"
            for sentence in (*first.lowered, *first.raised, *first.notes, *_refused(first.refused))
        ]
    return lines


def having(sought: Sequence[Sought]) -> list[str]:
    """Return what is to be said of calls that `--having` asks for and that nothing loaded matches."""
    lines = []
    for one in sought:
        if not one.matched_total:
            lines.append(f"  --having: nothing that is loaded matches {one.having}")
            if one.near:
                lines.append(f"  similar names: {listed(one.near)}")
            if one.waits_for_import:
                lines.append("  waiting for a module that matches to be imported")
    return lines


def _refused(refused: Sequence[tuple[str, str]]) -> list[str]:
    """Return a sentence for each reason why something is not traced."""
    by_reason: dict[str, list[str]] = {}
    for name, why in refused:
        by_reason.setdefault(why, []).append(name)
    return [f"not traced: {listed(names)}: {why}" for why, names in by_reason.items()]


def _agents(agents: Sequence[Agent]) -> str:
    if len(agents) == 1:
        return agents[0].name
    return f"{many(len(agents), 'process')} ({listed([agent.name for agent in agents])})"


def standing(progress: Progress, left_s: float) -> str:
    """Return the status line: `waiting 12s left · 812 seen · 2 of 3 kept`."""
    state = f"tracing {progress.live}" if progress.live else "waiting"
    parts = [f"{state}, {_left(left_s)} left" if progress.live else f"{state} {_left(left_s)} left"]
    parts.append(f"{progress.seen} seen")
    parts += unmeant(progress)
    if progress.passed_over:
        parts.append(passed_over(progress.passed_over, wanting=progress.kept < progress.asked))
    parts += left_out(progress.tally)
    parts.append(f"{progress.kept} of {progress.asked} kept")
    if progress.agents > 1:
        parts.append(many(progress.agents, "process"))
    return " · ".join(parts)


def unmeant(counts: Progress | End | Counters | Outcome) -> list[str]:
    """Return how many of the tasks that were seen a condition left out, nothing for none."""
    parts = [f"{counts.where_false} where-false"] if counts.where_false else []
    return parts + ([many(counts.where_errors, "where-error")] if counts.where_errors else [])


def where_error(counts: Progress | End) -> str:
    """Return the sentence about a condition that could not be evaluated."""
    return f"--where could not be evaluated {many(counts.where_errors, 'time')}, the first time: {counts.where_error}"


def _left(seconds: float) -> str:
    seconds = max(0.0, seconds)
    return f"{seconds:.0f}s" if seconds < 120 else duration(seconds * 1e9)


def proof(end: End) -> str:
    """Return the last line: what was kept, what it cost, and that nothing is left behind."""
    counts = f"{end.kept} of {end.asked} kept"
    if end.surplus:
        counts += f" ({end.surplus} more came and was let go)"
    if end.cut_off:
        counts += f" ({end.cut_off} cut off)"
    wanting = end.kept < end.asked or end.tally.not_kept > 0
    passed = passed_over(end.passed_over, wanting=wanting)
    counts += ", " + ", ".join((f"{end.seen} seen", *unmeant(end), passed, *left_out(end.tally)))
    if end.errors:
        counts += f", {many(end.errors, 'error')}"
    ended = [outcome.ended for outcome in end.per_agent if outcome.ended is not None]
    unknown = sum(outcome.result == "lost" for outcome in end.per_agent)
    if end.next:
        counts += f"; try {end.next}"
    return (
        f"{counts}; {_cost(end.spent_ns, end.others_share)}; {_left_behind(ended, unknown, bool(end.clean))}"
    )


def outcome(outcome: Outcome, armed: Sequence[Armed]) -> str:
    """Return what became of the probe in one agent of several."""
    name = outcome.agent.name
    if outcome.result in ("refused", "lost"):
        return f"{name}: {outcome.message or outcome.reason}"
    matched = next((one.matched_total for one in armed if one.agent.agent_id == outcome.agent.agent_id), 0)
    passed = passed_over(outcome.passed_over, wanting=True)
    others = (*unmeant(outcome), passed, *left_out(outcome.tally))
    return f"{name}: {many(matched, 'function')}, {outcome.kept} kept, " + ", ".join(
        (f"{outcome.seen} seen", *others)
    )


def ended(ended: Ended) -> str:
    """Return the same for one agent."""
    counters = ended.counters
    passed = passed_over(
        counters.passed_over, wanting=counters.kept < counters.count or counters.not_kept > 0
    )
    others = (*unmeant(counters), passed, *left_out(tally([counters])))
    counts = f"{counters.kept} of {counters.count} kept, " + ", ".join((f"{counters.seen} seen", *others))
    return f"{counts}; {_cost(ended.spent_ns, ended.others_share)}; {_left_behind([ended], 0, ended.clean)}"


def _cost(spent_ns: int, share: float) -> str:
    return f"{milliseconds(spent_ns)} spent, {share * 100:.1f} % of one core on others"


def _left_behind(ended: Sequence[Ended], unknown: int, clean: bool) -> str:
    parts = []
    if ended:
        freed = all(one.tool_id_freed for one in ended)
        parts.append(f"events {sum(one.events for one in ended)}")
        parts.append(
            "tool id freed" if freed else f"tool id {'in use by other traces' if clean else 'NOT freed'}"
        )
        hooks = sum(one.hooks for one in ended)
        if hooks:
            parts.append(f"hooks {hooks}")
        waiting = sum(max(0, one.hooked_threads) for one in ended)
        if waiting:
            parts.append(
                f"hook on {many(waiting, 'waiting thread')} until {'it goes' if waiting == 1 else 'they go'} on"
            )
    if unknown:
        parts.append(f"{many(unknown, 'process')} gone without a word")
    return f"{', '.join(parts) or 'nothing was armed'}: {'clean' if clean else 'NOT proven clean'}"
