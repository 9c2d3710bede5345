"""What the native core records is what Python records: the same programs on both, their streams compared record by record."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

if sys.version_info < (3, 12):
    pytest.skip("there is no native core", allow_module_level=True)
pytest.importorskip(
    "tracepatch.cores._native", reason="installed where no C compiler is", exc_type=ImportError
)

from native_twin import CASES

CORES = ("native", "monitoring")


@cache
def recorded(core: str) -> dict[str, Any]:
    """Return what a process with this core has recorded."""
    tests = Path(__file__).parent
    ran = subprocess.run(
        [sys.executable, "native_twin.py"],
        cwd=tests,
        env={**os.environ, "TRACEPATCH_CORE": core, "PYTHONHASHSEED": "0"},
        capture_output=True,
        timeout=300,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr.decode(errors="replace")
    found: dict[str, Any] = pickle.loads(ran.stdout)
    assert found.pop("core") == core
    assert ran.stderr == b""
    return found


@pytest.mark.parametrize("case", CASES)
def test_both_record_the_same(case: str) -> None:
    found, wanted = (recorded(core)[case] for core in CORES)
    # Not `==`: 1 is no True, nor 0.0 a -0.0.
    difference = first_difference(found, wanted)
    assert difference is None, difference


def test_there_is_something_to_compare() -> None:
    lengths = {case: sum(map(len, streams(found))) for case, found in recorded("native").items()}
    nothing = {"candidates not kept", "candidates with a call"}
    assert {case for case, length in lengths.items() if not length} == nothing
    assert sum(lengths.values()) > 50_000


def streams(found: Any) -> list[list[Any]]:
    """Return the lists of records in what a case has returned."""
    if not isinstance(found, (list, tuple)):
        return []
    if found and isinstance(found[0], list) and found[0] and type(found[0][0]) is int:
        return [found]  # type: ignore[list-item]
    return [stream for item in found for stream in streams(item)]


def first_difference(found: Any, wanted: Any, where: tuple[Any, ...] = ()) -> str | None:
    if repr(found) == repr(wanted):
        return None
    if type(found) is type(wanted) and isinstance(found, (list, tuple)):
        for place, (one, other) in enumerate(zip(found, wanted, strict=False)):
            difference = first_difference(one, other, (*where, place))
            if difference is not None:
                return difference
    return f"at {where}: {found!r:.500} and not {wanted!r:.500}"
