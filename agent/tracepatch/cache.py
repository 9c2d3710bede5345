"""The folder `.tracepatch_cache` that keeps the traces of `trace()` blocks: one JSON file each, newest first.

Best effort: whoever writes here is somebody's application, so nothing in this module may fail it; `save` raises
`OSError` and its caller contains that. Files are 0600 in a 0700 folder, and the oldest go when there are too many.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from tracepatch_shared import deepjson

FOLDER: Final = ".tracepatch_cache"
MAX_FILES: Final = 200
MAX_BYTES: Final = 100 << 20

_HEAD_CHARACTERS = 1 << 16
_LABEL_CHARACTERS = 60
_README = """tracepatch keeps the traces of `with tracepatch.trace():` blocks here, one JSON file each.

    from tracepatch import trace

    for entry in trace.logs():
        print(entry["file"], entry["call_count"], "calls")
    whole = trace.load(entry["file"])

The newest 200 files or 100 MB stay. Git ignores this folder, and it can be deleted at any time. The environment
variable TRACEPATCH_CACHE=0, or trace(cache=False), keeps traces from being written.
"""


def enabled() -> bool:
    """Tell whether `TRACEPATCH_CACHE` allows files."""
    return os.environ.get("TRACEPATCH_CACHE", "").strip().lower() not in ("0", "no", "off", "false")


def save(base: str | os.PathLike[str] | None, label: str | None, pieces: Iterable[str]) -> Path:
    """Write a new file below `base` (nil: the working directory) and return its path; raise `OSError`."""
    folder = _folder(base)
    for _ in range(20):
        path = folder / f"trace_{datetime.now():%Y%m%d_%H%M%S_%f}{_slug(label)}.json"
        try:
            file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            continue  # another process wrote in this microsecond
        break
    else:
        raise FileExistsError(f"no free name in {folder}")
    try:
        with open(file, "w", encoding="utf-8") as stream:
            stream.writelines(pieces)
    except BaseException:
        os.unlink(path)
        raise
    _prune(folder, path.name)
    return path


def entries(base: str | os.PathLike[str] | None, limit: int) -> Iterator[dict[str, Any]]:
    """Yield what the files say of themselves, the newest first; files that are no traces are passed over."""
    folder = Path(base if base is not None else Path.cwd()) / FOLDER
    try:
        names = sorted((name for name in os.listdir(folder) if _is_trace(name)), reverse=True)
    except OSError:
        return
    for name in names:
        if limit <= 0:
            return
        head = _head(folder / name)
        if head is not None:
            limit -= 1
            yield {
                "file": str(folder / name),
                "timestamp": head.get("timestamp"),
                "label": head.get("label"),
                "call_count": head.get("call_count", 0),
                "was_limited": head.get("was_limited", False),
            }


def _folder(base: str | os.PathLike[str] | None) -> Path:
    folder = Path(base if base is not None else Path.cwd()) / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    for name, text in ((".gitignore", "# Written by tracepatch\n*\n"), ("README", _README)):
        path = folder / name
        if not path.exists():
            path.write_text(text, encoding="utf-8")
    return folder


def _slug(label: str | None) -> str:
    """Return the part of a file name that a label becomes."""
    if not label:
        return ""
    plain = "".join(char if char.isascii() and (char.isalnum() or char in "_-") else "_" for char in label)
    return f"_{plain[:_LABEL_CHARACTERS]}"


def _is_trace(name: str) -> bool:
    return name.startswith("trace_") and name.endswith(".json")


def _prune(folder: Path, written: str) -> None:
    """Remove the oldest files beyond the bounds, never the one just written."""
    with os.scandir(folder) as items:
        files = [item for item in items if _is_trace(item.name) and item.is_file(follow_symlinks=False)]
    files.sort(key=lambda item: item.name, reverse=True)
    total = 0
    for index, item in enumerate(files):
        try:
            total += item.stat(follow_symlinks=False).st_size
            if (index >= MAX_FILES or total > MAX_BYTES) and item.name != written:
                os.unlink(item.path)
        except FileNotFoundError:
            continue  # another process was faster


def _head(path: Path) -> dict[str, Any] | None:
    """Return a file's fields without reading its tree: they stand before the key `trace`."""
    try:
        with open(path, encoding="utf-8") as stream:
            start = stream.read(_HEAD_CHARACTERS)
            # Within a JSON string a quote has a backslash before it, so this is the key and nothing else.
            end = start.find('"trace":')
            if end >= 0:
                head = json.loads(start[:end].rstrip().rstrip(",") + "}")
            else:
                head = deepjson.loads(start + stream.read())
    except (OSError, ValueError, RecursionError):
        return None
    return head if isinstance(head, dict) else None
