"""Named behaviour of the interpreter; the only place that looks at its version."""

from __future__ import annotations

import sys
from typing import Final

TEXT: Final = ".".join(map(str, sys.version_info[:3]))

MONITORING: Final = sys.version_info >= (3, 12)
"""sys.monitoring exists (PEP 669)."""

LIVE_LOCALS: Final = sys.version_info >= (3, 13)
"""A frame's `f_locals` is a view (PEP 667); before, a dictionary that the frame keeps."""

COPIED_LOCALS: Final = sys.version_info < (3, 11)
"""Around each call of a trace function a frame's variables are copied to its `f_locals` and back; on 3.11 only when
the function has read that (bpo-30744, bpo-42197)."""

RESUME_OPCODE: Final = sys.version_info >= (3, 11)
"""A frame starts at a RESUME instruction; before, `f_lasti` is -1 then."""
