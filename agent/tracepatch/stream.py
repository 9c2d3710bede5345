"""Turns a recording's events into the records of its stream: numbers, deltas, interning; and packs them.

One `Writer` per trace, used by one thread at a time (the agent thread, or the thread that ends a local trace). The
layout is in `tracepatch_shared.records`; this is its executable specification.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from types import CodeType
from typing import TYPE_CHECKING, Any, NamedTuple

from tracepatch_shared import records
from tracepatch_shared.values import EXT_MARK, EXT_STRING, Mark

from .codes import Entry
from .runners import Event, Node, Runner

if TYPE_CHECKING:
    from collections import deque

    from .cores._native import Log

Record = list[Any]
Pack = Callable[[Any], bytes]


class Taken(NamedTuple):
    """What was taken of a recording: its records, how many events these are, and those that decide whether it is kept."""

    data: bytes
    events: int
    noted: list[Event]


INTERNED = 4096
"""Texts that one stream interns at the most."""
SHORTEST = 6
"""Characters below which a text costs no more than a reference to it."""


class Reference:
    """A text that was written before: its number."""

    __slots__ = ("number",)

    def __init__(self, number: int) -> None:
        self.number = number


class Writer:
    """Makes records of events, in order; `intern=False` leaves every text in place."""

    def __init__(self, started_ns: int, *, intern: bool = True) -> None:
        self._last_ns = started_ns
        self._branch: Runner | None = None
        self._branches = 0
        self._codes: dict[int, tuple[int, Entry]] = {}
        self._nodes = 0
        self._intern = intern
        self._texts: dict[str, int | None] = {}
        self._strings = 0
        self.elided = 0

    def head(self, fields: dict[str, Any]) -> Record:
        """Return the stream's first record."""
        return [records.HEAD, fields]

    def take(self, events: deque[Event], most: int, pack: Pack) -> Taken:
        """Take at most so many of the events that wait, the oldest first, and pack their records."""
        batch: list[Event] = []
        take = events.popleft
        try:
            for _ in range(most):
                batch.append(take())
        except IndexError:
            pass
        return Taken(b"".join(map(pack, self.records(batch))), len(batch), batch)

    def packed_lines(self, now_ns: int, lines: dict[str, int], pack: Pack) -> bytes:
        """Return the packed record of `lines`."""
        return pack(self.lines(now_ns, lines))

    def records(self, events: Iterable[Event]) -> Iterator[Record]:
        """Yield the records for some events."""
        for event in events:
            kind = event[0]
            runner: Runner = event[1]
            if kind == records.BRANCH:
                yield self._begin(runner, event[2])
                continue
            if runner is not self._branch:
                self._branch = runner
                yield [records.SWITCH, runner.number]
            now = event[2]
            delta = now - self._last_ns
            self._last_ns = now
            if kind == records.CALL:
                node: Node = event[3]
                node.number = self._nodes
                self._nodes += 1
                values = event[4]
                if values and self._intern:
                    for index, value in enumerate(values):
                        if type(value) is str and len(value) >= SHORTEST:
                            yield from self._interned(values, index)
                entry = node.entry
                found = self._codes.get(id(entry.code))
                if found is None:
                    found = (len(self._codes), entry)
                    self._codes[id(entry.code)] = found
                    yield code_record(entry)
                yield [records.CALL, delta, found[0], *values] if values else [records.CALL, delta, found[0]]
            elif kind == records.RETURN:
                tail = [event[4]]
                yield from self._interned(tail, 0)
                yield self._ended([records.RETURN, delta, tail[0]], event[3])
            elif kind == records.RAISE:
                tail = [event[4], event[5]]
                yield from self._interned(tail, 0)
                yield from self._interned(tail, 1)
                yield self._ended([records.RAISE, delta, *tail], event[3])
            elif kind in (records.SUSPEND, records.RESUME):
                yield [kind, delta]
            else:
                yield [kind, delta, event[3].number]

    def end(
        self, now_ns: int, status: str, reason: str | None, fields: dict[str, Any], open_nodes: Iterable[Node]
    ) -> Record:
        """Return the stream's last record; open nodes say there how many calls they left out."""
        elided = {str(node.number): node.elided for node in open_nodes if node.elided and node.number >= 0}
        self.elided += sum(elided.values())
        return [
            records.END,
            now_ns - self._last_ns,
            status,
            reason,
            {"elided": self.elided, "open_elided": elided, **fields},
        ]

    def lines(self, now_ns: int, lines: dict[str, int]) -> Record:
        """Return a record that says where open nodes stand, by their numbers."""
        delta = now_ns - self._last_ns
        self._last_ns = now_ns
        return [records.LINES, delta, lines]

    def _begin(self, runner: Runner, now: int) -> Record:
        runner.number = self._branches
        self._branches += 1
        self._branch = runner
        delta = now - self._last_ns
        self._last_ns = now
        parent = runner.parent.number if runner.parent is not None and runner.parent.number >= 0 else None
        return [records.BRANCH, delta, runner.kind, runner.name, parent, runner.link]

    def _ended(self, record: Record, node: Node) -> Record:
        if node.elided:
            self.elided += node.elided
            record.append(node.elided)
        return record

    def _interned(self, values: Record, index: int) -> Iterator[Record]:
        """Replace a text that comes again by a reference, and write it out when it comes for the second time."""
        text = values[index]
        if not self._intern or type(text) is not str or len(text) < SHORTEST:
            return
        number = self._texts.get(text, -1)
        if number == -1:
            if len(self._texts) < INTERNED:
                self._texts[text] = None
            return
        if number is None:
            number = self._texts[text] = self._strings
            self._strings += 1
            yield [records.STRING, text]
        values[index] = Reference(number)


class LogWriter(Writer):
    """The writer of a trace that the native core writes itself: what is left to it is the first record and the last."""

    def __init__(self, log: Log, *, intern: bool = True) -> None:
        super().__init__(log.last_ns, intern=intern)
        self._log = log
        self._taken = 0

    def take(self, events: Any, most: int, pack: Pack) -> Taken:  # noqa: ARG002 - as much as is sent at once
        log = self._log
        data = log.take()
        count, self._taken = log.events - self._taken, log.events
        noted: list[Event] = []
        if log.noted:
            noted, log.noted[:] = log.noted[:], []
        return Taken(data, count, noted)

    def end(self, now_ns: int, *rest: Any) -> Record:
        self._last_ns = self._log.last_ns
        self.elided = self._log.elided
        return super().end(now_ns or self._last_ns, *rest)

    def packed_lines(self, now_ns: int, lines: dict[str, int], pack: Pack) -> bytes:
        self._log.lines(now_ns, pack(lines))  # in its place among what is recorded meanwhile
        return self._log.take()


def code_record(entry: Entry) -> Record:
    """Return the record that says what a code object is."""
    code = entry.code
    return [
        records.CODE,
        entry.module,
        qualname(code, entry.module),
        code.co_filename,
        code.co_firstlineno,
        list(entry.arguments),
        entry.flags,
    ]


def packer() -> Pack:
    """Return a function that packs one record, or any plain data; loads msgpack. For one thread at a time."""
    import msgpack

    pack: Pack = msgpack.Packer(default=_special).pack
    return pack


def packed(item: Any) -> bytes:
    """Pack one record, or any plain data (any thread, once msgpack is loaded)."""
    import msgpack

    data: bytes = msgpack.packb(item, default=_special)
    return data


def _special(item: object) -> Any:
    import msgpack

    kind = type(item)
    if kind is Reference:
        return msgpack.ExtType(EXT_STRING, msgpack.packb(item.number))  # type: ignore[attr-defined]
    if kind is Mark:
        return msgpack.ExtType(EXT_MARK, packed([item.kind, item.fields]))  # type: ignore[attr-defined]
    raise TypeError(f"not plain data: {kind.__name__}")


_QUALNAMES: dict[str, dict[int, tuple[CodeType, str]]] = {}


def qualname(code: CodeType, module: str) -> str:
    """Return the qualified name of a code object.

    3.10 does not keep it in the code: there it is found by walking the module's functions and classes (once per
    module, on the thread that writes the stream), and is the plain name where that finds nothing.
    """
    known: str | None = getattr(code, "co_qualname", None)
    if known is not None:
        return known
    from .prologue import original_of
    from .resolve import qualnames_of

    names = _QUALNAMES.get(module)
    if names is None:
        names = _QUALNAMES[module] = qualnames_of(module)
    found = names.get(id(original_of(code)))
    return found[1] if found is not None else code.co_name
