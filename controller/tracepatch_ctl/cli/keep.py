"""Commands that change what is kept: `tag`, `rm`, `prune`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from tracepatch_shared.errors import UsageError
from tracepatch_shared.text import parse_duration, parse_size, size

from ..view.words import many
from . import sources
from .completion import offer_traces
from .forms import stored_form
from .options import json_option
from .output import Output

if TYPE_CHECKING:
    from ..store import Entry


@click.command()
@click.argument("trace", shell_complete=offer_traces)
@click.argument("name", required=False)
@click.option("--remove", is_flag=True, help="Take the tag away.")
@json_option
def tag(trace: str, name: str | None, remove: bool, as_json: bool) -> None:
    """Give a kept TRACE a NAME; it is not pruned then."""
    if remove == (name is not None):
        raise UsageError("say which: `tag TRACE NAME` gives a tag, `tag TRACE --remove` takes it away")
    with sources.changed() as store:
        entry = store.find(trace)
        store.tag(entry, name)
    if as_json:
        Output(as_json=True).object(stored_form(replace(entry, tag=name)))


@click.command()
@click.argument("references", nargs=-1, required=True, metavar="TRACE...", shell_complete=offer_traces)
@json_option
def rm(references: tuple[str, ...], as_json: bool) -> None:
    """Remove kept traces."""
    with sources.changed() as store:
        gone = list({entry.number: entry for entry in map(store.find, references)}.values())
        store.remove(gone)
    _removed(gone, as_json)


@click.command()
@click.option(
    "--keep",
    required=True,
    metavar="N|AGE|SIZE",
    help="What stays: the newest 100, those of 7d, or 500MiB of them.",
)
@json_option
def prune(keep: str, as_json: bool) -> None:
    """Remove the oldest kept traces.

    Tagged ones stay. Nothing is ever removed without this command or `rm`.
    """
    with sources.changed() as store:
        if re.fullmatch(r"\d{1,9}", keep):
            gone = store.prune(count=int(keep))
        elif re.fullmatch(r"[\d.]+\s*(?:[KMG]i?B|kB|B)", keep):
            gone = store.prune(size_bytes=parse_size(keep))
        else:
            try:
                gone = store.prune(age_s=parse_duration(keep))
            except UsageError:
                raise UsageError(
                    f"{keep!r} does not say what to keep: write a number, an age as 7d or a size as 500MiB"
                ) from None
    _removed(gone, as_json)


def _removed(gone: Sequence[Entry], as_json: bool) -> None:
    out = Output(as_json=as_json)
    if as_json:
        for entry in gone:
            out.object(stored_form(entry))
    out.say(f"{many(len(gone), 'trace')} removed, {size(sum(entry.bytes for entry in gone))}")
