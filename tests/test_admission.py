"""`--sample` and `--rate`: which tasks become candidates."""

from __future__ import annotations

import random
import sys
import threading

from tracepatch.admission import Admission
from tracepatch.missing import LOOKS, Missing

SECOND = 1_000_000_000


def test_every_nth_on_average() -> None:
    admission = Admission(sample=10)
    admitted = sum(admission.admits(free=True) for _ in range(20_000))
    assert 1_700 < admitted < 2_300  # seven standard deviations
    assert admitted + admission.sampled_out == 20_000


def test_the_applications_own_random_numbers_stay_what_they_were() -> None:
    random.seed(7)
    expected = [random.random() for _ in range(3)]
    random.seed(7)
    admission = Admission(sample=2)
    found = []
    for _ in range(3):
        admission.admits(free=True)
        found.append(random.random())
    assert found == expected


def test_at_most_so_many_in_any_second() -> None:
    admission = Admission(rate=5)
    tenths = [number * SECOND // 10 for number in range(1, 101)]
    admitted = [now for now in tenths for _ in range(7) if admission.admits(free=True, now_ns=now)]
    for begin in tenths:
        assert sum(begin <= now < begin + SECOND for now in admitted) <= 5
    assert len(admitted) == 50
    assert admission.rate_limited == 650


def test_less_than_one_a_second() -> None:
    admission = Admission(rate=0.5)
    seconds = [number * SECOND for number in range(1, 11)]
    assert [now // SECOND for now in seconds if admission.admits(free=True, now_ns=now)] == [1, 3, 5, 7, 9]


def test_a_task_that_finds_no_slot_uses_up_no_token() -> None:
    admission = Admission(rate=1)
    assert admission.admits(free=False, now_ns=SECOND)
    assert admission.admits(free=True, now_ns=SECOND)
    assert not admission.admits(free=True, now_ns=SECOND)
    assert admission.rate_limited == 1


def test_threads_together_get_no_more() -> None:
    admission = Admission(rate=20)
    admitted: list[int] = []
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:

        def run() -> None:
            admitted.extend(1 for _ in range(2_000) if admission.admits(free=True, now_ns=SECOND))

        threads = [threading.Thread(target=run) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert 0 < len(admitted) <= 20


def test_a_token_that_was_lost_comes_back() -> None:
    admission = Admission(rate=1)
    tokens = admission._tokens
    assert tokens is not None
    tokens.popleft()  # a signal handler has raised right then
    for _ in range(LOOKS):
        assert not admission.admits(free=True)
        admission.make_up()
    assert len(tokens) == 1


def test_what_is_held_for_a_moment_is_not_lost() -> None:
    missing = Missing()
    assert not any(missing.lost(number % 7) for number in range(10 * LOOKS))
    assert missing.lost(0) == 0
    assert [missing.lost(2) for _ in range(LOOKS)] == [0] * (LOOKS - 1) + [2]
    assert not any(missing.lost(0) for _ in range(2 * LOOKS))
