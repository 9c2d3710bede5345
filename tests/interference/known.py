"""CPython tests that a tracer which does nothing changes as well; the runner checks that of each of them.

Every other test must come out the same with each test method traced as without.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Known:
    """One test, by the end of its id."""

    test: str
    reason: str
    pythons: tuple[str, ...] = ()
    """Versions; all when empty."""


KNOWN = (
    Known(
        "test_generators.SignalAndYieldFromTest.test_raise_and_yield_from",
        "a signal is pending when a generator is resumed: its handler runs with the first Python code, which is a "
        "callback, and raises in the outer generator instead of the inner one",
    ),
    *(
        Known(
            f"test_coroutines.CoroutineTest.{name}",
            "counts references to a variable that a frame holds; around a trace function the interpreter copies the "
            "variables into the frame's f_locals",
            ("3.10",),
        )
        for name in ("test_for_2", "test_for_3", "test_for_4")
    ),
    *(
        Known(
            f"test_exceptions.ExceptionTests.{name}",
            "wants an exception gone that its handler has left; it is still in the frame's f_locals, into which the "
            "interpreter copies the variables around a trace function",
            ("3.10",),
        )
        for name in ("testExceptionCleanupState", "test_memory_error_cleanup")
    ),
    Known(
        "test_exceptions.ExceptionTests.test_recursion_in_except_handler",
        "sets the recursion limit to ten calls, and enters a context manager: a trace function stands on the same stack",
        ("3.10", "3.11"),
    ),
    Known(
        "test_contextlib.ContextManagerTestCase.test_nokeepref",
        "wants an argument gone that the frame has deleted; it is still in the frame's f_locals, where its tracer has "
        "read the arguments",
        ("3.10", "3.11"),
    ),
)
