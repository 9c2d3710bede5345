"""Programs as plain data, drawn at random.

A program is a dict: `functions` (each with `kind`, `style` and a `body` of statements), `managers`, and `jobs`, the
coroutines that run side by side: what they call of `root*` is traced, everything else is a bystander. A statement is a
dict with `op`; what it contains are lists of statements, so that the shrinker needs to know no more.

`pick(n)` returns a number below n; 0 should be the simplest choice, for the sake of hypothesis.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Statement = dict[str, Any]
Program = dict[str, Any]

ERRORS = ("ValueError", "KeyError", "Odd", "Rude")
"""`Odd` is an Exception of the program's own, `Rude` a BaseException."""
CATCHES = ("Exception", "ValueError", "BaseException", "asyncio.CancelledError", "(KeyError, Odd)")

ANY = {
    "call": 6, "raise": 2, "try": 3, "finally": 2, "for": 3, "open": 5, "take": 9, "recurse": 2, "with": 4,
    "with_generator": 2, "list": 1, "generator_expression": 1, "thread": 1, "pool": 1, "context_pool": 1,
    "outside": 1, "early": 1,
}  # fmt: skip
AWAITING = {
    "await": 7, "sleep": 5, "event": 2, "gather": 3, "group": 3, "wait_for": 6, "task": 6, "async_for": 3,
    "async_list": 3, "async_open": 5, "async_take": 2, "async_with": 4, "to_thread": 2, "executor": 3, "call_soon": 2,
    "hang": 3,
}  # fmt: skip
OPS = {
    "sync": ANY,
    "generator": {**ANY, "yield": 12, "delegate": 4},
    "coroutine": {**{op: max(1, weight // 2) for op, weight in ANY.items()}, **AWAITING},
    "async_generator": {
        **{op: max(1, weight // 2) for op, weight in ANY.items()},
        "await": 4, "sleep": 4, "event": 1, "async_for": 2, "task": 1, "gather": 1, "yield": 14,
    },
}  # fmt: skip
TABLE = {kind: [op for op, weight in ops.items() for _ in range(weight)] for kind, ops in OPS.items()}

DEPTH = 2
"""How deep statements nest inside one function."""


class _Grammar:
    def __init__(self, pick: Callable[[int], int]) -> None:
        self.pick = pick
        self.made: dict[str, list[str]] = {
            "sync": [], "generator": [], "coroutine": [], "async_generator": [], "manager": [],
            "async_manager": [], "with_generator": [],
        }  # fmt: skip
        self.functions: list[dict[str, Any]] = []
        self.managers: list[dict[str, Any]] = []
        self.number = 0
        self.kind = "sync"
        self.yields = True
        self.root = False
        self.roots: list[tuple[str, str]] = []

    def one(self, items: Any) -> Any:
        return items[self.pick(len(items))]

    def program(self) -> Program:
        for kind, letter in (("sync", "s"), ("generator", "g"), ("coroutine", "c"), ("async_generator", "a")):
            self.function(f"{letter}0", kind, most=2)
        kinds = (
            "coroutine",
            "sync",
            "generator",
            "async_generator",
            "with",
            "async_with",
            "with_generator",
            "coroutine",
        )
        for index in range(3 + self.pick(5)):
            kind = self.one(kinds)
            if kind == "with":
                self.manager(f"M{index}", "manager", "sync")
            elif kind == "async_with":
                self.manager(f"N{index}", "async_manager", "coroutine")
            elif kind == "with_generator":
                self.function(f"w{index}", "with_generator", most=2)
            else:
                self.function(f"f{index}", kind, most=5)
        for index in range(1 + self.pick(3)):
            kind = self.one(("coroutine", "coroutine", "sync", "generator"))
            self.root = True
            self.function(f"root{index}", kind, least=3, most=7)
            self.root = False
            self.roots.append((f"root{index}", kind))
        jobs = [self.job(index) for index in range(1 + self.pick(4))]
        return {
            "scope": self.one(("application", "only", "all")),
            "eager": self.pick(3) == 2,
            "functions": self.functions,
            "managers": self.managers,
            "jobs": jobs,
        }

    def function(self, name: str, kind: str, most: int, least: int = 1) -> None:
        self.kind = "generator" if kind == "with_generator" else kind
        self.yields = kind != "with_generator"
        body = self.block(most, least=least)
        if kind in ("generator", "async_generator"):
            body.insert(self.pick(len(body) + 1), self.statement_yield())
        elif kind == "with_generator":
            body.insert(self.pick(len(body) + 1), {"op": "yield", "value": self.value()})
        self.functions.append(
            {
                "name": name,
                "kind": kind,
                "style": "wrapped"
                if self.root or kind == "with_generator"
                else self.one(("bare", "wrapped")),
                "signature": self.pick(4),
                "value": self.value(),
                "body": body,
            }
        )
        if not self.root:
            self.made[kind].append(name)

    def manager(self, name: str, kind: str, inner: str) -> None:
        self.kind, self.yields = inner, False
        self.managers.append(
            {
                "name": name,
                "kind": kind,
                "enter": self.block(2),
                "exit": self.block(2),
                "swallows": self.pick(3) == 2,
            }
        )
        self.made[kind].append(name)

    def job(self, index: int) -> dict[str, Any]:
        self.kind, self.yields = "coroutine", False
        body = self.block(2)
        for _ in range(1 + self.pick(2)):
            if self.pick(8) < 7:
                name, kind = self.one(self.roots)
                body.append({"op": "root", "name": name, "kind": kind, "steps": self.pick(6)})
            else:
                body.append(self.statement(1))
        return {"name": f"job{index}", "body": body}

    def block(self, most: int, depth: int = 0, least: int = 1) -> list[Statement]:
        return [self.statement(depth) for _ in range(least + self.pick(most - least + 1))]

    def statement(self, depth: int) -> Statement:
        op = self.one(TABLE[self.kind])
        if op in ("yield", "delegate") and not self.yields:
            op = "call"
        return getattr(self, f"statement_{op}")(depth) if hasattr(self, f"statement_{op}") else {"op": op}

    def inner(self, depth: int, most: int = 2, *, yields: bool | None = None) -> list[Statement]:
        if depth >= DEPTH:
            return []
        before = self.yields
        if yields is not None:
            self.yields = self.yields and yields
        body = self.block(most, depth + 1)
        self.yields = before
        return body

    def value(self) -> Any:
        return self.one((0, "", "tea", None, True, 2.5, [1, "x"], -7))

    def callee(self, kind: str) -> str | None:
        names = self.made[kind]
        return names[-1 - self.pick(len(names))] if names else None

    def calls(self, op: str, kind: str, **more: Any) -> Statement:
        name = self.callee(kind)
        if name is None:
            return {"op": "call", "name": self.callee("sync"), "a": 0, "b": 0}
        return {"op": op, "name": name, "a": self.pick(3), "b": self.value(), **more}

    def statement_call(self, depth: int) -> Statement:
        if not self.made["sync"]:
            return {"op": "nothing"}
        return self.calls("call", "sync")

    def sync(self, op: str) -> Statement:
        return self.calls(op, "sync") if self.made["sync"] else {"op": "nothing"}

    def statement_thread(self, depth: int) -> Statement:
        return self.sync("thread")

    def statement_pool(self, depth: int) -> Statement:
        return self.sync("pool")

    def statement_context_pool(self, depth: int) -> Statement:
        return self.sync("context_pool")

    def statement_outside(self, depth: int) -> Statement:
        return self.sync("outside")

    def statement_list(self, depth: int) -> Statement:
        return self.sync("list")

    def statement_generator_expression(self, depth: int) -> Statement:
        return self.sync("generator_expression")

    def statement_to_thread(self, depth: int) -> Statement:
        return self.sync("to_thread")

    def statement_executor(self, depth: int) -> Statement:
        return self.sync("executor")

    def statement_call_soon(self, depth: int) -> Statement:
        return self.sync("call_soon")

    def statement_raise(self, depth: int) -> Statement:
        return {"op": "raise", "error": self.one(ERRORS), "when": self.pick(4)}

    def statement_early(self, depth: int) -> Statement:
        if self.root or depth:
            return {"op": "nothing"}
        return {"op": "early", "value": self.value(), "final": self.inner(depth, yields=False)}

    def statement_try(self, depth: int) -> Statement:
        body = self.inner(depth)
        if self.pick(2):
            body.append(self.statement_raise(depth))
        return {
            "op": "try",
            "body": body,
            "catches": self.one(CATCHES),
            "handler": self.inner(depth, yields=False),
            "again": self.pick(4) == 3,
        }

    def statement_finally(self, depth: int) -> Statement:
        final = self.inner(depth, yields=False)
        if self.pick(4) == 3:
            final.append({**self.statement_raise(depth), "finally": True})
        return {"op": "finally", "body": self.inner(depth), "final": final}

    def statement_for(self, depth: int) -> Statement:
        if not self.made["generator"]:
            return {"op": "nothing"}
        return self.calls("for", "generator", body=self.inner(depth), leaves=self.pick(3) == 2)

    def statement_open(self, depth: int) -> Statement:
        if not self.made["generator"]:
            return {"op": "nothing"}
        steps = [self.one(("next", "next", "send", "throw")) for _ in range(self.pick(4))]
        return self.calls(
            "open", "generator", steps=steps, body=self.inner(depth, 1), end=self.one(("close", "share", "share", "share", "share", "share", "drop", "drop", "cycle", "cycle"))
        )  # fmt: skip

    def statement_take(self, depth: int) -> Statement:
        return {
            "op": "take",
            "step": self.one(("next", "next", "send", "throw", "close")),
            "back": self.pick(2) == 0,
        }

    def statement_with(self, depth: int) -> Statement:
        return self.calls("with", "manager", body=self.inner(depth))

    def statement_with_generator(self, depth: int) -> Statement:
        return self.calls("with_generator", "with_generator", body=self.inner(depth))

    def statement_yield(self, depth: int = 0) -> Statement:
        return {"op": "yield", "value": self.value()}

    def statement_delegate(self, depth: int) -> Statement:
        if not self.made["generator"]:
            return {"op": "yield", "value": 1}
        return self.calls("delegate", "generator")

    def statement_await(self, depth: int) -> Statement:
        return self.calls("await", "coroutine") if self.made["coroutine"] else {"op": "sleep", "times": 1}

    def statement_sleep(self, depth: int) -> Statement:
        return {"op": "sleep", "times": 1 + self.pick(3)}

    def statement_event(self, depth: int) -> Statement:
        return {"op": "event", "number": self.pick(2)}

    def kids(self) -> list[Statement]:
        return [self.calls("kid", "coroutine") for _ in range(1 + self.pick(3))]

    def statement_gather(self, depth: int) -> Statement:
        if not self.made["coroutine"]:
            return {"op": "sleep", "times": 1}
        return {"op": "gather", "kids": self.kids(), "exceptions": self.pick(2)}

    def statement_group(self, depth: int) -> Statement:
        if not self.made["coroutine"]:
            return {"op": "sleep", "times": 2}
        return {"op": "group", "kids": self.kids(), "body": self.inner(depth, 1)}

    def statement_wait_for(self, depth: int) -> Statement:
        if not self.made["coroutine"]:
            return {"op": "sleep", "times": 3}
        return self.calls("wait_for", "coroutine", ticks=1 + self.pick(2))

    def statement_task(self, depth: int) -> Statement:
        if not self.made["coroutine"]:
            return {"op": "sleep", "times": 1}
        return self.calls(
            "task", "coroutine", body=self.inner(depth, 1), end=self.one(("await", "leave", "cancel", "cancel_await", "cancel_await", "cancel_await"))
        )  # fmt: skip

    def statement_async_for(self, depth: int) -> Statement:
        if not self.made["async_generator"]:
            return {"op": "sleep", "times": 1}
        return self.calls("async_for", "async_generator", body=self.inner(depth), leaves=self.pick(4) == 3)

    def statement_async_list(self, depth: int) -> Statement:
        return self.calls("async_list", "async_generator")

    def statement_async_open(self, depth: int) -> Statement:
        if not self.made["async_generator"]:
            return {"op": "sleep", "times": 1}
        steps = [self.one(("next", "next", "send", "throw")) for _ in range(self.pick(4))]
        return self.calls(
            "async_open",
            "async_generator",
            steps=steps,
            end=self.one(("close", "close", "share", "keep", "drop")),
        )

    def statement_async_take(self, depth: int) -> Statement:
        return {"op": "async_take", "step": self.one(("next", "throw", "close")), "back": self.pick(2) == 0}

    def statement_async_with(self, depth: int) -> Statement:
        return self.calls("async_with", "async_manager", body=self.inner(depth))


def program(pick: Callable[[int], int]) -> Program:
    """Return a program."""
    return _Grammar(pick).program()
