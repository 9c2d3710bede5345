"""Whether a frame stands in a `yield from`: asked where a traced generator yields what another one yielded."""

from __future__ import annotations

from dis import opmap
from types import FrameType

from .codes import SUSPENDS

_DELEGATES = frozenset(opmap[name] for name in ("SEND", "YIELD_FROM") if name in opmap)
_CACHE = opmap.get("CACHE", -1)


def delegates(frame: FrameType | None) -> bool:
    """Tell whether a generator's frame waits in a `yield from`, not in a call of `next()` or in a loop."""
    if frame is None or not frame.f_code.co_flags & SUSPENDS:
        return False
    code = frame.f_code.co_code
    at = frame.f_lasti
    while at > 0 and code[at] == _CACHE:  # 3.12 stands behind the instruction
        at -= 2
    return at >= 0 and code[at] in _DELEGATES
