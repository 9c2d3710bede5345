"""Agents as a command reaches them, and what is said of those that it did not reach."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tracepatch_shared.errors import NobodyReached, Refused

from .forms import error_form
from .output import Output

if TYPE_CHECKING:
    from ..client import Client


def reach(agents: dict[str, Any]) -> Client:
    """Return a client for the agents that the options choose."""
    from ..client import Client

    return Client(**agents)


def complain(out: Output, client: Client, *, answered: bool = True) -> int:
    """Say a line for each agent that was silent or refused in the last operation; return the exit code.

    That is 0 where somebody did what was asked (`answered`): the rest decides. Else it says whether all refused.
    """
    for agent in client.unreached:
        out.say(f"{agent.name} is {agent.state}: {agent.reason or 'it gave no answer'}")
    for refusal in client.refusals:
        if out.as_json:
            out.object(error_form(refusal.code, refusal.message, refusal.agent))
        out.say(f"{refusal.agent.name} refused: {refusal.message}")
    if answered:
        return 0
    return Refused.exit_code if client.refusals else NobodyReached.exit_code
