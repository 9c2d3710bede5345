"""The `native` core for 3.12 and newer: `monitoring` with the straight path in C (cores/native/).

Ordinary calls and returns of a traced task are recorded there as finished records of the stream; whatever is not as
ordinary comes to the same Python callbacks as without it, whose events are written into the same log.
"""

from __future__ import annotations

from typing import Any

from ..recording import current
from . import _native
from .logs import new_log
from .monitoring import MonitoringCore


def _reads_frames(first: object, *rest: object, name: object, **more: object) -> bool:
    return _native.reads_frames(_reads_frames.__code__, (first, name, rest, more))


if not _reads_frames(object(), 1, name="", more=None):
    raise ImportError("this interpreter's frames are not those of the headers that it was built with")


class NativeCore(MonitoringCore):
    """See the module; one object per process."""

    name = "native"
    log = staticmethod(new_log)

    def __init__(self) -> None:
        super().__init__(compiled=True)
        self.reason = ""

    def _filtered(self, kind: str, callback: Any) -> Any:
        callback = _native.Callback(
            kind, current, callback, self._contain, self._parking.parked, self._aimed, self._live
        )
        callback.everything = kind in ("yield", "resume")
        return callback
