"""gevent, patched before or after tracepatch is loaded, or not at all: each in a process of its own."""

from __future__ import annotations

import pytest

from loops_helpers import run_target


@pytest.mark.parametrize("how", ["plain", "patched-first", "patched-after"])
@pytest.mark.parametrize(
    "what",
    [
        "greenlets_keep_apart",
        "children_have_a_context_of_their_own",
        "threads_run_too",
        "threads_are_followed_on_request",
    ],
)
def test_greenlets(how: str, what: str) -> None:
    assert run_target("loops_gevent.py", how, what) == f"{what}\n"
