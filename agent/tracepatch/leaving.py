"""How a `with` statement leaves a block: by calling `__exit__`, or by dropping it where a signal handler raises first.

A handler may raise as `__exit__` is entered, or when `__enter__` has begun the block and returns: then the statement is
over, and nobody calls `__exit__`. But a `with` statement takes `__exit__` out of the block before it enters it, and holds
it for exactly as long as it may call it. So each statement gets one of its own, made in C, that no traceback can hold: when
it dies and the block was not left, the block is ended then and there.

Where others call `__exit__` (an `ExitStack` takes it from the class) there is nothing to watch.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from functools import partial
from typing import Any


class Stay:
    """One stay in a block."""

    __slots__ = ("watched",)

    def __init__(self) -> None:
        self.watched: weakref.ref[Any] | None = None
        """While it lasts: what is dropped when nobody will end it any more, with what is to be done then."""


Coming = tuple[Stay, "weakref.ref[Any]"]
"""A stay that is about to begin, and what will be held while it lasts."""


class Leave:
    """`__exit__` or `__aexit__`: the function is given the stay (nil where it is not watched), the block and the exception."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __get__(self, block: Any, owner: type | None = None) -> Callable[..., Any]:
        if block is None:
            return partial(self._function, None)
        stay = Stay()
        leave = partial(self._function, stay, block)
        block._coming = (stay, weakref.ref(leave))
        return leave
