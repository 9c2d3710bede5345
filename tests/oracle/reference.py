"""The reference recorder: call trees from a program's log. Slow and obvious; knows neither frames nor contexts.

The log says who called whom, so parents need no stack. What it does not say is where a generator's calls belong when it
is resumed by somebody else than who started it: they run in the resumer's task. So each generator remembers who resumed
it last, and `_above` walks from a call through callers and resumers to the root of its task or of its trace.

A function that is not wrapped in `try` does not say how it ended. When it was left by an exception then that is the one
of the call that it made last, or what was thrown into it, or what its own caller saw next (`_outcome`).
"""

from __future__ import annotations

import sys
from collections import Counter
from typing import Any

Outcome = tuple[Any, ...]

OPEN: Outcome = ("open",)
LOSES = sys.version_info >= (3, 12)
"""The recorder notices when a generator goes on elsewhere, and then lets go of it."""


class Call:
    """One call of a program."""

    def __init__(self, number: int, caller: Call | None, name: str, args: dict[str, Any]) -> None:
        self.number = number
        self.caller = caller
        self.name = name
        self.args = args
        self.trail: list[tuple[int, Any]] = []
        """What it did itself: places in the log, and the exception that showed there, if any."""
        self.outcome: Outcome | None = None
        self.ended = 0
        self.last_call: Call | None = None
        self.resumer: Call | None = None
        """Generators only: who resumed it last."""
        self.inner: int | None = None
        """Generators only: the number of the one that it delegates to."""
        self.seen: tuple[Outcome, int] | None = None
        """What came out of it, where it is the first of its branch and does not say itself."""
        self.suspended = False
        self.thrown: Outcome | None = None
        self.thrown_at = 0
        self.closing = False
        """It is being closed: when it yields, it refuses."""
        self.dropped = False
        """Nobody has it any more."""
        self.dead = False
        """Closed and dropped, it has yielded once more: its end is told to nobody."""
        self.held: list[int] = []
        """The numbers of generators that die with its frame."""
        self.closed_unseen = 0
        """Since when nobody waits for its end: an asynchronous generator that was dropped, and a task of the loop's own
        closes it."""
        self.pending: dict[int, Outcome | None] = {}
        self.branch: Branch | None = None
        self.begins: Tree | None = None
        self.tree: Tree | None = None
        self.parent: Call | None = None
        self.here: Tree | None = None
        """The trace in whose context it ran last."""
        self.gone = False
        """Another task than its trace's has gone on with it, and its trace lost sight of it."""
        self.adrift = False
        """In which branch it runs is not known."""

    def __repr__(self) -> str:
        return f"{self.name}#{self.number}"


class Branch:
    """What runs by itself: a task, a callback, a thread."""

    def __init__(self, kind: str, tree: Tree | None, starter: Call | None) -> None:
        self.kind = kind
        self.tree = tree
        self.starter = starter
        self.joined: int | None = None
        self.outer: Branch | None = None

    @property
    def threaded(self) -> Branch | None:
        """The branch in another thread that this one is or comes from."""
        branch: Branch | None = self
        while branch is not None and branch.kind != "thread":
            branch = branch.outer
        return branch


class Tree:
    """One trace."""

    def __init__(self, root: Call) -> None:
        self.root = root
        self.branch = Branch("root", self, None)
        self.ended: int | None = None
        self.calls: list[Call] = []


class Reference:
    """Reads a log; `trees` holds one tree for each traced call."""

    def __init__(self, log: list[Any]) -> None:
        self.calls: dict[int, Call] = {}
        self.trees: list[Tree] = []
        self.constructs: Counter[str] = Counter()
        self._spawned: dict[int, Branch] = {}
        self._resumers: dict[int, Call] = {}
        self._cancels: list[int] = []
        for at, event in enumerate(log):
            getattr(self, "_on_" + event[0].replace("+", "_begins").replace("-", "_ends"))(at, *event[1:])
        self._end = len(log)

    def cancelled(self, call: Call) -> bool:
        """Tell whether the task that closes it may have been cancelled before it began: that is thrown in then."""
        return any(at > call.closed_unseen for at in self._cancels)

    # ---- where a call belongs -----------------------------------------------------------------------------------

    def _chain(self, call: Call | None) -> list[Call]:
        """Return a call and all that wait for it, the innermost first."""
        chain: list[Call] = []
        while call is not None and call not in chain:
            chain.append(call)
            call = None if call.number in self._spawned else call.resumer or call.caller
        return chain

    def _place(self, call: Call | None) -> tuple[Tree | None, Branch | None]:
        """Return trace and branch in which this call runs now."""
        for above in self._chain(call):
            if above.begins is not None and above.begins.ended is None:
                return above.begins, above.begins.branch
            spawned = self._spawned.get(above.number)
            if spawned is not None:
                tree = spawned.tree
                return (None if tree is None or tree.ended is not None else tree), spawned
        return None, None

    def _visible(self, call: Call | None, tree: Tree | None) -> Call | None:
        """Return the innermost call of a trace from here on."""
        return next((above for above in self._chain(call) if above.tree is tree and not above.gone), None)

    # ---- events -------------------------------------------------------------------------------------------------

    def _own(self, number: int, at: int, error: Outcome | None = None) -> Call | None:
        call = self.calls.get(number)
        if call is not None:
            call.trail.append((at, error))
            call.last_call = None
            call.outcome = None
        return call

    def _on_start(self, at: int, number: int, caller: int, name: str, args: dict[str, Any]) -> None:
        above = self.calls.get(caller)
        call = self.calls[number] = Call(number, above, name, args)
        call.resumer = self._resumers.get(number)
        call.trail.append((at, None))
        spawned = self._spawned.get(number)
        if spawned is None or spawned.kind == "outside":
            waits = call.resumer or above
            if waits is not None:
                self._own(waits.number, at)
                waits.last_call = call
        if spawned is not None:
            tree = None if spawned.tree is None or spawned.tree.ended is not None else spawned.tree
            branch: Branch | None = spawned
        else:
            tree, branch = self._place(call.resumer or above)
        if tree is None and name.startswith("root"):
            tree = call.begins = Tree(call)
            branch = tree.branch
            self.trees.append(tree)
        elif tree is not None and spawned is None:
            # Below its caller, where that runs in this trace too; else below whoever brought it into this trace.
            call.parent = self._visible(call.resumer or above, tree)
        call.tree = call.here = tree
        call.branch = branch
        if tree is not None:
            call.adrift = any(item.adrift for item in self._chain(call))
            tree.calls.append(call)

    def _on_return(self, at: int, number: int, value: Any) -> None:
        self._finished(at, number, ("returned", value), None)

    def _on_raises(self, at: int, number: int, kind: type, args: Any) -> None:
        """It raises, and may catch that itself."""
        outcome = ("raised", kind, args)
        call = self._own(number, at, outcome)
        assert call is not None
        call.outcome, call.ended = outcome, at

    def _on_raise(self, at: int, number: int, kind: type, args: Any) -> None:
        outcome = ("raised", kind, args)
        self._finished(at, number, outcome, outcome)

    def _finished(self, at: int, number: int, outcome: Outcome, error: Outcome | None) -> None:
        call = self._own(number, at, error)
        assert call is not None
        self._woken(call, at)
        call.outcome, call.ended = outcome, at
        if call.begins is not None and call.begins.ended is None:
            call.begins.ended = at
        if call.resumer is not None and not call.closed_unseen:
            call.resumer.last_call = call

    def _on_caught(self, at: int, number: int, kind: Any, args: Any) -> None:
        call = self._own(number, at, ("raised", kind, args))
        if call is not None:
            self._woken(call, at)
            if kind.__name__ == "CancelledError" and call.tree is not None:
                self.constructs["cancellation caught"] += 1

    def _on_got(self, at: int, number: int) -> None:
        call = self._own(number, at)
        if call is not None:
            call.inner = None
            call.suspended = False

    def _on_did(self, at: int, number: int, what: str, who: int = 0) -> None:
        call = self.calls.get(number)
        if call is not None and call.tree is not None:
            self.constructs[what] += 1
            other = self.calls.get(who)
            if other is not None and other.branch is not call.branch:
                self.constructs["passed between tasks or threads"] += 1

    def _on_fin_begins(self, at: int, number: int, key: int, fine: Any, kind: Any, args: Any) -> None:
        call = self.calls.get(number)
        if call is None:
            return
        before = call.outcome if fine else ("raised", kind, args)
        self._own(number, at, None if fine else before)
        call.pending[key] = before
        self._woken(call, at)

    def _on_fin_ends(self, at: int, number: int, key: int) -> None:
        call = self._own(number, at)
        if call is not None:
            call.outcome = call.pending.pop(key, None)
            call.ended = at

    def _woken(self, call: Call, at: int) -> None:
        """It has a word to say although nobody resumed it: it is being closed, and so is what delegates to it."""
        if call.suspended:
            top, above = call, call.resumer
            while above is not None and above.inner == top.number and above.suspended:
                top, above = above, above.resumer
            if top.closed_unseen:
                self._to_be_closed(top, at)
            else:
                self._drop(top, at)
        call.suspended = False
        call.thrown = call.inner = None

    # ---- generators ---------------------------------------------------------------------------------------------

    def _on_yield(self, at: int, number: int) -> None:
        call: Call | None = self._own(number, at)
        while call is not None:
            call.suspended = True
            above = call.resumer
            if above is not None and above.inner != call.number:
                above = None
            if call.closing:
                self._refuses(call, above, at)
                return
            call = above

    def _refuses(self, call: Call, above: Call | None, at: int) -> None:
        """It yields although it is being closed."""
        call.closing = False
        if above is not None:
            above.inner = None
            self._drop(call, at)
            error = ("raised", RuntimeError, repr(("generator ignored GeneratorExit",)))
            outer: Call | None = above
            while outer is not None and outer.closing:
                outer.suspended = False
                outer.thrown, outer.thrown_at = error, at
                outer = (
                    None if outer.resumer is None or outer.resumer.inner != outer.number else outer.resumer
                )
        elif call.dropped:
            call.dead = True
            for number in (call.inner, *call.held):
                held = self.calls.get(number or 0)
                if held is not None:
                    self._drop(held, at, None if number == call.inner else call)

    def _drop(self, call: Call, at: int, holder: Call | None = None) -> None:
        """Nobody has it any more: it is closed where that happens, or where the holder died whose variable it was."""
        call.dropped = True
        if call.suspended and not call.dead:
            last = call if holder is None else holder
            place = self._place(last.resumer or last.caller)[0]
            self._to_be_closed(call, at)
            self._runs_in(call, place)

    def _to_be_closed(self, call: Call | None, at: int) -> None:
        """It is closed, and before it what it delegates to."""
        while call is not None:
            if call.outcome is None:
                call.thrown, call.thrown_at = ("raised", GeneratorExit, "()"), at
                call.closing = True
            call = self._inner(call)

    def _on_resume(self, at: int, number: int, generator: int) -> None:
        self._own(number, at)
        self._wakes(number, generator)

    def _wakes(self, number: int, generator: int) -> Call | None:
        """Return the generator that goes on now, nil where it has not begun or has ended."""
        resumer = self.calls.get(number)
        if resumer is None:
            return None
        self._resumers[generator] = resumer
        call = self.calls.get(generator)
        if call is None or not call.suspended or call.dead:
            return None
        call.resumer = resumer
        resumer.last_call = call
        self._runs_in(call, self._place(resumer)[0])
        return call

    def _runs_in(self, call: Call | None, tree: Tree | None) -> None:
        """A generator, and what it delegates to, goes on in the context of this trace."""
        while call is not None:
            call.suspended = False
            if call.begins is not None:
                tree = call.begins  # a traced generator carries its trace with it
            elif LOSES and call.tree is not tree:
                call.gone = True
            call.here = tree
            call = self._inner(call)

    def _inner(self, call: Call) -> Call | None:
        return None if call.inner is None else self.calls.get(call.inner)

    def _on_delegate(self, at: int, number: int, generator: int) -> None:
        self._on_resume(at, number, generator)
        self.calls[number].inner = generator

    def _on_throw(self, at: int, number: int, generator: int, kind: Any, args: Any) -> None:
        self._own(number, at)
        call = self._wakes(number, generator)
        while call is not None and self._inner(call) is not None:
            call = self._inner(call)
        if call is not None and call.outcome is None:
            call.thrown, call.thrown_at = ("raised", kind, args), at

    def _on_close(self, at: int, number: int, generator: int) -> None:
        self._own(number, at)
        self._closes(at, number, generator)

    def _on_drop(self, at: int, number: int, generator: int) -> None:
        self._on_close(at, number, generator)
        if generator in self.calls:
            self.calls[generator].dropped = True

    def _closes(self, at: int, number: int, generator: int) -> None:
        self._to_be_closed(self._wakes(number, generator), at)

    def _on_holds(self, at: int, number: int, generator: int) -> None:
        self.calls[number].held.append(generator)

    def _on_loop(self, at: int, number: int, generator: int, fine: int, kind: Any, args: Any) -> None:
        self._closes(at, number, generator)
        self._loop_ends(at, number, fine, kind, args)

    def _on_async_loop(self, at: int, number: int, generator: int, fine: int, kind: Any, args: Any) -> None:
        call = self.calls.get(generator)
        if call is not None and call.suspended:
            call.adrift, call.closed_unseen = True, at
        self._loop_ends(at, number, fine, kind, args)

    def _loop_ends(self, at: int, number: int, fine: int, kind: Any, args: Any) -> None:
        error = None if fine else ("raised", kind, args)
        call = self._own(number, at, error)
        assert call is not None
        call.outcome, call.ended = error, at

    def _on_cancels(self, at: int) -> None:
        self._cancels.append(at)

    # ---- branches -----------------------------------------------------------------------------------------------

    def _on_spawn(self, at: int, number: int, child: int, kind: str) -> None:
        starter = self._own(number, at)
        assert starter is not None
        tree, outer = self._place(starter)
        if kind == "outside":
            tree = None
        branch = Branch(kind, tree, self._visible(starter, tree) if tree is not None else None)
        branch.outer = outer
        self._spawned[child] = branch

    def _on_joined(self, at: int, number: int, child: int) -> None:
        self._own(number, at)
        self._spawned[child].joined = at

    def _on_seen(self, at: int, number: int, kind: type, args: Any) -> None:
        call = self.calls.get(number)
        if call is not None:
            call.seen = (("raised", kind, args), at)

    # ---- how a call ended ---------------------------------------------------------------------------------------

    def outcome(self, call: Call) -> tuple[Outcome, int]:
        """Return how a call ended, and where in the log at the latest."""
        if call.seen is not None:
            return call.seen
        if call.dead:
            return OPEN, self._end
        found = self._from_inside(call)
        if found is not None:
            return found
        if call.suspended:
            return OPEN, self._end
        if call.number in self._spawned:
            return OPEN, self._end
        waits = call.resumer or call.caller
        if waits is None:
            return OPEN, self._end
        last = call.trail[-1][0]
        after = next(((at, error) for at, error in waits.trail if at > last), None)
        if after is None:
            return (
                self.outcome(waits)
                if waits.tree is not None or waits.caller is not None
                else (OPEN, self._end)
            )
        at, error = after
        assert error is not None, f"{call} ended without a word before {at}, and {waits} saw no exception"
        return error, at

    def _from_inside(self, call: Call) -> tuple[Outcome, int] | None:
        if call.outcome is not None:
            return call.outcome, call.ended
        if call.last_call is not None:
            found = self._from_inside(call.last_call)
            if found is not None and found[0][0] == "raised":
                return found
        if call.thrown is not None and not call.suspended:
            return call.thrown, call.thrown_at
        return None
