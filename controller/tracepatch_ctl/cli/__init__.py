"""The command line: `tracepatch-ctl`, or `python -m tracepatch_ctl`.

Commands return an exit code (None is 0) and raise `TracepatchError`; what becomes of both is decided here, once.
Modules of commands load when one of their commands is asked for.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import click

from tracepatch_shared import VERSION
from tracepatch_shared.errors import TracepatchError, UsageError

from .output import Output, PipeClosed

COMMANDS = {
    "stacks": "look",
    "agents": "look",
    "targets": "look",
    "status": "look",
    "arm": "arm",
    "extend": "probes",
    "disarm": "probes",
    "collect": "arm",
    "traces": "read",
    "show": "read",
    "export": "read",
    "tag": "keep",
    "rm": "keep",
    "prune": "keep",
    "demo": "tour",
}
"""Each command's module, in the order of the help."""

INTERRUPTED = 130


class Commands(click.Group):
    """The group: loads commands on demand and turns errors into one sentence and an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        module = COMMANDS.get(cmd_name)
        if module is None:
            return None
        command = getattr(import_module(f".{module}", __name__), cmd_name)
        assert isinstance(command, click.Command)
        return command

    def main(  # type: ignore[override]
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run a command line; exit with its code."""
        arguments = list(sys.argv[1:] if args is None else args)
        if "_TRACEPATCH_CTL_COMPLETE" in os.environ:
            from .completion import install

            install()
        out = Output(as_json="--json" in arguments)
        try:
            code = super().main(arguments, prog_name or "tracepatch-ctl", standalone_mode=False, **extra)
            out.flush()
        except PipeClosed:
            code = 0
        except click.ClickException as error:
            code = _fail(out, UsageError(_sentence(error)), error.exit_code)
        except click.Abort:
            code = INTERRUPTED
        except TracepatchError as error:
            code = _fail(out, error, error.exit_code)
        except OSError as error:
            code = _fail(out, TracepatchError(f"{error.filename or 'output'}: {error.strerror or error}"), 1)
        if not standalone_mode:
            return code
        sys.exit(code or 0)


def _fail(out: Output, error: TracepatchError, code: int) -> int:
    try:
        out.error(error)
    except (PipeClosed, OSError):
        pass
    return code


def _sentence(error: click.ClickException) -> str:
    """Return click's message as one sentence that ends with where the right form is."""
    message = " ".join(error.format_message().split()).rstrip(".")
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "tracepatch-ctl"
    return f"{message[:1].lower()}{message[1:]} (`{path} --help` shows the options)"


@click.group(
    cls=Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Exit codes: 0 as many traces as asked, 1 failure, 2 usage, 3 nobody reached, 4 all refused, 5 fewer traces"
    " than asked, 130 after Ctrl-C.",
)
@click.version_option(VERSION, prog_name="tracepatch-ctl", message="%(prog)s %(version)s")
@click.pass_context
def cli(context: click.Context) -> int | None:
    """Arm running Python processes and get the call trees of their next matching tasks."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help(), err=True)
        return UsageError.exit_code
    return None


def main() -> None:
    """Run the command line of this process."""
    cli()
