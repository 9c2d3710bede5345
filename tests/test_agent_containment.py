"""The border: a bug of ours is noted and swallowed, an exception of the application's passes."""

from __future__ import annotations

import json
import signal
import threading

import pytest

from tracepatch import containment


class Timeout(Exception):
    """What an application's signal handler raises."""


@pytest.fixture(autouse=True)
def nothing_noted():
    containment.report()
    yield
    containment.report()
    containment.on_problem(None)


def raise_in_our_code(error: BaseException) -> BaseException:
    """Return the exception with a traceback that ends in a file of ours."""
    code = compile("def bug(error):\n    raise error\n", containment.__file__, "exec")
    names: dict = {}
    exec(code, names)
    try:
        names["bug"](error)
    except BaseException as caught:
        # Without this test's own frame: it would be a frame of the application.
        return caught.with_traceback(caught.__traceback__.tb_next)
    raise AssertionError


def test_a_bug_of_ours_is_noted_once_and_wakes_the_agent() -> None:
    woken = []
    containment.on_problem(lambda: woken.append(1))
    containment.take(raise_in_our_code(KeyError("x")))
    containment.take(raise_in_our_code(ValueError("later")))
    assert len(woken) == 2
    problem = containment.report()
    assert problem is not None
    assert str(problem).startswith("KeyError at\n")
    assert "bug" in str(problem)
    assert containment.report() is None


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(1), GeneratorExit(), Timeout()])
def test_what_cannot_be_ours_passes(error: BaseException) -> None:
    with pytest.raises(type(error)):
        containment.take(raise_in_our_code(error))
    assert containment.report() is None


def test_a_builtin_exception_from_a_foreign_frame_passes() -> None:
    def handler(*_: object) -> None:
        raise TimeoutError("soft limit")

    with pytest.raises(TimeoutError, match="soft limit"):
        try:
            handler()
        except BaseException as error:
            containment.take(error)


def test_a_signal_handler_that_raises_inside_our_code_reaches_the_application() -> None:
    if threading.current_thread() is not threading.main_thread():
        pytest.skip("signals come to the main thread")

    def handler(*_: object) -> None:
        raise TimeoutError("soft limit")

    code = compile(
        "def callback(taken):\n"
        "    try:\n"
        "        while True:\n"
        "            pass\n"
        "    except BaseException as error:\n"
        "        taken(error)\n",
        containment.__file__,
        "exec",
    )
    names: dict = {}
    exec(code, names)
    before = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(TimeoutError, match="soft limit"):
            names["callback"](containment.take)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert containment.report() is None


def test_an_error_that_the_standard_library_raises_for_us_is_ours() -> None:
    error = raise_in_our_code(json.JSONDecodeError("x", "y", 0))
    containment.take(error)
    assert containment.report() is not None


def test_the_applications_recursion_limit_is_no_bug() -> None:
    containment.take(raise_in_our_code(RecursionError("maximum recursion depth exceeded")))
    assert containment.report() is None


def test_a_report_never_shows_values_of_the_application() -> None:
    containment.take(raise_in_our_code(KeyError("hunter2")))
    assert "hunter2" not in str(containment.report())


def test_the_context_manager_form() -> None:
    with containment.contained():
        pass
    with pytest.raises(Timeout), containment.contained():
        raise Timeout
    assert containment.report() is None


def test_a_waker_that_fails_harms_nobody() -> None:
    def wake() -> None:
        raise RuntimeError

    containment.on_problem(wake)
    containment.take(raise_in_our_code(KeyError("x")))
    assert containment.report() is not None
