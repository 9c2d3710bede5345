"""A part of `make cpython-suites`: two of CPython's own suites come out the same with every test method traced."""

from __future__ import annotations

import pytest

from interference.comparison import compare, importable, run


@pytest.mark.parametrize(("suite", "mode"), [("test_asyncgen", "block"), ("test_contextlib_async", "armed")])
def test_a_suite_of_cpython_comes_out_the_same(suite: str, mode: str) -> None:
    if not importable(suite):
        pytest.skip("this Python came without CPython's tests (`.ci/cpython-tests` may find them)")
    bare = run(suite, "bare")
    assert len(bare) > 40
    result = compare(suite, bare, mode)
    assert not result.different
    assert (result.tests, result.traced) == (len(bare), len(bare))
    assert result.nodes > 5 * len(bare)
