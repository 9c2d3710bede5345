"""What TRACE means on the command line: an id, `last`, a number of the last arm, a file, or `-`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tracepatch_shared.errors import TracepatchError
from tracepatch_shared.tree import Trace

from ..store import Store, location
from ..trace_file import ended, traces_in


@contextmanager
def kept() -> Iterator[Store]:
    """Open the store for reading."""
    with Store.read(location()[0]) as store:
        yield store


@contextmanager
def changed() -> Iterator[Store]:
    """Open the store for writing; raise `StoreError` where there is none, rather than make one."""
    path = location()[0]
    Store.read(path).close()
    with Store.open(path) as store:
        yield store


def traces(reference: str) -> list[Trace]:
    """Return the traces that a user means: one, or all that a file holds.

    A name with a dot or a slash in it is a file, and so is one that exists and cannot be an id.
    """
    if reference == "-":
        return _in_file(reference, sys.stdin.buffer.read())
    if "/" in reference or "." in reference or (os.path.isfile(reference) and not _names_stored(reference)):
        try:
            with open(reference, "rb") as file:
                return _in_file(reference, file.read())
        except OSError as error:
            raise TracepatchError(f"{reference} cannot be read: {error.strerror or error}") from None
    with kept() as store:
        entry = store.find(reference)
        return [ended(Trace.read(store.stream(entry)), entry.status, entry.reason)]


def _names_stored(reference: str) -> bool:
    try:
        with kept() as store:
            store.find(reference)
    except TracepatchError:
        return False
    return True


def _in_file(name: str, content: bytes) -> list[Trace]:
    try:
        return traces_in(content)
    except TracepatchError as error:
        where = "standard input" if name == "-" else name
        raise TracepatchError(f"{where} cannot be read: {error}") from None
