"""The bytes of a stream as records: msgpack arrays, with marks and interned strings put in place.

The pieces may be cut anywhere. What is damaged ends the reading, and what came before it stays.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from .values import EXT_MARK, EXT_STRING, Mark, shallow

MAX_RECORD_BYTES: Final = 16 << 20
"""A longer record is damage: capture bounds values far below."""

_PIECE = 1 << 20


class RecordReader:
    """Turn pieces of bytes into records.

    `strings` is the stream's table of interned strings; whoever handles the STRING records appends to it, between two
    records.
    """

    def __init__(self, strings: list[str]) -> None:
        import msgpack

        self.damage: str | None = None
        """What is wrong with the stream; nothing is read after it."""
        self._strings = strings
        self._options: dict[str, Any] = {
            "raw": False,
            "strict_map_key": False,
            "unicode_errors": "replace",
            "ext_hook": self._extension,
            "timestamp": 1,
        }
        self._unpackb = msgpack.unpackb
        self._make = msgpack.Unpacker
        self._unpacker = msgpack.Unpacker(max_buffer_size=MAX_RECORD_BYTES + _PIECE, **self._options)

    def feed(self, data: bytes) -> Iterator[list[Any]]:
        """Yield the records that are whole now. Exhaust it before the next call."""
        unpacker = self._unpacker
        for start in range(0, len(data), _PIECE):
            if self.damage is not None:
                return
            try:
                unpacker.feed(data[start : start + _PIECE])
            except Exception as error:  # noqa: BLE001 - msgpack raises unrelated types for bad input
                self.damage = f"a record is too large ({type(error).__name__})"
                return
            while True:
                try:
                    record = next(unpacker)
                except StopIteration:
                    break
                except Exception as error:  # noqa: BLE001 - msgpack raises unrelated types for bad input
                    self.damage = f"not a stream of records ({type(error).__name__})"
                    return
                if type(record) is list:
                    yield record

    def own(self, data: bytes) -> Iterator[list[Any]]:
        """Yield the records of a piece that this process has written, and that ends with one.

        Nothing is caught: what a signal handler raises meanwhile is the application's.
        """
        unpacker = self._make(max_buffer_size=len(data), **self._options)
        unpacker.feed(data)
        yield from unpacker

    def _extension(self, number: int, data: bytes) -> Any:
        if number == EXT_STRING:
            index = self._unpackb(data)
            if type(index) is int and 0 <= index < len(self._strings):
                return self._strings[index]
            return Mark("unreadable", {"why": "unknown string"})
        if number == EXT_MARK:
            mark = self._unpackb(data, **self._options)
            if type(mark) is list and len(mark) >= 2 and type(mark[0]) is str and type(mark[1]) is dict:
                return shallow(Mark(mark[0], mark[1]))
        return Mark("unreadable", {"why": f"unknown extension {number}"})
