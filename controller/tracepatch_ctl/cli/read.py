"""Commands that read what was kept: `traces`, `show`, `export`."""

from __future__ import annotations

import os

import click

from tracepatch_shared.errors import TracepatchError
from tracepatch_shared.showing import escape
from tracepatch_shared.text import duration, size

from ..export import FORMATS, document, lines
from ..export import export as exported
from ..store import location
from ..view.table import table
from ..view.tree import TERMINAL_LINES, painter, tree
from ..view.words import clock
from . import sources
from .completion import offer_tags, offer_traces
from .forms import stored_form
from .keeping import create
from .options import LINES, json_option
from .output import Output


@click.command()
@click.option("-n", "--limit", type=click.IntRange(1), default=20, show_default=True, help="The newest ones.")
@click.option("--tag", metavar="NAME", shell_complete=offer_tags, help="Only with this tag.")
@json_option
def traces(limit: int, tag: str | None, as_json: bool) -> None:
    """List the traces that are kept, the newest first."""
    out = Output(as_json=as_json)
    if not location()[0].exists():
        out.say("no traces are kept yet")
        return
    with sources.kept() as store:
        entries = store.entries(limit=limit, tag=tag)
    if as_json:
        for entry in entries:
            out.object(stored_form(entry))
        return
    rows = [
        (
            entry.trace_id,
            clock(entry.started_at_ns / 1e9),
            duration(entry.duration_ns or 0),
            str(entry.calls),
            entry.status if entry.reason is None else f"{entry.status}: {entry.reason}",
            entry.target,
            entry.task if entry.task not in entry.target else "",
            f"{entry.service}@{entry.host}:{entry.pid}",
            size(entry.bytes),
            entry.tag or "",
        )
        for entry in entries
    ]
    if not rows:
        out.say("no traces are kept" if tag is None else f"no trace has the tag {tag}")
        return
    for line in table(
        ("trace", "at", "took", "calls", "status", "target", "task", "agent", "size", "tag"), rows
    ):
        out.line(escape(line))


@click.command()
@click.argument("trace", default="last", shell_complete=offer_traces)
@click.option(
    "--lines",
    "max_lines",
    type=LINES,
    help="Lines of the tree, or all.  [default: 200 in a terminal, else all]",
)
@click.option("--flat", is_flag=True, help="With --json: one call a line.")
@json_option
def show(trace: str, max_lines: int | None, flat: bool, as_json: bool) -> None:
    """Show the newest trace, or the one named.

    TRACE is an id or its beginning; last, last~1, last~2 count back from the newest; 2 is the second of the last arm;
    a file of ours (JSON, NDJSON, a raw stream), or - for standard input.
    """
    out = Output(as_json=as_json)
    found = sources.traces(trace)
    if as_json or flat:
        for one in found:
            out.pieces((lines if flat else document)(one))
        return
    if max_lines is None and out.terminal:
        max_lines = TERMINAL_LINES
    paint = painter(out.colour)
    for place, one in enumerate(found):
        if place:
            out.line()
        rest = f"`tracepatch-ctl show {trace} --lines all` shows the rest"
        out.pieces(tree(one, paint=paint, ascii=out.ascii, max_lines=max_lines or None, rest=rest))


@click.command()
@click.argument("references", nargs=-1, required=True, metavar="TRACE...", shell_complete=offer_traces)
@click.option("--format", "name", type=click.Choice(list(FORMATS)), default="json", show_default=True)
@click.option(
    "-o", "path", default="-", metavar="FILE", help="Write here, readable by you only; - is standard output."
)
def export(references: tuple[str, ...], name: str, path: str) -> None:
    """Write traces in a format for other tools.

    json is one nested object a trace, on one line; ndjson is one call a line.
    """
    out = Output()
    found = [trace for reference in references for trace in sources.traces(reference)]
    if path == "-":
        out.pieces(exported(found, name))
        return
    try:
        with os.fdopen(create(path), "w", encoding="utf-8", errors="backslashreplace") as file:
            file.writelines(exported(found, name))
    except OSError as error:
        raise TracepatchError(f"{path} cannot be written: {error.strerror or error}") from None
