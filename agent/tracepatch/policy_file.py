"""The owner's policy as a TOML file: read once, when the agent starts, believed whole or not at all.

    [limits]                                  # ceilings: lower than those of the table in docs/operations.md
    count = 10
    ttl = "1h"
    [modules]
    forbidden = ["shop.vault", "shop.crypto.*"]
    [redaction]
    names = ["patient_id"]

It has to belong to root or to the process's user, and nobody else may write to it. Whatever is wrong with it, nothing is
armed in this process, and `broken` says in one sentence what and where.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterator
from dataclasses import replace
from difflib import get_close_matches
from typing import Any, Final, TypeVar

from tracepatch_shared.errors import UsageError
from tracepatch_shared.globs import Glob
from tracepatch_shared.limits import HIGHEST
from tracepatch_shared.targets import Target, parse_target
from tracepatch_shared.text import duration, parse_duration, parse_size, size
from tracepatch_shared.toml import TomlError, loads

from .policy import CODE_KINDS, DEFAULT, Modules, Policy, forms
from .redaction import RedactionPolicy
from .secret_names import MAX_NAME, words

MAX_BYTES = 1 << 16
MAX_NAMES = 1_000

_T = TypeVar("_T")
_NOT_HERE = re.compile(r"[][?{}<>]")


class Wrong(ValueError):
    """Something is wrong with the file; `key` is where, as (table, key)."""

    def __init__(self, why: str, *key: str) -> None:
        super().__init__(why)
        self.key = key


def read(path: str | None) -> Policy:
    """Return the policy in a file, `DEFAULT` where no file is named; never raises for what is wrong with the file."""
    if path is None:
        return DEFAULT
    text = ""
    try:
        text = _content(path)
        return _policy(loads(text), path)
    except OSError as error:
        why = f"it cannot be read ({error.strerror or type(error).__name__})"
    except UnicodeDecodeError:
        why = "it is no UTF-8 text"
    except Wrong as wrong:
        line = _line(text, *wrong.key)
        why = f"line {line}: {wrong}" if line else str(wrong)
    except TomlError as error:
        why = str(error)
    except Exception as error:  # noqa: BLE001 - a bug of ours must not open what the owner has closed
        why = f"reading it fails ({type(error).__name__})"
    broken = f"the policy {path} is broken, so nothing can be armed here: {why} (put it right and restart the process)"
    return Policy(broken=broken, spool=False, stacks=False, arguments=False, problems=(broken,))


def _content(path: str) -> str:
    # Opened before it is looked at, so that what is checked is what is read; a FIFO must not block the application.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NONBLOCK", 0))
    with open(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise Wrong("it is no regular file")
        if status.st_uid not in (0, os.geteuid()):
            raise Wrong(
                f"it belongs to uid {status.st_uid}, neither to root nor to this process's {os.geteuid()}: chown it"
            )
        if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise Wrong(
                f"others than its owner may write to it (mode {stat.S_IMODE(status.st_mode):04o}): chmod go-w"
            )
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise Wrong(f"it is longer than {MAX_BYTES} bytes")
    return content.decode()


# ---- values -----------------------------------------------------------------------------------------------------


def _whole(most: int, least: int = 1) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        if type(value) is not int or not least <= value <= most:
            raise ValueError(f"must be a whole number from {least} to {most}, not {_shown(value)}")
        return value

    return read


def _measured(
    kind: str, parse: Callable[[str], float], show: Callable[[float], str], most: float, example: str
) -> Callable[[Any], Any]:
    def read(value: Any) -> float:
        try:
            found = parse(value) if type(value) is str else 0
        except UsageError:
            found = 0
        if not 0 < found <= most:
            raise ValueError(
                f'must be a {kind} of at most {show(most)}, as in "{example}", not {_shown(value)}'
            )
        return found

    return read


def _seconds(most: float, example: str) -> Callable[[Any], float]:
    return _measured("duration", parse_duration, lambda value: duration(value * 1e9), most, example)


def _bytes(most: int, example: str) -> Callable[[Any], int]:
    return _measured("size", parse_size, size, most, example)


def _share(text: str) -> float:
    number = text.strip()
    if not re.fullmatch(r"\d+(\.\d+)?\s*%", number):
        raise UsageError("no percentage")
    return float(number.rstrip("% ")) / 100


def _switch(value: Any) -> bool:
    if type(value) is not bool:
        raise ValueError(f"must be true or false, not {_shown(value)}")
    return value


def _texts(what: str, check: Callable[[str], _T]) -> Callable[[Any], tuple[_T, ...]]:
    def read(value: Any) -> tuple[_T, ...]:
        if type(value) is not list or len(value) > MAX_NAMES:
            raise ValueError(f"must be a list of at most {MAX_NAMES} {what}, not {_shown(value)}")
        found = []
        for item in value:
            try:
                if type(item) is not str:
                    raise ValueError("a text belongs there")
                found.append(check(item))
            except (ValueError, UsageError) as problem:
                raise ValueError(f"must be a list of {what}, and {_shown(item)} is none: {problem}") from None
        return tuple(found)

    return read


def _module(text: str) -> str:
    if not re.fullmatch(r"[^\s:/\\]+", text):
        raise ValueError("write for example shop.vault or shop.*")
    Glob(text)
    return text


def _target(text: str) -> Target:
    target = parse_target(text)
    if target.kind in CODE_KINDS and (target.kind != "function" or target.line is not None):
        raise ValueError("name functions as module:qualname, as in shop.*:*")
    if target.kind not in CODE_KINDS and any(_NOT_HERE.search(form) for form in forms(target)):
        raise ValueError("only * stands for more here")
    return target


def _name(text: str) -> str:
    if len(text) > MAX_NAME or not words(text):
        raise ValueError("a name has a letter in it, as in patient_id")
    return text


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


_MOST = HIGHEST.limits

KEYS: Final[dict[str, dict[str, Callable[[Any], Any]]]] = {
    "limits": {
        "count": _whole(HIGHEST.count),
        "ttl": _seconds(HIGHEST.ttl_s, "1h"),
        "functions": _whole(HIGHEST.functions),
        "max_depth": _whole(_MOST.max_depth),
        "max_calls": _whole(_MOST.max_calls),
        "max_bytes": _bytes(_MOST.max_bytes, "8MiB"),
        "max_duration": _seconds(_MOST.max_duration_s, "30s"),
        "total_bytes": _bytes(_MOST.total_bytes, "32MiB"),
        "concurrent": _whole(_MOST.concurrent),
        "budget": _measured("percentage", _share, lambda share: f"{share:.0%}", _MOST.budget, "5%"),
    },
    "capture": {
        "depth": _whole(HIGHEST.capture.depth, 0),
        "items": _whole(HIGHEST.capture.items),
        "text": _whole(HIGHEST.capture.text),
    },
    "allow": {
        "targets": _texts("targets", _target),
        "arguments": _switch,
        "all": _switch,
        "lib": _switch,
        "repr": _switch,
        "spool": _switch,
        "stacks": _switch,
    },
    "modules": {
        "forbidden": _texts("modules", _module),
        "without_arguments": _texts("modules", _module),
    },
    "redaction": {"names": _texts("names", _name), "enabled": _switch},
}
"""What may stand in the file: table -> key -> what reads its value, or raises with the rest of a sentence."""


def _policy(given: dict[str, Any], path: str) -> Policy:
    found = {table: dict(_read(table, given.get(table, {}))) for table in KEYS}
    for table in given:
        if table not in KEYS:
            raise Wrong(f"{table} is no part of a policy{_near(table, list(KEYS))}", table)
    limits, allow, modules = found["limits"], found["allow"], found["modules"]
    ceilings = replace(
        HIGHEST,
        count=limits.pop("count", HIGHEST.count),
        ttl_s=limits.pop("ttl", HIGHEST.ttl_s),
        functions=limits.pop("functions", HIGHEST.functions),
        limits=replace(
            _MOST,
            **{"max_duration_s" if key == "max_duration" else key: value for key, value in limits.items()},
        ),
        capture=replace(HIGHEST.capture, **found["capture"]),
    )
    redaction = found["redaction"]
    enabled = redaction.get("enabled", True)
    problems = (
        ()
        if enabled
        else (f"the policy {path} turns redaction off: traces of this process show its secrets",)
    )
    return Policy(
        redaction=RedactionPolicy(enabled=enabled, extra_names=redaction.get("names", ())),
        ceilings=ceilings,
        forbidden=Modules(modules.get("forbidden", ())),
        without_arguments=Modules(modules.get("without_arguments", ())),
        everything=allow.pop("all", True),
        **allow,
        problems=problems,
    )


def _read(table: str, given: Any) -> Iterator[tuple[str, Any]]:
    if type(given) is not dict:
        raise Wrong(f"{table} must be a table: write a header [{table}] and its keys below it", table)
    keys = KEYS[table]
    for key, value in given.items():
        check = keys.get(key)
        if check is None:
            raise Wrong(f"{table}.{key} is no part of a policy{_near(key, list(keys))}", table, key)
        try:
            yield key, check(value)
        except ValueError as error:
            raise Wrong(f"{table}.{key} {error}", table, key) from None


def _near(name: str, known: list[str]) -> str:
    close = get_close_matches(name, known, 1)
    return f": did you mean {close[0]}?" if close else f" (there are: {', '.join(known)})"


def _line(text: str, table: str = "", key: str = "") -> int:
    """Return the line at which a table, or a key of it, stands; 0 where that is not seen."""
    inside = ""
    for number, line in enumerate(text.split("\n"), 1):
        header = re.match(r"\s*\[\s*([\w-]+)", line)
        named = re.match(r"""\s*["']?([\w-]+)["']?\s*[=.]""", line)
        if header:
            inside = header[1]
            if inside == table and not key:
                return number
        elif named and (inside, named[1]) in ((table, key), ("", table)):
            return number
    return 0
