"""Where work enters: every framework is one module, and what they read is read without running anybody's code."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

import pytest

import tracepatch
from tracepatch import frameworks
from tracepatch.arrival import Outcome
from tracepatch.kinds import KINDS
from tracepatch.resolve import resolve
from tracepatch.response import BY_MODULE
from tracepatch.starts import coroutine_of
from tracepatch_shared.targets import parse_target

FRAMEWORKS = [item.name for item in iter_modules(frameworks.__path__)]
KNOWN = {
    "http": {"aiohttp", "django", "fastapi", "flask", "starlette", "tornado"},
    "job": {"arq", "celery", "dramatiq", "huey", "rq"},
    "task": {"asyncio", "trio"},
    "thread": {"anyio", "concurrent", "threading"},
}


class Hostile:
    """Whoever asks it anything is found out."""

    def __getattribute__(self, name: str) -> Any:
        raise AssertionError(f"asked for {name}")

    def _asked(self, *_: object) -> Any:
        raise AssertionError("asked")

    __eq__ = __hash__ = __len__ = __iter__ = __getitem__ = __str__ = __repr__ = __bool__ = _asked  # type: ignore[assignment]


class Text(str):
    __slots__ = ()

    def __eq__(self, _other: object) -> bool:
        raise AssertionError("asked")

    __hash__ = str.__hash__


class Holder:
    """Holds whatever it is given, under every name that a reader may look for."""

    def __init__(self, value: object) -> None:
        for name in NAMES:
            vars(self)[name] = value


NAMES = (
    "_args", "_context", "_func_name", "_id", "_kwargs", "_message", "_name", "_target", "actor_name", "args", "fn", "future",
    "id", "kwargs", "message_id", "name", "origin", "queue_name", "request", "task",
)  # fmt: skip
ARGUMENTS = (
    "self", "request", "scope", "environ", "env", "uuid", "args", "kwargs", "name", "task", "message", "timestamp", "signal",
    "req", "thread", "coro", "coro_or_future", "func",
)  # fmt: skip
FOREIGN = (
    Hostile(),
    Text("x"),
    None,
    5,
    [Hostile()],
    {"x": Hostile()},
    (Hostile(), Hostile()),
    Hostile,
    Text,
)


def test_the_kinds() -> None:
    assert set(KNOWN) == set(KINDS)
    for kind, known in KNOWN.items():
        found = {entry.partition(".")[0].partition(":")[0] for entry in frameworks.entries(kind)}
        assert known <= found
        assert all(target.kind == "function" and target.is_exact for target in frameworks.targets(kind))


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_plain_data_is_not_looked_into(kind: str) -> None:
    for value in FOREIGN:
        for given in (value, Holder(value)):
            for reader in frameworks.entries(kind).values():
                found = reader.read(dict.fromkeys(ARGUMENTS, given))
                coroutine_of(found)
                if type(found) is KINDS[kind]:
                    found.names()
                    found.task(str)
                    found.matches(parse_target("http:/x" if kind == "http" else f"{kind}:x*"))
                    outcome = found.outcome()
                    for tell in BY_MODULE.values():
                        tell(outcome or Outcome(), dict.fromkeys(ARGUMENTS, given))


def test_a_framework_is_taken_out_by_removing_its_module(tmp_path: Path) -> None:
    package = Path(tracepatch.__file__).parent
    shutil.copytree(package, tmp_path / "tracepatch", ignore=shutil.ignore_patterns("__pycache__"))
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from tracepatch import frameworks, kinds, tracing\n"
        "assert tracing.__file__.startswith(sys.argv[1])\n"
        "print(*sorted(entry for kind in kinds.KINDS for entry in frameworks.entries(kind)))"
    )

    def entries() -> set[str]:
        command = [sys.executable, "-c", code, str(tmp_path)]
        return set(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())

    left = entries()
    assert left == {entry for kind in KINDS for entry in frameworks.entries(kind)}
    for name in FRAMEWORKS[::4]:  # one of four, then all: each is a process
        gone = {
            entry
            for kind in KINDS
            for entry, reader in frameworks.entries(kind).items()
            if reader.read.__module__.endswith("." + name)
        }
        (tmp_path / "tracepatch" / "frameworks" / f"{name}.py").unlink()
        assert gone
        assert left - entries() == gone
        left -= gone
    for name in FRAMEWORKS:
        (tmp_path / "tracepatch" / "frameworks" / f"{name}.py").unlink(missing_ok=True)
    assert entries() == set()


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_not_loaded_is_waited_for(kind: str) -> None:
    found = resolve([parse_target("http:/x" if kind == "http" else f"{kind}:x")], modules={})
    assert (found.functions, found.refused, found.waits_for_import) == ([], [], True)


def test_no_module_of_a_framework_is_long() -> None:
    for path in Path(frameworks.__file__).parent.glob("*.py"):
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 100, path.name
