"""The fields of everything that `--json` prints: pinned by tests/golden/cli-json.json, told by docs/cli-json.md."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from ctl import ctl, environment, golden
from stream_agent import StreamAgent

DOCS = Path(__file__).resolve().parent.parent / "docs" / "cli-json.md"
OPEN = {"labels", "limits", "task", "args", "drops", "not_shown"}
"""Objects whose keys are the user's or the agent's."""

STACKS = {
    "type": "stacks",
    "threads": [{"ident": 1, "name": "MainThread", "frames": [[0, 7]]}],
    "threads_total": 1,
    "tasks": [
        {
            "name": "Task-1",
            "class": "_asyncio.Task",
            "state": "waiting",
            "waits_for": {
                "call": "asyncio.Lock.acquire",
                "type": "_asyncio.Future",
                "tasks": ["t"],
                "count": 1,
            },
            "awaited_by": ["main"],
            "frames": [[0, 7]],
        }
    ],
    "tasks_total": 1,
    "codes": [["checkout", "app.py"]],
    "not_shown": {"other": 1},
    "notes": ["greenlets are not shown"],
    "took_ns": 1000,
}


def shape(value: Any) -> Any:
    """Return the names in an object, all the way down; lists by their first item."""
    if isinstance(value, dict):
        return {
            name: "..." if name in OPEN else shape(item) for name, item in value.items() if name != "type"
        }
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return "value"


@pytest.fixture
def objects(runtime_dir, tmp_path) -> dict[str, dict[str, Any]]:
    """One object of each type, as commands print them."""
    env = environment(XDG_STATE_HOME=str(tmp_path))
    shop = StreamAgent(runtime_dir, service="shop", traces=1)
    deaf = StreamAgent(runtime_dir, service="deaf", refuses=("conflict", "pdb is here"))
    reach = ("--connect", shop.url)
    found: dict[str, dict[str, Any]] = {}

    def run(*words: str) -> None:
        for line in ctl(*words, "--json", env=env).stdout.splitlines():
            form = json.loads(line)
            found.setdefault(form["type"], form)

    try:
        run("agents", *reach)
        shop.answers["stacks"] = lambda _: [STACKS]
        run("stacks", *reach)
        run("targets", "m:*", *reach)
        shop.answers["targets"] = lambda _: [{"type": "targets", "matched": [], "total": 0, "near": ["m:f"]}]
        run("targets", "m:x", *reach)
        run("arm", "m:f", *reach, "--connect", deaf.url)
        run("arm", "m:f", "-n", "2", "--detach", "--ttl", "1m", *reach)
        run("status", *reach)
        run("disarm", *reach)
        run("traces")
        run("show", "--flat")
    finally:
        shop.close()
        deaf.close()
    return found


def test_the_fields(objects):
    shapes = {kind: shape(form) for kind, form in sorted(objects.items())}
    golden("cli-json.json", json.dumps(shapes, indent=1) + "\n")


def test_the_page_names_each_type_and_field(objects):
    page = DOCS.read_text()
    sections = dict(re.findall(r"^## (\S+)\n(.*?)(?=^## |\Z)", page, re.M | re.S))
    assert set(sections) == set(objects)
    for kind, form in objects.items():
        told = set(re.findall(r"`(\w+)`", sections[kind]))
        if kind == "node":
            told |= set(re.findall(r"`(\w+)`", sections["trace"]))
        missing = set(form) - told - {"type"}
        assert not missing, f"{kind}: {missing}"
