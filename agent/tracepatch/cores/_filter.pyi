from collections.abc import Callable
from contextvars import ContextVar
from types import CodeType
from typing import Any

class Filter:
    """See `_filter.c`."""

    callback: Callable[..., object]
    code: CodeType | None
    everything: bool
    counts: bool
    counted: int

    def __init__(self, variable: ContextVar[Any], callback: Callable[..., object]) -> None: ...
    def __call__(self, code: CodeType, offset: int, /, *rest: object) -> object: ...
