"""What can be pasted into a shell as it stands."""

from __future__ import annotations

import re
import shlex

_KIND = re.compile(r"(http|task|job|thread):(.*)", re.DOTALL)


def quoted(target: str) -> str:
    """Return a target as it is typed: `http:'POST /items*'`, `'app.*:*'`, `app.views:cart`."""
    kind = _KIND.fullmatch(target)
    return f"{kind[1]}:{shlex.quote(kind[2])}" if kind else shlex.quote(target)
