"""Nothing recurses over a trace: one that is 10 000 calls deep goes the whole way."""

from __future__ import annotations

import json

from ctl import ctl, environment
from processes import TARGETS, python_process
from tracepatch_ctl import Trace

DEPTH = 10_000
BOUNDS = ("--max-depth", str(DEPTH), "--max-calls", str(2 * DEPTH))


def depth(trace: Trace) -> int:
    (node,) = trace.roots
    deep = 1
    while node.children:
        (node,) = node.children
        assert node.function == "dig"
        deep += 1
    return deep


def test_ten_thousand_calls_deep(runtime_dir, tmp_path) -> None:
    env = environment(XDG_STATE_HOME=str(tmp_path / "state"))
    written = {kind: tmp_path / f"trace.{kind}" for kind in ("json", "ndjson")}
    with python_process(TARGETS / "acceptance_deep.py", "deep") as app:
        app.expect("up")
        done = ctl("arm", "__main__:dig", *BOUNDS, "--pid", str(app.pid), env=env)
    assert done.returncode == 0, done.stderr
    assert f"{DEPTH} calls" in done.stdout.splitlines()[1]
    assert f"dig(left={DEPTH}) → {DEPTH}" in done.stdout
    assert "dig(left=1) → 1" in done.stdout
    shown = ctl("show", "last", env=env)
    assert (shown.returncode, shown.stdout) == (0, done.stdout)
    for kind, path in written.items():
        assert ctl("export", "last", "--format", kind, "-o", str(path), env=env).returncode == 0
        assert depth(Trace.load(path)) == DEPTH
    again = ctl("show", str(written["json"]), env=env)
    assert again.returncode == 0, again.stderr
    assert "dig(left=1) → 1" in again.stdout
    assert len(written["ndjson"].read_text().splitlines()) >= DEPTH
    flat = ctl("show", "last", "--json", "--flat", env=env).stdout.splitlines()
    assert sum(json.loads(line)["type"] == "node" for line in flat) == DEPTH
