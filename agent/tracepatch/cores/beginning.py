"""Whether a generator's or coroutine's frame has begun (3.12 and later).

What is thrown into one that has not begun is the first that is seen of its frame: it has no start.
"""

from __future__ import annotations

from dis import opmap
from types import FrameType

_MADE = opmap["RETURN_GENERATOR"]


def begun(frame: FrameType) -> bool:
    """Tell whether a suspended frame has run further than to where its generator was made."""
    code = frame.f_code.co_code
    at = frame.f_lasti
    return code[at] != _MADE and not (at >= 2 and code[at - 2] == _MADE)  # 3.13 stands one instruction behind
