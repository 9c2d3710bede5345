"""How `arm @NAME` and `--save-as NAME` become options: what was saved are the defaults, what is typed wins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import click

from tracepatch_shared.errors import TracepatchError, UsageError

from ..saved import Saved, Value, checked, free, load, save
from .output import Output

NEVER: Final = frozenset(
    ("save_as", "path", "no_save", "as_json", "pid", "agent", "connect", "help", "targets")
)
"""Parameters that are not saved: what belongs to one run or one process, and what writes files."""
SAVED: Final = f"{__name__}.saved"
TYPED: Final = f"{__name__}.typed"
ALL: Final = f"{__name__}.all"


def taken_apart(command: click.Command, ctx: click.Context, args: list[str]) -> list[str]:
    """Return the arguments with the targets of `@NAME`; its options become the context's defaults."""
    if ctx.resilient_parsing:  # a shell asks what could follow
        return args
    typed, _, _ = command.make_parser(ctx).parse_args(args=list(args))
    given = typed.get("targets")
    named = [target for target in given if target.startswith("@")] if isinstance(given, tuple) else []
    if len(named) > 1:
        raise UsageError(f"only one saved probe can be armed at a time, not {' and '.join(named)}")
    options: dict[str, Value] = {}
    if typed.get("save_as") is not None:
        free(checked(typed["save_as"]))
    if named:
        names = _names(command)
        saved = load(named[0][1:], names)
        ctx.meta[SAVED] = saved
        ctx.default_map = {
            **(ctx.default_map or {}),
            **{names[option].name or "": value for option, value in saved.options.items()},
        }
        options = dict(saved.options)
        place = args.index(named[0])
        args = [*args[:place], *saved.targets, *args[place + 1 :]]
    ctx.meta[ALL] = {**options, **_typed(_options(command), typed)}
    ctx.meta[TYPED] = {**options, **_typed(_names(command), typed)}
    return args


def keep(out: Output, name: str, targets: tuple[str, ...]) -> None:
    """Save this run's probe and say where; say why not where that cannot be: it is armed by now."""
    try:
        out.say(f"saved as {save(name, targets, to_save())}")
    except TracepatchError as error:
        out.say(f"tracepatch-ctl: {error}")


def to_save() -> dict[str, Value]:
    """Return the options of this run that a saved probe has."""
    return dict(click.get_current_context().meta[TYPED])


def armed_from(targets: tuple[str, ...]) -> Saved | None:
    """Return the saved probe that this run arms, as it does."""
    saved: Saved | None = click.get_current_context().meta.get(SAVED)
    return None if saved is None else replace(saved, targets=targets, options=to_save())


def all_typed() -> dict[str, Value]:
    """Return all options of this run, those of the saved probe included."""
    return dict(click.get_current_context().meta[ALL])


def _options(command: click.Command) -> dict[str, click.Option]:
    """Return all options, by their long names."""
    options = [
        param for param in command.params if isinstance(param, click.Option) and param.name != "save_as"
    ]
    return {max(option.opts, key=len).lstrip("-"): option for option in options}


def _names(command: click.Command) -> dict[str, click.Option]:
    """Return the parameters that are saved, by their long options."""
    return {name: option for name, option in _options(command).items() if option.name not in NEVER}


def _typed(options: Mapping[str, click.Option], typed: Mapping[str, Any]) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for name, option in options.items():
        if option.name in typed:
            value = typed[option.name]
            several = isinstance(value, (list, tuple))
            found[name] = True if value is True else [*map(str, value)] if several else str(value)
    return found
