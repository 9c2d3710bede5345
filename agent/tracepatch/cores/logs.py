"""The log that a native core writes a recording into, in C (cores/native/log.c)."""

from __future__ import annotations

from _thread import get_ident
from typing import TYPE_CHECKING

from .. import strand
from ..codes import CodeTable, Entry
from ..recording import Recording
from ..runners import Runner
from ..stream import code_record, packed
from . import _native

if TYPE_CHECKING:
    from ..capture import Capturer

_native.bind(Recording, Runner, Entry)


def new_log(
    started_ns: int, capturer: Capturer, codes: CodeTable, arguments: bool, intern: bool, noted: bool
) -> _native.Log | None:
    """Return the log of a new recording; None, so that it is Python's, where there is no msgpack (in a block alone)."""
    try:
        import msgpack  # noqa: F401 - here, since callbacks need it later
    except ImportError:
        return None
    here = strand.identity()
    return _native.Log(
        started_ns,
        capturer,
        codes.entries,
        packed,
        _described,
        None if here is get_ident else here,
        arguments,
        intern,
        noted,
    )


def _described(entry: Entry) -> bytes:
    return packed(code_record(entry))
