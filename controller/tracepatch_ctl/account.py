"""The final account of a session, over all its agents."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .choice import advice, tally
from .events import End
from .member import ARMED, ENDED, GREETING, LOST, REFUSED, Member

if TYPE_CHECKING:
    from .attachment import Attachment


def account(attachment: Attachment) -> End:
    """Return the last event of a session."""
    # One that was found late and has not said yet whether it is meant took no part.
    members = [member for member in attachment.members if not (member.joined and member.state == GREETING)]
    took_part = [member for member in members if member.was_armed]
    outcomes = tuple(member.outcome() for member in members)
    proofs = [member.ended for member in took_part if member.ended is not None]
    reason, message, option = _reason(attachment, took_part)
    counts = tally(member.ended.counters if member.ended else member.counters for member in members)
    passed_over = sum(outcome.passed_over for outcome in outcomes)
    return End(
        probe_id=attachment.probe_id,
        reason=reason,
        message=message,
        option=option,
        asked=attachment.asked,
        kept=attachment.harvest.kept,
        surplus=attachment.harvest.surplus,
        cut_off=attachment.harvest.cut_off,
        seen=sum(outcome.seen for outcome in outcomes),
        passed_over=passed_over,
        where_false=sum(outcome.where_false for outcome in outcomes),
        where_errors=sum(outcome.where_errors for outcome in outcomes),
        where_error=next((outcome.where_error for outcome in outcomes if outcome.where_error), None),
        errors=sum(outcome.errors for outcome in outcomes),
        spent_ns=sum(proof.spent_ns for proof in proofs),
        others_share=max((proof.others_share for proof in proofs), default=0.0),
        clean=None
        if attachment.detached and not attachment.finishing
        else len(proofs) == len(took_part) and all(proof.clean for proof in proofs),
        per_agent=outcomes,
        exit_code=_exit_code(attachment, took_part),
        tally=counts,
        next=None if attachment.harvest.kept else advice(attachment.probe, counts, passed_over),
    )


def _exit_code(attachment: Attachment, took_part: list[Member]) -> int:
    if not took_part:
        return 4 if any(member.state == REFUSED for member in attachment.members) else 3
    return (
        0
        if (attachment.detached and not attachment.finishing) or attachment.harvest.kept >= attachment.asked
        else 5
    )


def _reason(attachment: Attachment, took_part: list[Member]) -> tuple[str, str, str | None]:
    kept, asked = attachment.harvest.kept, attachment.asked
    if not took_part:
        refused = [member for member in attachment.members if member.state == REFUSED]
        if refused:
            return "refused", f"{_agents(len(refused))} refused: {refused[0].message}", None
        first = next(iter(attachment.members), None)
        return (
            (first.reason or "silent", first.message, None)
            if first
            else ("silent", "no agent answered", None)
        )
    if attachment.detached and not attachment.finishing:
        armed = sum(member.state == ARMED for member in took_part)
        return "detached", f"armed in {_agents(armed)}; `collect` brings the traces", None
    if kept >= asked:
        return "count", f"{kept} of {asked} kept", None
    if attachment.finishing:
        ways = {"disarm": "disarmed", "ttl": "the time to live ran out"}
        return (
            attachment.finishing,
            ways[attachment.finishing],
            "--ttl" if attachment.finishing == "ttl" else None,
        )
    last = [member for member in took_part if member.state == ENDED] or [
        m for m in took_part if m.state == LOST
    ]
    reasons = [member.reason for member in last]
    common = max(last, key=lambda member: reasons.count(member.reason))
    return common.reason, common.message, common.ended.option if common.ended else None


def _agents(count: int) -> str:
    return "1 agent" if count == 1 else f"{count} agents"
