from collections.abc import Callable
from contextvars import ContextVar
from types import CodeType, FrameType
from typing import Any

from _typeshed import Incomplete

def frame_id(frame: FrameType | Incomplete, /) -> int: ...
def clock_ns() -> int: ...
def reads_frames(code: CodeType, values: tuple[object, ...], /) -> bool: ...
def bind(recording: type, runner: type, entry: type, /) -> None: ...

# 3.10 and 3.11 (hook.c)
def prepare(
    *,
    trace_hook: Callable[..., object],
    variable: ContextVar[Any],
    parked: dict[int, Any],
    leaving: dict[int, Any],
    returned: Callable[..., object],
    raised: Callable[..., object],
    arrived: Callable[[], object],
    contain: Callable[..., object],
) -> None: ...
def start() -> bool: ...
def stop() -> None: ...
def put_on() -> None: ...
def evaluations(function: Callable[[Any], object], argument: object, /) -> int: ...

class Table:
    """What a dict of numbers is, for those that the straight path reads."""

    def get(self, number: int, default: Any = None, /) -> Any: ...
    def pop(self, number: int, default: Any, /) -> Any: ...
    def values(self) -> list[Any]: ...
    def items(self) -> list[tuple[int, Any]]: ...
    def clear(self) -> None: ...
    def __getitem__(self, number: int) -> Any: ...
    def __setitem__(self, number: int, value: Any) -> None: ...
    def __delitem__(self, number: int) -> None: ...
    def __contains__(self, number: int) -> bool: ...
    def __len__(self) -> int: ...

class Log:
    """The stream of one trace; its length is what it weighs, and it is true while records wait."""

    open: Table
    current: Table
    node: type
    noted: list[Any] | None
    last_ns: int
    elided: int
    events: int
    pending: int
    text_bytes: int

    def __init__(
        self,
        started_ns: int,
        capturer: object,
        entries: dict[int, Any],
        pack: Callable[[Any], bytes],
        describe: Callable[[Any], bytes],
        here: Callable[[], int] | None,
        arguments: bool,
        intern: bool,
        noted: bool,
    ) -> None: ...
    def append(self, event: tuple[Any, ...], /) -> None: ...
    def lines(self, now_ns: int, packed: bytes, /) -> None: ...
    def take(self) -> bytes: ...
    def clear(self) -> None: ...
    def __len__(self) -> int: ...
    def __bool__(self) -> bool: ...

class Callback:
    """What drops events of Contexts that carry no trace, and records ordinary ones itself."""

    callback: Callable[..., object]
    code: CodeType | None
    everything: bool
    counts: bool
    counted: int

    def __init__(
        self,
        kind: str,
        variable: ContextVar[Any],
        callback: Callable[..., object],
        contain: Callable[..., object],
        parked: dict[int, Any],
        aimed: dict[int, Any],
        live: set[Any],
    ) -> None: ...
    def __call__(self, code: CodeType, *details: object) -> None: ...
