"""The recorder agrees with the reference, node for node; `make oracle` compares thousands of programs more."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oracle import faults
from oracle.__main__ import drawn, found_after
from oracle.comparing import Comparison
from oracle.found import FOUND
from oracle.grammar import Program, program
from oracle.running import Run

SEEDS = 30


@st.composite
def programs(draw: st.DrawFn) -> Program:
    return program(lambda below: draw(st.integers(0, below - 1)))


@settings(
    max_examples=20,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)
@given(programs())
def test_a_random_program_is_recorded_as_it_ran(drawn_program: Program) -> None:
    Comparison(Run(drawn_program))


@pytest.mark.parametrize("part", range(4))
def test_the_first_seeds_are_recorded_as_they_ran(part: int) -> None:
    for seed in range(part * SEEDS, (part + 1) * SEEDS):
        try:
            Comparison(Run(drawn(seed)))
        except AssertionError as difference:
            raise AssertionError(f"seed {seed}: {difference}") from None


@pytest.mark.parametrize("name", FOUND)
def test_what_was_found_stays_right(name: str) -> None:
    for _ in range(3):
        Comparison(Run(FOUND[name]))


@pytest.mark.parametrize(
    "name", ["popped by name", "a resume is ignored", "an unwind is ignored", "one stack for all tasks"]
)
def test_a_fault_of_the_recorder_is_found(name: str) -> None:
    assert found_after(name, range(100)) is not None


def test_enough_faults_are_known() -> None:
    assert len(faults.FAULTS) >= 12
