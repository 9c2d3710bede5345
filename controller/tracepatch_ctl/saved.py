"""Saved probes: what `arm --save-as NAME` writes down and `arm @NAME` arms again, a TOML file that can be read and committed.

    targets = ["http:POST /checkout*"]
    slower-than = "500ms"
    count = "3"

The keys are the long options of `arm`, the values what was typed behind them. They lie in `.tracepatch/probes` of the working
directory, where there is such a folder, and in `$XDG_CONFIG_HOME/tracepatch/probes`; the former are looked at first.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from tracepatch_shared.errors import TracepatchError, UsageError
from tracepatch_shared.toml import TomlError, loads

SUFFIX: Final = ".toml"
MAX_BYTES: Final = 1 << 16

Value = str | bool | list[str]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True)
class Saved:
    """One saved probe."""

    name: str
    path: Path
    targets: tuple[str, ...]
    options: dict[str, Value]
    """What was typed behind each option, by its long name; true for one that takes nothing."""


def words(targets: Iterable[str], options: Mapping[str, Value]) -> list[str]:
    """Return a probe as it is typed, without quotes."""
    typed = list(targets)
    for name, value in options.items():
        option = f"-{name}" if len(name) == 1 else f"--{name}"
        for one in value if isinstance(value, list) else [value]:
            typed += [option] if one is True else [option, str(one)] if one is not False else []
    return typed


def folders() -> list[Path]:
    """Return where saved probes lie, the first one first."""
    config = os.environ.get("XDG_CONFIG_HOME") or os.path.join(os.path.expanduser("~"), ".config")
    return [Path(".tracepatch", "probes"), Path(config, "tracepatch", "probes")]


def names() -> list[str]:
    """Return the names of all saved probes."""
    found: set[str] = set()
    for folder in folders():
        try:
            found.update(path.name.removesuffix(SUFFIX) for path in folder.iterdir() if path.suffix == SUFFIX)
        except OSError:
            continue
    return sorted(name for name in found if _NAME.fullmatch(name))


def checked(name: str) -> str:
    """Return a name; raise `UsageError` for one that could be a path, or is none."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} is no name for a probe: write letters, digits, - _ and ., as in slow-checkout"
        )
    return name


def load(name: str, known: Iterable[str]) -> Saved:
    """Return a saved probe; raise `UsageError` for one that is not there or has an option that is none of `known`."""
    if not name:
        listed = ", ".join(f"@{one}" for one in names()) or "none: `arm TARGET... --save-as NAME` makes one"
        raise UsageError(f"@ of which saved probe? There are: {listed}")
    for folder in folders():
        path = folder / f"{checked(name)}{SUFFIX}"
        try:
            with path.open("rb") as file:
                text = file.read(MAX_BYTES + 1)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise UsageError(f"the saved probe {path} cannot be read: {error.strerror or error}") from None
        try:
            return _read(name, path, text, set(known))
        except (TomlError, UnicodeDecodeError) as error:
            raise UsageError(f"the saved probe {path} cannot be understood: {error}") from None
    close = get_close_matches(name, names(), 3)
    there = f": did you mean {', '.join(f'@{one}' for one in close)}?" if close else ""
    listed = "" if close else f" (there are: {', '.join(f'@{one}' for one in names()) or 'none'})"
    raise UsageError(f"no probe is saved as {name}{there}{listed}")


def free(name: str) -> Path:
    """Return the file that a name would have; raise `UsageError` where there is one."""
    here, home = folders()
    path = (here if here.is_dir() else home) / f"{checked(name)}{SUFFIX}"
    if path.exists():
        raise UsageError(f"a probe is saved as {name} already: remove {path}, or take another name")
    return path


def save(name: str, targets: Iterable[str], options: Mapping[str, Value]) -> Path:
    """Write a probe down and return its file; raise `UsageError` where there is one of this name."""
    path = free(name)
    lines = [f"# tracepatch-ctl arm @{name}", f"targets = {_written(list(targets))}"]
    lines += [f"{option} = {_written(value)}" for option, value in options.items()]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
    except OSError as error:
        raise TracepatchError(f"the probe cannot be saved as {path}: {error.strerror or error}") from None
    return path


def _read(name: str, path: Path, text: bytes, known: set[str]) -> Saved:
    if len(text) > MAX_BYTES:
        raise TomlError(f"it is longer than {MAX_BYTES} bytes")
    given = loads(text.decode())
    targets = given.pop("targets", None)
    if type(targets) is not list or not targets or not all(type(one) is str for one in targets):
        raise TomlError('targets must be a list of targets, as in ["app.views:Cart.checkout"]')
    for option, value in given.items():
        if option not in known:
            close = get_close_matches(option, known, 1)
            raise TomlError(
                f"{option} is no option that is saved{f': did you mean {close[0]}?' if close else ''}"
            )
        several = type(value) is list and all(type(one) is str for one in value)
        if not several and type(value) not in (str, bool, int, float):
            raise TomlError(f"{option} must be a text, a number, true, or a list of texts")
        given[option] = value if several or type(value) is bool else str(value)
    return Saved(name, path, tuple(targets), given)


def _written(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return f"[{', '.join(_written(one) for one in value)}]"
    if value.isascii() and value.isdigit() and str(int(value)) == value:
        return value
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
