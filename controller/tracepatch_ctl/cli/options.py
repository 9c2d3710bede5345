"""What the commands' options have in common: durations, sizes and such as types, and which agents are meant."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from functools import wraps
from typing import Any, TypeVar

import click

from tracepatch_shared.errors import UsageError
from tracepatch_shared.limits import Capture
from tracepatch_shared.text import parse_duration, parse_size

Command = TypeVar("Command", bound=Callable[..., Any])


class Parsed(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.2 on, not subscriptable before
    """A value that a function makes of what was typed; its `UsageError` becomes click's."""

    def __init__(self, name: str, parse: Callable[[str], Any]) -> None:
        self.name = name
        self._parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return self._parse(value)
        except UsageError as error:
            self.fail(str(error), param, ctx)


def _duration(text: str) -> float:
    """Return the seconds of `250ms`, `5s`, `2m`."""
    seconds = parse_duration(text)
    if not seconds > 0:
        raise UsageError(f"{text!r} is no time at all: write for example 30s")
    return seconds


def _size(text: str) -> int:
    """Return the bytes of `64KiB`, `8MiB` or a number of bytes."""
    count = parse_size(text)
    if not count > 0:
        raise UsageError(f"{text!r} is nothing: write for example 8MiB")
    return count


def _percent(text: str) -> float:
    """Return the part of 1 that `5` or `5%` of one core is."""
    try:
        share = float(text.strip().removesuffix("%")) / 100
    except ValueError:
        share = -1.0
    if not 0 < share <= 1:
        raise UsageError(f"{text!r} is not a part of a core: write a percentage, as in 5 or 2.5%")
    return share


def _capture(text: str) -> dict[str, Any]:
    """Return the fields of `depth=2,items=20,text=120`, any of the three, and `mode=repr`."""
    names = [field.name for field in fields(Capture)]
    chosen: dict[str, Any] = {}
    for part in text.split(","):
        name, _, number = part.strip().partition("=")
        if name == "mode" and number in ("safe", "repr"):
            chosen[name] = number
            continue
        least = 0 if name == "depth" else 1
        if name not in names or not number.isascii() or not number.isdigit() or int(number) < least:
            usual = ",".join(f"{one}={getattr(Capture(), one)}" for one in names)
            raise UsageError(f"{part.strip()!r} is not a capture option: write {usual}, or some of it")
        chosen[name] = int(number)
    return chosen


def _lines(text: str) -> int:
    """Return a number of lines, 0 for `all`."""
    if text == "all":
        return 0
    if not text.isascii() or not text.isdigit() or int(text) == 0:
        raise UsageError(f"{text!r} is not a number of lines: write for example 500, or all")
    return int(text)


def _sample(text: str) -> int:
    """Return the N of `1/N`."""
    one, _, number = text.partition("/")
    if one.strip() != "1" or not number.strip().isascii() or not number.strip().isdigit() or int(number) < 1:
        raise UsageError(f"{text!r} is no sample: write 1/N, as in 1/100 for every hundredth on average")
    return int(number)


def _rate(text: str) -> float:
    """Return how many a second `5/s`, `0.5/s` or `30/m` are."""
    number, _, unit = text.strip().partition("/")
    seconds = {"s": 1, "m": 60, "h": 3600}.get(unit.strip())
    try:
        rate = float(number) / (seconds or 1)
    except ValueError:
        rate = 0.0
    if seconds is None or not 0 < rate < float("inf"):
        raise UsageError(f"{text!r} is no rate: write a number a second, as in 5/s")
    return rate


DURATION = Parsed("duration", _duration)
SIZE = Parsed("size", _size)
PERCENT = Parsed("percent", _percent)
CAPTURE = Parsed("capture", _capture)
LINES = Parsed("lines", _lines)
SAMPLE = Parsed("sample", _sample)
RATE = Parsed("rate", _rate)

_AGENTS = (
    click.option("--service", multiple=True, metavar="GLOB", help="Only agents of these services."),
    click.option("--host", multiple=True, metavar="GLOB", help="Only agents on these hosts."),
    click.option("--pid", multiple=True, metavar="GLOB", help="Only the agents of these processes."),
    click.option("--label", multiple=True, metavar="KEY=GLOB", help="Only agents with all of these labels."),
    click.option("--agent", multiple=True, metavar="GLOB", help="Only agents with these ids."),
    click.option(
        "--connect",
        multiple=True,
        metavar="URL",
        help="These endpoints instead of the local ones: ipc://PATH.",
    ),
)


def agent_options(command: Command) -> Command:
    """Give a command the options that choose agents; they arrive as one dict `agents`, `Client`'s keywords."""

    @wraps(command)
    def gathered(*args: Any, **options: Any) -> Any:
        chosen = {name: options.pop(name) for name in ("service", "host", "pid", "label", "agent", "connect")}
        return command(*args, agents=chosen, **options)

    decorated: Any = gathered
    for option in reversed(_AGENTS):
        decorated = option(decorated)
    return decorated  # type: ignore[no-any-return]


_CHOICE = (
    click.option(
        "--keep",
        multiple=True,
        metavar="EXPR",
        help="Keep a trace only if this holds at its end: 'duration > 500ms and not error', 'raised(\"app.errors:*\")'.",
    ),
    click.option(
        "--slower-than", type=DURATION, metavar="D", help="Keep slow ones only: --keep 'duration > D'."
    ),
    click.option(
        "--errors", is_flag=True, help="Keep only those that fail: --keep error. All conditions must hold."
    ),
    click.option(
        "--having",
        multiple=True,
        metavar="TARGET[(EXPR)]",
        help="Keep a trace only if this call occurred in it: 'app.auth:load_user(user_id == 42)'. Several must all have.",
    ),
    click.option(
        "--traceparent",
        metavar="ID",
        help="Only the requests and tasks of this distributed trace: 32 hex digits, or a whole W3C header.",
    ),
    click.option(
        "--sample", type=SAMPLE, metavar="1/N", help="Record every N-th task that matches, on average."
    ),
    click.option("--rate", type=RATE, metavar="N/s", help="Begin at most N recordings a second."),
)


def choice_options(command: Command) -> Command:
    """Give a command the options that choose among tasks; they arrive as one dict `choice`, `Client.arm`'s keywords."""

    @wraps(command)
    def gathered(*args: Any, **options: Any) -> Any:
        from ..choice import joined

        keep = joined(options.pop("keep"), options.pop("slower_than"), options.pop("errors"))
        choice = {
            "keep": keep,
            **{name: options.pop(name) for name in ("having", "traceparent", "sample", "rate")},
        }
        return command(*args, choice=choice, **options)

    decorated: Any = gathered
    for option in reversed(_CHOICE):
        decorated = option(decorated)
    return decorated  # type: ignore[no-any-return]


def json_option(command: Command) -> Command:
    """Give a command `--json`, which arrives as `as_json`."""
    option = click.option(
        "--json", "as_json", is_flag=True, help="One object a line; docs/cli-json.md has the fields."
    )
    return option(command)


def output_option(command: Command) -> Command:
    """Give a command `-o`, which arrives as `path`."""
    option = click.option(
        "-o",
        "path",
        metavar="DIR|FILE",
        help="Write each trace as JSON, too: a file each in DIR/, a line each in FILE.",
    )
    return option(command)


def save_option(command: Command) -> Command:
    """Give a command `--no-save`, which arrives as `no_save`."""
    return click.option("--no-save", is_flag=True, help="Do not keep the traces in the store.")(command)
