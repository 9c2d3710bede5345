"""`arm` and `collect`: the two commands through which traces come."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import click

from tracepatch_shared.errors import TracepatchError, UsageError
from tracepatch_shared.limits import MAX_COUNT, MAX_TTL_S

from ..view.advice import shown
from .completion import offer_probes, offer_tags, offer_targets
from .forms import nothing_form
from .options import (
    CAPTURE,
    DURATION,
    PERCENT,
    SIZE,
    agent_options,
    choice_options,
    json_option,
    output_option,
    save_option,
)
from .output import Output
from .reach import complain, reach
from .saving import all_typed, armed_from, keep, taken_apart

EXAMPLES = """\b
  tracepatch-ctl arm app.cart:Cart.checkout              the next call of a method, wherever it is served
  tracepatch-ctl arm app/views.py:120 -n 3 --where 'user_id == 42'    a place from a traceback, for one customer
  tracepatch-ctl arm 'app.views:*' --service shop --force --max-depth 8 -o traces/
  tracepatch-ctl arm app.jobs:nightly --detach --ttl 8h  and in the morning: tracepatch-ctl collect
"""


class ArmCommand(click.Command):
    """A command whose help begins with examples: they are what is looked for at three in the morning."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, taken_apart(self, ctx, args))

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for line in EXAMPLES.splitlines()[1:]:
            formatter.write(f"{line.strip()}\n")
        formatter.write("\n")
        super().format_help(ctx, formatter)


@click.command(cls=ArmCommand)
@click.argument("targets", nargs=-1, required=True, metavar="TARGET...", shell_complete=offer_targets)
@click.option(
    "-n",
    "--count",
    type=click.IntRange(1, MAX_COUNT),
    default=1,
    show_default=True,
    help="Traces to keep, over all agents.",
)
@choice_options
@click.option("--per-agent", is_flag=True, help="Keep that many in each agent.")
@click.option("--ttl", type=DURATION, help="How long to wait for them.  [default: 5m]")
@click.option(
    "--where", metavar="EXPR", help="Only tasks whose arguments meet a condition, as in 'user_id == 42'."
)
@click.option("--max-calls", type=click.IntRange(1), help="Calls of one trace.  [default: 20000]")
@click.option(
    "--max-depth",
    type=click.IntRange(1),
    help="Calls deeper than this are counted, not recorded.  [default: 200]",
)
@click.option("--max-duration", type=DURATION, help="Recording time of one trace.  [default: 60s]")
@click.option(
    "--max-bytes", type=SIZE, help="Memory that one trace may hold in the process.  [default: 8MiB]"
)
@click.option(
    "--concurrent",
    type=click.IntRange(1),
    help="Traces that record at the same time, in each process.  [default: 2; 8 with --keep]",
)
@click.option(
    "--budget",
    type=PERCENT,
    metavar="PCT",
    help="What recording may cost tasks that are not traced, of one core.  [default: 5]",
)
@click.option(
    "--capture",
    type=CAPTURE,
    metavar="depth=2,items=20,text=120",
    help="How much of a value is kept; mode=repr where a policy allows it.",
)
@click.option("--no-args", is_flag=True, help="Record no arguments, results and messages.")
@click.option(
    "--threads",
    is_flag=True,
    help="Follow threads and work of thread pools that a task starts; tasks of event loops always are.",
)
@click.option("--lib", multiple=True, metavar="GLOB", help="Record inside these libraries, too.")
@click.option("--all", "everything", is_flag=True, help="Record inside all libraries.")
@click.option("--only", multiple=True, metavar="GLOB", help="Record these modules only.")
@click.option("--skip", multiple=True, metavar="GLOB", help="Leave these modules out.")
@click.option("--live", is_flag=True, help="Show each tree while it grows.")
@click.option("--detach", is_flag=True, help="Arm and leave; `collect` brings the traces. Needs --ttl.")
@click.option("--force", is_flag=True, help="Arm also where a target matches more than 50 functions.")
@click.option(
    "--save-as", metavar="NAME", help="Keep targets and options as a file that `arm @NAME` arms again."
)
@click.option(
    "--tag",
    metavar="NAME",
    shell_complete=offer_tags,
    help="A name for the traces in the store; tagged ones are not pruned.",
)
@output_option
@save_option
@json_option
@agent_options
def arm(
    targets: tuple[str, ...],
    count: int,
    choice: dict[str, Any],
    per_agent: bool,
    ttl: float | None,
    where: str | None,
    capture: dict[str, Any] | None,
    no_args: bool,
    threads: bool,
    lib: tuple[str, ...],
    everything: bool,
    only: tuple[str, ...],
    skip: tuple[str, ...],
    live: bool,
    detach: bool,
    force: bool,
    tag: str | None,
    save_as: str | None,
    path: str | None,
    no_save: bool,
    as_json: bool,
    agents: dict[str, Any],
    **bounds: Any,
) -> int:
    """Trace the next tasks that match TARGET.

    A TARGET is a function (app.views:Cart.checkout, with globs: 'app.*:*.check*'), a place (app/views.py:120) or a
    dotted name; a request (http:'POST /checkout*'); or a job, task or thread by its name (job:send_email). Several are
    alternatives. @NAME is what was saved with --save-as; options given here win. Their call trees are shown as they end; Ctrl-C disarms and still shows what came. Every limit has a
    ceiling that the process's owner sets.

    Traces are kept (`tracepatch-ctl traces`) until `rm` or `prune` removes them: nothing is removed on its own.
    """
    from ..request import Scope
    from .interruption import Interruption
    from .keeping import Files, Keeper
    from .watch import Traces, Watch

    if detach and ttl is None:
        raise UsageError(
            "--detach needs --ttl: a probe that nobody watches must end by itself, for example --ttl 1h"
        )
    if detach and (live or path):
        raise UsageError(
            f"--detach brings no traces, so {'--live' if live else '-o'} has nothing to work on: `collect` does"
        )
    if ttl is not None and ttl > MAX_TTL_S:
        raise UsageError(f"--ttl may be 24h at most, not {ttl / 3600:.0f}h")
    names = {"max_duration": "max_duration_s"}
    limits = {names.get(name, name): value for name, value in bounds.items() if value is not None}
    if "max_duration_s" in limits:
        limits["max_duration_s"] = float(limits["max_duration_s"])
    mode = (capture or {}).pop("mode", "safe")
    out = Output(as_json=as_json)
    saved = armed_from(targets)
    if saved is not None:
        out.say(f"@{saved.name} ({saved.path}): arm {shown(saved.targets, saved.options)}")
    with ExitStack() as stack:
        try:
            keeper = stack.enter_context(
                Keeper(out, save=not (no_save or detach), what=" ".join(targets), tag=tag)
            )
            files = stack.enter_context(Files(path)) if path else None
            interruption = stack.enter_context(Interruption().watching())
            client = stack.enter_context(reach(agents))
            session = stack.enter_context(
                client.arm(
                    targets,
                    count=count,
                    ttl_s=ttl,
                    where=where,
                    detach=detach,
                    limits=limits,
                    capture=capture,
                    mode=mode,
                    scope=Scope(all=everything, lib=lib, only=only, skip=skip),
                    args=not no_args,
                    threads=threads,
                    **choice,
                    force=force,
                    live=live and not as_json,
                    tag=tag,
                    per_agent=per_agent,
                )
            )
        except TracepatchError as error:
            if save_as and not isinstance(error, UsageError):  # nobody is there now: it is meant all the same
                keep(out, save_as, targets)
            if as_json and not isinstance(error, UsageError):
                out.error(error)
                out.object(nothing_form(error.code, str(error), count, error.exit_code))
                return error.exit_code
            raise
        if save_as:
            keep(out, save_as, targets)
        traces = Traces(out, keeper, files)
        return Watch(out, traces, targets, interruption, all_typed()).run(session)


@click.command()
@click.argument("probes", nargs=-1, metavar="[PROBE]...", shell_complete=offer_probes)
@click.option(
    "--open",
    "still",
    is_flag=True,
    help="Show the traces that still record instead, as they stand; they record on and are not kept.",
)
@output_option
@save_option
@json_option
@agent_options
def collect(
    probes: tuple[str, ...],
    still: bool,
    path: str | None,
    no_save: bool,
    as_json: bool,
    agents: dict[str, Any],
) -> int:
    """Bring the finished traces that agents hold, of PROBEs or all.

    Exit code 5 when PROBEs were named and nothing had come.
    """
    from ..events import AgentFault, AgentLost, AgentRefused, TraceFinished
    from .forms import error_form
    from .keeping import Files, Keeper
    from .watch import Traces

    out = Output(as_json=as_json)
    with ExitStack() as stack:
        keeper = stack.enter_context(Keeper(out, save=not (no_save or still), what="collect"))
        files = stack.enter_context(Files(path)) if path else None
        client = stack.enter_context(reach(agents))
        collection = stack.enter_context(client.collect(list(probes) or None, open=still))
        traces = Traces(out, keeper, files, open=still)
        came = 0
        for event in collection:
            if isinstance(event, TraceFinished):
                came += 1
                traces.take(event, collection)
            elif isinstance(event, AgentRefused):
                client.refusals.append(event)
            elif isinstance(event, (AgentLost, AgentFault)):
                code = event.reason if isinstance(event, AgentLost) else "bad-message"
                if as_json:
                    out.object(error_form(code, event.message, event.agent))
                out.say(f"{event.agent.name}: {event.message}")
        complain(out, client)
        if not came:
            nothing = "no trace records now" if still else "no agent holds a finished trace"
            out.say("nothing has come yet" if probes and not still else nothing)
            return 5 if probes else 0
        return 1 if traces.failed else 0
