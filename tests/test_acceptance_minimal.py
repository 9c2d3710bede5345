"""The base install in the barest container: everything read-only but one tmpfs, a uid that nobody knows, no HOME."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from acceptance_helpers import WORKER, needs_namespaces
from processes import TARGETS, short_directory

UID = 54321
BASE = ("zmq", "msgpack", "click", "tracepatch", "tracepatch_ctl", "tracepatch_shared")
"""What the base install brings."""


def install(site: Path) -> None:
    """Copy the base install and the programs of this test into a folder."""
    for name in BASE:
        spec = find_spec(name)
        assert spec is not None
        (package,) = spec.submodule_search_locations
        shutil.copytree(package, site / name, ignore=shutil.ignore_patterns("tests", "__pycache__", "_demo"))
        libraries = Path(package).parent / "pyzmq.libs"
        if name == "zmq" and libraries.is_dir():
            shutil.copytree(libraries, site / libraries.name)
    for program in (WORKER, TARGETS / "acceptance_box.py"):
        shutil.copy(program, site)


def covers(path: Path) -> list[Path]:
    """Return the folder on the way to `path` that others may not enter, if there is one."""
    return [folder for folder in reversed(path.parents) if not folder.stat().st_mode & 0o001][:1]


def steps(scratch: Path, python: Path, prefix: Path, words: list[str]) -> list[str]:
    """Return the shell commands that make the box and run the program in it.

    A Python under a folder that only root may enter is shown again at the same path, in a folder of the same name.
    """
    made: list[str] = []
    for number, cover in enumerate((*covers(prefix), Path("/tmp"))):
        stage = scratch / f"stage{number}"
        made += [
            f"mkdir {stage}",
            f"mount -t tmpfs -o mode={'1777' if cover == Path('/tmp') else '755'} tmpfs {stage}",
        ]
        if prefix.is_relative_to(cover):
            there = shlex.quote(f"{stage}/{prefix.relative_to(cover)}")
            made += [f"mkdir -p {there}", f"mount --bind {shlex.quote(str(prefix))} {there}"]
        if cover == Path("/tmp"):
            made += [f"mkdir {stage}/site", f"mount --bind {scratch}/site {stage}/site"]
        made.append(f"mount --rbind {stage} {cover}")
    made += [
        "mount -t proc proc /proc",
        "while read -r _ _ _ _ where _; do"
        ' [ "$where" = /tmp ] || mount -o remount,bind,ro "$where" 2>/dev/null || :; done < /proc/self/mountinfo',
        "cd /",
    ]
    program = [str(python), "-S", "/tmp/site/acceptance_box.py", *words]
    made.append(
        f"exec setpriv --reuid {UID} --regid {UID} --clear-groups"
        f" env -i PATH=/usr/bin:/bin PYTHONPATH=/tmp/site {shlex.join(program)}"
    )
    return made


@needs_namespaces
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs setpriv")
def test_arm_shows_a_tree_and_exits_with_0() -> None:
    # A venv's Python is one of the base installation's, found by its own path; -S leaves site-packages out.
    python = Path(os.path.realpath(sys.executable))
    with short_directory() as scratch:
        (scratch / "site").mkdir()
        install(scratch / "site")
        script = "\n".join(steps(scratch, python, Path(sys.base_prefix), ["arm", "__main__:work", "-n", "1"]))
        done = subprocess.run(
            ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-euc", script],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["wrong"] == []
    assert result["code"] == 0, result
    assert "__main__.work(count=3) → 6" in result["out"]
    assert "__main__.leaf(number=2) → 3" in result["out"]
    assert "not kept" in result["err"] or "not stored" in result["err"], result["err"]
    assert result["err"].splitlines()[-1].endswith("clean")
