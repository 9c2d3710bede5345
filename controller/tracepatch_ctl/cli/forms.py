"""The objects that `--json` prints, one function for each type. docs/cli-json.md lists them, golden files pin them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ..choice import Tally

if TYPE_CHECKING:
    from ..events import Armed, End, Outcome
    from ..reports import Agent, Counters, Ended, Function
    from ..standing import AgentStacks
    from ..store import Entry


def agent_ref(agent: Agent) -> dict[str, Any]:
    """Which agent something was said by; `agents --json` has the rest."""
    return {"agent_id": agent.agent_id, "service": agent.service, "host": agent.host, "pid": agent.pid}


def function_form(function: Function) -> dict[str, Any]:
    """A function that a target matches."""
    return asdict(function)


def probe_form(agent: Agent, counters: Counters) -> dict[str, Any]:
    """`probe`: one probe in one agent, now."""
    return {"type": "probe", "agent": agent_ref(agent), **_counters(counters)}


def ended_form(agent: Agent, ended: Ended) -> dict[str, Any]:
    """`ended`: a probe that ended in one agent."""
    return {"type": "ended", "agent": agent_ref(agent), **_ended(ended)}


def stack_forms(stacks: AgentStacks) -> Iterator[dict[str, Any]]:
    """`thread` and `task` of one process, each with its frames, and `stacks`: how many there are."""
    agent = agent_ref(stacks.agent)
    for thread in stacks.threads:
        yield {"type": "thread", "agent": agent, **asdict(thread)}
    for task in stacks.tasks:
        form = asdict(task)
        yield {"type": "task", "agent": agent, "class": form.pop("cls"), **form}
    yield {
        "type": "stacks",
        "agent": agent,
        "threads": stacks.threads_total,
        "threads_shown": len(stacks.threads),
        "tasks": stacks.tasks_total,
        "tasks_shown": len(stacks.tasks),
        "not_shown": stacks.not_shown,
        "notes": list(stacks.notes),
        "took_ns": stacks.took_ns,
    }


def armed_form(event: Armed) -> dict[str, Any]:
    """`armed`: an agent took the probe."""
    return {
        "type": "armed",
        "agent": agent_ref(event.agent),
        "probe_id": event.probe_id,
        "matched": [function_form(function) for function in event.matched],
        "matched_total": event.matched_total,
        "near": list(event.near),
        "waits_for_import": event.waits_for_import,
        "limits": event.limits,
        "lowered": list(event.lowered),
        "raised": list(event.raised),
        "having": [{**asdict(one), "near": list(one.near)} for one in event.having],
        "refused": [{"target": name, "why": why} for name, why in event.refused],
        "notes": list(event.notes),
        "expires_in_s": event.expires_in_s,
        "joined": event.joined,
    }


def error_form(code: str, message: str, agent: Agent | None = None) -> dict[str, Any]:
    """`error`: a refusal, a lost agent, or why the command failed."""
    form: dict[str, Any] = {"type": "error", "code": code, "message": message}
    return form if agent is None else {**form, "agent": agent_ref(agent)}


def end_form(end: End, exit_code: int) -> dict[str, Any]:
    """`end`: the last line of `arm --json`."""
    return {
        "type": "end",
        "probe_id": end.probe_id,
        "reason": end.reason,
        "message": end.message,
        "option": end.option,
        "asked": end.asked,
        "kept": end.kept,
        "surplus": end.surplus,
        "cut_off": end.cut_off,
        "seen": end.seen,
        "passed_over": end.passed_over,
        "where_false": end.where_false,
        "where_errors": end.where_errors,
        "where_error": end.where_error,
        **asdict(end.tally),
        "next": end.next,
        "errors": end.errors,
        "spent_ns": end.spent_ns,
        "others_share": end.others_share,
        "clean": end.clean,
        "agents": [_outcome(outcome) for outcome in end.per_agent],
        "exit_code": exit_code,
    }


def nothing_form(reason: str, message: str, asked: int, exit_code: int) -> dict[str, Any]:
    """`end` of an `arm --json` that reached nobody or could not begin."""
    names = (
        "kept",
        "surplus",
        "cut_off",
        "seen",
        "passed_over",
        "where_false",
        "where_errors",
        "errors",
        "spent_ns",
    )
    counts = dict.fromkeys(names, 0)
    return {
        "type": "end",
        "probe_id": "",
        "reason": reason,
        "message": message,
        "option": None,
        "asked": asked,
        **counts,
        "where_error": None,
        **asdict(Tally()),
        "next": None,
        "others_share": 0.0,
        "clean": True,
        "agents": [],
        "exit_code": exit_code,
    }


def stored_form(entry: Entry) -> dict[str, Any]:
    """`stored`: what the store knows of a trace."""
    return {"type": "stored", **asdict(entry)}


def _counters(counters: Counters) -> dict[str, Any]:
    return {
        **asdict(counters),
        "targets": list(counters.targets),
        "missed": [asdict(one) for one in counters.missed],
        "having": list(counters.having),
    }


def _ended(ended: Ended) -> dict[str, Any]:
    return {
        "probe_id": ended.probe_id,
        "reason": ended.reason,
        "message": ended.message,
        "option": ended.option,
        "counters": _counters(ended.counters),
        "spent_ns": ended.spent_ns,
        "others_share": ended.others_share,
        "events": ended.events,
        "tool_id_freed": ended.tool_id_freed,
        "hooks": ended.hooks,
        "hooked_threads": ended.hooked_threads,
        "clean": ended.clean,
    }


def _outcome(outcome: Outcome) -> dict[str, Any]:
    ended = outcome.ended
    return {
        "agent": agent_ref(outcome.agent),
        "result": outcome.result,
        "reason": outcome.reason,
        "message": outcome.message,
        "kept": outcome.kept,
        "seen": outcome.seen,
        "passed_over": outcome.passed_over,
        "where_false": outcome.where_false,
        "where_errors": outcome.where_errors,
        "where_error": outcome.where_error,
        **asdict(outcome.tally),
        "errors": outcome.errors,
        "spent_ns": ended.spent_ns if ended else 0,
        "others_share": ended.others_share if ended else 0.0,
        "events": ended.events if ended else None,
        "tool_id_freed": ended.tool_id_freed if ended else None,
        "hooks": ended.hooks if ended else None,
        "hooked_threads": ended.hooked_threads if ended else None,
        "clean": ended.clean if ended else False,
    }
