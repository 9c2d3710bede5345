"""The operator's side of tracepatch: command line, client, store and exports.

`Client` and `Trace` load on first use: `import tracepatch_ctl` alone loads neither pyzmq nor msgpack.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tracepatch_shared.tree import Trace

    from .client import Client

__all__ = ["Client", "Trace"]


def __getattr__(name: str) -> Any:
    if name == "Client":
        from .client import Client

        return Client
    if name == "Trace":
        from tracepatch_shared.tree import Trace

        return Trace
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
