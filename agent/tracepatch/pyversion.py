"""Named behaviour of the interpreter; the only place that looks at its version."""

from __future__ import annotations

import sys
from typing import Final

TEXT: Final = ".".join(map(str, sys.version_info[:3]))

MONITORING: Final = sys.version_info >= (3, 12)
"""sys.monitoring exists (PEP 669)."""

RESUME_OPCODE: Final = sys.version_info >= (3, 11)
"""A frame starts at a RESUME instruction; before, `f_lasti` is -1 then."""
