"""What tells a frame that runs, or waits, from all others: the address of what it runs on.

The native core knows it without a frame object; without that core it is the frame object's own. Any thread.
"""

from __future__ import annotations

try:
    from .cores._native import frame_id as frame_id
except ImportError:  # there was no compiler when it was installed
    frame_id = id
