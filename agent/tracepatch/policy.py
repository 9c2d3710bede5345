"""What the owner of a process lays down for its traces: the JSON file that `TRACEPATCH_POLICY` names.

    {"redaction": {"names": ["patient_id", "diagnosis"], "enabled": true}}

`names` adds to the names that are secret; `enabled: false`, possible nowhere else, shows every secret. The file is
read once, when the agent starts, and believed only when it belongs to root or to the process's user and nobody else
may write to it. Whatever is wrong with it, `DEFAULT` holds, the safest policy, and `problems` says why.
"""

from __future__ import annotations

import json
import os
import stat
from dataclasses import dataclass, field
from typing import Any

from .redaction import RedactionPolicy
from .secret_names import MAX_NAME, words

MAX_BYTES = 1 << 16
MAX_NAMES = 1_000


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What holds in this process, whoever arms."""

    redaction: RedactionPolicy = field(default_factory=RedactionPolicy)
    problems: tuple[str, ...] = ()
    """A sentence for each thing that somebody should look at."""


DEFAULT = Policy()


def read(path: str | None) -> Policy:
    """Return the policy in a file, `DEFAULT` where no file is named; never raises for what is wrong with the file."""
    if path is None:
        return DEFAULT
    try:
        return _policy(json.loads(_content(path), object_pairs_hook=_once), path)
    except OSError as error:
        reason = error.strerror or type(error).__name__
    except (ValueError, RecursionError) as error:
        reason = str(error) or type(error).__name__
    return Policy(
        problems=(f"the policy {path} is not used: {reason}; the safest one holds, all redaction is on",)
    )


def _content(path: str) -> bytes:
    # Opened before it is looked at, so that what is checked is what is read; a FIFO must not block the application.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NONBLOCK", 0))
    with open(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("it is no regular file")
        if status.st_uid not in (0, os.geteuid()):
            raise ValueError(
                f"it belongs to uid {status.st_uid}, neither root nor this process's {os.geteuid()}"
            )
        if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise ValueError(
                f"others than its owner may write to it (mode {stat.S_IMODE(status.st_mode):04o}): chmod go-w"
            )
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise ValueError(f"it is longer than {MAX_BYTES} bytes")
    return content


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands twice in one object")
    return found


def _policy(given: Any, path: str) -> Policy:
    if type(given) is not dict:
        raise ValueError('it is no object, as in {"redaction": {"names": ["patient_id"]}}')
    redaction = given.get("redaction", {})
    if type(redaction) is not dict:
        raise ValueError('redaction is no object, as in {"names": ["patient_id"]}')
    enabled, names = redaction.get("enabled", True), redaction.get("names", [])
    if type(enabled) is not bool:
        raise ValueError("redaction.enabled is neither true nor false")
    if type(names) is not list or len(names) > MAX_NAMES or not all(_is_name(name) for name in names):
        raise ValueError(
            f"redaction.names is no list of at most {MAX_NAMES} names with a letter in each, as in patient_id"
        )
    unknown = [key for key in given if key != "redaction"]
    unknown += [f"redaction.{key}" for key in redaction if key not in ("enabled", "names")]
    problems = []
    if unknown:
        named = ", ".join(repr(key[:MAX_NAME]) for key in unknown[:8])
        problems.append(f"unknown keys in the policy {path} are left out: {named}")
    if not enabled:
        problems.append(f"the policy {path} turns redaction off: traces of this process show its secrets")
    return Policy(
        redaction=RedactionPolicy(enabled=enabled, extra_names=tuple(names)), problems=tuple(problems)
    )


def _is_name(name: Any) -> bool:
    return type(name) is str and len(name) <= MAX_NAME and bool(words(name))
