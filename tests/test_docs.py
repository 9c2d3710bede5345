"""The pages say what is true: their sessions and programs are run, their bytes decoded, their links followed.

A fenced block is one of these:

- `console`: lines that start with `$ ` are run against a shop with customers, and what they print is compared with what
  follows them, with times, ids and the like masked;
- `python`: run as a program; a `text` block after `<!-- output -->` is what it prints;
- `hex`: bytes; the `json` block after it is what they decode to;
- anything else, or one of these after `<!-- not run: the reason -->`: not run.

`TRACEPATCH_WRITE_DOCS=1` writes what is printed now into the pages instead of comparing it.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgpack
import pytest

from tracepatch_ctl.cli import demo
from tracepatch_shared import errors, limits, records
from tracepatch_shared.values import EXT_MARK, EXT_STRING

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *ROOT.glob("examples/*/*.md"),
]
WRITE = os.environ.get("TRACEPATCH_WRITE_DOCS") == "1"
CHOOSING = {"agents", "arm", "collect", "disarm", "extend", "stacks", "status", "targets"}
"""Commands that look for agents: here they get `--pid`, since other tests may run at the same time."""


@dataclass
class Block:
    """A fenced block: its page, the line of its fence, its language, its text, and what the comment before it says."""

    page: Path
    line: int
    kind: str
    text: str
    comment: str

    @property
    def where(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def reason(self) -> str:
        """Why it is not run, empty where it is."""
        return self.comment.removeprefix("not run:").strip() if self.comment.startswith("not run:") else ""


def blocks_of(page: Path) -> Iterator[Block]:
    lines = page.read_text(encoding="utf-8").splitlines()
    number = 0
    while number < len(lines):
        found = re.fullmatch(r"```(\S*)", lines[number])
        if found:
            end = lines.index("```", number + 1)
            before = [line for line in lines[max(0, number - 2) : number] if line]
            comment = re.fullmatch(r"<!-- (.*) -->", before[-1]) if before else None
            text = "".join(line + "\n" for line in lines[number + 1 : end])
            yield Block(page, number + 1, found[1], text, comment[1] if comment else "")
            number = end
        number += 1


BLOCKS = [block for page in PAGES for block in blocks_of(page)]


def after(block: Block) -> Block | None:
    """The block that follows in the same page."""
    index = BLOCKS.index(block) + 1
    return BLOCKS[index] if index < len(BLOCKS) and BLOCKS[index].page == block.page else None


def chosen(kind: str) -> list[Block]:
    return [block for block in BLOCKS if block.kind == kind and not block.reason]


MASKS = [
    (r"\s+WHY$|\s+(sys\.monitoring needs|all of it is Python:|on uvloop the hook stays) .*$", ""),
    (r"\b\d+(\.\d+)?( ?)(ns|µs|us|ms|s)\b", "TIME"),
    (r"\b\d+m\d\ds\b|\b\d+h\d\dm\b", "TIME"),
    (r"\b\d+(\.\d+)? (B|KiB|MiB)\b", "SIZE"),
    (r"\d\d\d\d-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?Z?|\b\d\d:\d\d:\d\d\b", "MOMENT"),
    (r"\b\d+(\.\d+)? ?%", "SHARE"),
    (r"\b[0-9a-f]{12}\b|\b[0-9a-f]{8}\b|\b[0-9a-f]{16}\b", "ID"),
    (r"\b3\.1\d(\.\d+)?\b", "PYTHON"),
    (r"\b(native|monitoring|profile)\b", "CORE"),
    (r" +\+\d+ inner calls?$| · \d+ inner calls? not shown$", ""),
    (r"\b\d+ calls?\b", "CALLS"),
    (r"\b\d+ (seen|passed over|not kept)\b", r"NUMBER \1"),
    (r"\b\d+ (thread|task)s?\b", r"NUMBER \1s"),
    (r"127\.0\.0\.1:\d+", "ADDRESS"),
    (r"\b\d{2,7}\b", "NUMBER"),
    (r"0x[0-9a-f]+", "POINTER"),
    (r"-{3,}|─{3,}", "---"),
    (r"[ \t]+", " "),
]


def mask(text: str, *, extra: dict[str, str] | None = None) -> list[str]:
    """Text without what differs from run to run, as lines."""
    for word, stands_for in (extra or {}).items():
        text = text.replace(word, stands_for)
    for pattern, stands_for in MASKS:
        text = re.sub(pattern, stands_for, text, flags=re.MULTILINE)
    return [line.strip() for line in text.strip().splitlines()]


@pytest.fixture(scope="module")
def shop() -> Iterator[dict[str, Any]]:
    """A shop with customers, and the environment that leads to it."""
    with demo.shop(0) as started, demo.traffic(started["url"]):
        yield started


def session(command: str, shop: dict[str, Any], folder: Path) -> str:
    """What a command prints, both streams as a person sees them."""
    words = shlex.split(command)
    assert words[0] == "tracepatch-ctl", f"only tracepatch-ctl is run: {command}"
    if words[1] in CHOOSING:
        words += ["--pid", str(shop["pid"])]
    done = subprocess.run(
        [sys.executable, "-m", "tracepatch_ctl", *words[1:]],
        cwd=folder,
        env={**os.environ, "COLUMNS": "100", "NO_COLOR": "1", "PYTHONUNBUFFERED": "1", "PYTHONUTF8": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=60,
        check=False,
    )
    # What to try next is said with all that was typed.
    return done.stdout.decode().replace(f" --pid {shop['pid']}", "")


def rewrite(block: Block, text: str) -> None:
    """Put another text into a block's page."""
    lines = block.page.read_text(encoding="utf-8").splitlines()
    end = lines.index("```", block.line)
    lines[block.line : end] = text.splitlines()
    block.page.write_text("\n".join(lines) + "\n", encoding="utf-8")
    moved = len(text.splitlines()) - (end - block.line)
    for later in BLOCKS:
        if later.page == block.page and later.line > block.line:
            later.line += moved
    block.text = text


def neutral(text: str) -> str:
    """What a session printed, as a page shows it: this machine is `web-1`, also in columns."""
    name = socket.gethostname()
    text = text.replace("HOST".ljust(len(name)) + "  ", "HOST   ").replace(name.ljust(4) + "  ", "web-1  ")
    return text.replace(name, "web-1").replace(f"{ROOT}/", "")


@pytest.mark.parametrize(
    "page", sorted({block.page for block in chosen("console")}), ids=lambda page: page.name
)
def test_sessions_print_what_the_page_shows(page: Path, shop: dict[str, Any], tmp_path: Path) -> None:
    extra = {socket.gethostname(): "HOST", f"{ROOT}/": ""}
    for block in [block for block in chosen("console") if block.page == page]:
        actual = ""
        for command in re.findall(r"^\$ (.*)$", block.text, re.MULTILINE):
            actual += f"$ {command}\n{session(command, shop, tmp_path).rstrip()}\n"
        for secret in demo.SECRETS.values():
            assert secret not in actual
        if WRITE:
            rewrite(block, neutral(actual))
            continue
        assert mask(actual, extra=extra) == mask(block.text, extra={"web-1": "HOST"}), (
            f"{block.where} shows something else"
        )


@pytest.mark.parametrize("block", chosen("python"), ids=lambda block: block.where)
def test_programs_run(block: Block, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(block.text, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-X", "utf8", "-W", "error", str(program)],
        cwd=tmp_path,
        env={**os.environ, "TRACEPATCH_RUNTIME_DIR": str(tmp_path / "run")},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, f"{block.where}\n{done.stderr}"
    expected = after(block)
    if expected is not None and expected.comment == "output":
        if WRITE:
            rewrite(expected, done.stdout.rstrip() + "\n")
        assert mask(done.stdout) == mask(expected.text), f"{expected.where} shows something else"


def shown(value: Any) -> Any:
    """A decoded record as the pages write it."""
    if isinstance(value, msgpack.ExtType):
        inner = msgpack.unpackb(value.data, ext_hook=msgpack.ExtType)
        if value.code == EXT_STRING:
            return {"$string": inner}
        assert value.code == EXT_MARK
        return {"$": inner[0], **{name: shown(item) for name, item in inner[1].items()}}
    if isinstance(value, list):
        return [shown(item) for item in value]
    if isinstance(value, dict):
        return {name: shown(item) for name, item in value.items()}
    return value


@pytest.mark.parametrize("block", chosen("hex"), ids=lambda block: block.where)
def test_bytes_decode_to_what_is_shown(block: Block) -> None:
    expected = after(block)
    assert expected is not None
    assert expected.kind == "json"
    unpacker = msgpack.Unpacker(ext_hook=msgpack.ExtType)
    unpacker.feed(bytes.fromhex(block.text))
    assert [shown(item) for item in unpacker] == [json.loads(line) for line in expected.text.splitlines()]


def test_the_stream_in_the_protocol_is_a_trace() -> None:
    from tracepatch_ctl import Trace

    block = max(chosen("hex"), key=lambda block: len(block.text))
    trace = Trace.from_bytes(bytes.fromhex(block.text))
    (login,) = trace.roots
    assert (login.function, [child.function for child in login.children]) == ("login", ["digest"])
    assert login.wall_ns == 2100 + 4300 + 900
    assert login.returned == login.children[0].returned == "9f86d081884c7d65"


def test_every_block_is_run_or_says_why_not(record_property: Callable[[str, object], None]) -> None:
    silent = []
    for index, block in enumerate(BLOCKS):
        follows_hex = index > 0 and BLOCKS[index - 1].kind == "hex"
        run = (
            block.kind in {"console", "python", "hex"}
            or block.comment == "output"
            or (block.kind == "json" and follows_hex)
        )
        if not run and not block.reason:
            silent.append(block.where)
    left_out = [block for block in BLOCKS if block.reason]
    reasons = "".join(f"\n  {block.where}: {block.reason}" for block in left_out)
    record_property(
        "summary", f"{len(left_out)} of {len(BLOCKS)} code blocks in the pages are not run:{reasons}"
    )
    assert silent == [], "put <!-- not run: the reason --> before it"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]*)(#[^)\s]*)?\)", page.read_text(encoding="utf-8")):
        path, anchor = target
        if "://" in path:
            continue
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), f"{page.name}: {path}"
        if anchor and there.suffix == ".md":
            headings = re.findall(r"^#+ (.*)$", there.read_text(encoding="utf-8"), re.MULTILINE)
            anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
            assert anchor[1:] in anchors, f"{page.name}: {path}{anchor}"


def test_every_error_is_in_the_table() -> None:
    page = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    rows = set(re.findall(r"^\| `([a-z-]+)` \| `(\w+)` \| (\d) \|", page, re.MULTILINE))
    kinds: list[type[errors.TracepatchError]] = [errors.TracepatchError]
    for kind in kinds:
        kinds.extend(kind.__subclasses__())
    ours = {kind for kind in kinds if kind.__module__ == errors.__name__}
    assert rows == {(kind.code, kind.__name__, str(kind.exit_code)) for kind in ours}


def test_the_record_kinds_are_those_of_the_code() -> None:
    page = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \| ([A-Z]+) \|", page, re.MULTILINE)
    assert rows == [(str(number), name) for number, name in enumerate(records.NAMES)]


def test_the_limits_are_those_of_the_code() -> None:
    for page in ("README.md", "docs/design.md"):
        text = (ROOT / page).read_text(encoding="utf-8")
        defaults = limits.Limits()
        for words in (
            f"{defaults.max_calls:,}".replace(",", " "),
            f"{defaults.max_depth} |",
            f"{defaults.max_duration_s:.0f} s",
            f"{defaults.max_bytes >> 20} MiB",
            f"{defaults.total_bytes >> 20} MiB",
            f"{defaults.budget:.0%}".replace("%", " %"),
            f"{limits.LEASE_S:.0f} s, renewed every {limits.RENEW_S:.0f} s",
        ):
            assert words in text, f"{page}: {words}"


def test_the_variables_are_those_of_the_code() -> None:
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    rows = set(re.findall(r"^\| `(TRACEPATCH_[A-Z_]+)` \|", page, re.MULTILINE))
    used: set[str] = set()
    modules = [ROOT / "hatch_build.py"]
    for folder in ("agent", "controller", "shared"):
        modules += (ROOT / folder).rglob("*.py")
    for module in modules:
        used.update(re.findall(r"(?<!_)TRACEPATCH_[A-Z]+(?:_[A-Z]+)*", module.read_text(encoding="utf-8")))
    assert rows == used


def test_no_page_installs_another_authors_package() -> None:
    for page in PAGES:
        assert not re.search(r"pip install (-\S+ )*tracepatch", page.read_text(encoding="utf-8")), page.name
