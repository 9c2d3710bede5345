"""What a shell offers on Tab: targets of the live processes, saved probes, ids of probes and traces, tags.

Whoever presses Tab waits: what is not there within `WITHIN_S` is not offered, and neither is a reason.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from typing import Final, Protocol

import click
from click.shell_completion import BashComplete, CompletionItem, add_completion_class, split_arg_string

from ..view.advice import quoted

WITHIN_S: Final = 1.0
MOST: Final = 200

Offer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]

_KINDS: Final = ("http", "task", "job", "thread")


class _Look(Protocol):
    def __call__(self, incomplete: str) -> Iterable[str]: ...


def _offered(look: _Look) -> Offer:
    """Return what click asks for: it never raises, never prints, and ends in time."""

    def offer(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        found: list[str] = []

        def fill() -> None:
            try:
                found.extend(look(incomplete))
            except BaseException:  # noqa: BLE001 - a Tab that fails offers nothing
                pass

        worker = threading.Thread(target=fill, daemon=True)
        worker.start()
        worker.join(WITHIN_S)
        return [CompletionItem(value) for value in sorted(dict.fromkeys(list(found)))[:MOST]]

    return offer


def _targets(incomplete: str) -> list[str]:
    if incomplete.startswith("@"):
        from ..saved import names

        return [f"@{name}" for name in names() if name.startswith(incomplete[1:])]
    kind, colon, rest = incomplete.partition(":")
    if colon and kind in _KINDS:
        return [quoted(target) for target in _listed(f"{kind}:*") if target.startswith(incomplete)]
    if colon:
        return [target for target in _listed(f"{kind}:{rest}*") if target.startswith(incomplete)]
    # Of nothing typed there would be thousands: the main program's functions are a beginning.
    found = _listed(f"{incomplete}*:*") if incomplete else _listed("__main__:*")
    modules = {target.partition(":")[0] for target in found}
    return [f"{name}:" for name in (*modules, *_KINDS) if name.startswith(incomplete)]


def _listed(pattern: str) -> list[str]:
    from .. import Client

    with Client() as client:
        answers = client.targets(pattern, limit=1000)
        return [
            target
            for answer in answers
            for target in (
                *(entry.target for entry in answer.entries),
                *(f"{one.module}:{one.function}" for one in answer.matched),
            )
        ]


def _probes(incomplete: str) -> list[str]:
    from .. import Client

    with Client() as client:
        ids = [probe.probe_id for answer in client.status() for probe in answer.probes]
        return [one for one in ids if one.startswith(incomplete)]


def _traces(incomplete: str) -> list[str]:
    from .sources import kept

    with kept() as store:
        ids = [entry.trace_id for entry in store.entries(limit=MOST)]
    return [one for one in (*ids, *(["last"] if ids else [])) if one.startswith(incomplete)]


def _tags(incomplete: str) -> list[str]:
    from .sources import kept

    with kept() as store:
        return [entry.tag for entry in store.entries() if entry.tag and entry.tag.startswith(incomplete)]


offer_targets = _offered(_targets)
offer_probes = _offered(_probes)
offer_traces = _offered(_traces)
offer_tags = _offered(_tags)


class Bash(BashComplete):
    """Bash parts words at `:` and `=`, of which targets are made, and expands globs in what it is given: click's script
    takes its parts for arguments. This one reads the line itself, and offers what follows the last part.
    """

    source_template = """\
%(complete_func)s() {
    mapfile -t COMPREPLY < <(COMP_LINE="${COMP_LINE:0:COMP_POINT}" COMP_BREAKS="$COMP_WORDBREAKS" \\
        %(complete_var)s=bash_complete $1 2>/dev/null)
    [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *: ]] && compopt -o nospace
    return 0
}
complete -o nosort -o bashdefault -F %(complete_func)s %(prog_name)s
"""

    def get_completion_args(self) -> tuple[list[str], str]:
        line = os.environ.get("COMP_LINE", "")
        words = split_arg_string(line)
        incomplete = "" if not words or line[-1:].isspace() else words.pop()
        self._cut = 1 + max(
            (incomplete.rfind(mark) for mark in os.environ.get("COMP_BREAKS", "") if mark in ":=@"),
            default=-1,
        )
        return words[1:], incomplete

    def format_completion(self, item: CompletionItem) -> str:
        return str(item.value)[self._cut :]


def install() -> None:
    """Let `_TRACEPATCH_CTL_COMPLETE=bash_source` print this script instead of click's."""
    add_completion_class(Bash)
