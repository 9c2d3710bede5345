"""Turns at changing functions: one at a time, nobody waits long, and none is lost for good."""

from __future__ import annotations

import threading
from time import perf_counter

import pytest

from tracepatch import turn as turns
from tracepatch.turn import Turn


def test_one_at_a_time_has_it() -> None:
    turn = Turn()
    count = 0

    def adds() -> None:
        nonlocal count
        for _ in range(2000):
            with turn.held() as mine:
                assert mine
                before = count
                for _ in range(20):
                    pass  # lets another thread run now and then
                count = before + 1

    threads = [threading.Thread(target=adds) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert count == 8000


def test_who_waits_briefly_gives_up_and_takes_nothing() -> None:
    turn = Turn()
    with turn.held():
        with turn.held(0.001) as mine:
            assert not mine
        with turn.held(0.001) as mine:
            assert not mine
    with turn.held(0) as mine:
        assert mine


def test_one_that_was_never_given_back_is_taken_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "PATIENTLY_S", 0.05)
    turn = Turn()
    lost = turn.held()
    assert lost.__enter__()
    began = perf_counter()
    with turn.held(0.05) as mine:
        assert mine
        assert perf_counter() - began >= 0.05
        lost.__exit__(None, None, None)  # too late, and it is not its own any more
        with turn.held(0) as another:
            assert not another
    with turn.held(0) as mine:
        assert mine


def test_an_exception_gives_it_back() -> None:
    turn = Turn()
    with pytest.raises(KeyError), turn.held():
        raise KeyError
    with turn.held(0) as mine:
        assert mine
