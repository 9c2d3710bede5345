"""The Python source of a program: what it does, and what it writes to the log while it does.

In a function `c` is its own number, `p` its caller's. What the log and the programs use (`E`, `N`, ...) is written in
C, so that keeping the log shows in no trace: `E` appends to the log, `N` counts, `F` says whether there is fuel left,
`X` is `sys.exc_info`; `G` and `A` hold every generator by its number, so that none dies unless the program says so, `S`
and `SA` those that are for others to take, `T` the tasks, `B` what runs in threads.
"""

from __future__ import annotations

import sys
from typing import Any

from .grammar import Program, Statement

HEADER = """\
import asyncio, contextlib, contextvars, threading

class Odd(Exception): pass
class Rude(BaseException): pass

def guard(k, call):
    try:
        return call()
    except BaseException as e:
        E(('seen', k, type(e), repr(e.args)))
        raise

async def guarded(k, coroutine):
    try:
        return await coroutine
    except BaseException as e:
        E(('seen', k, type(e), repr(e.args)))
        raise
"""

GROUPS = sys.version_info >= (3, 11)
EAGER = sys.version_info >= (3, 12)
INLINE_WAIT_FOR = sys.version_info >= (3, 12)
"""`wait_for` awaits in the caller's own task."""

SIGNATURES = {
    0: ("c, p, a, b", "{c}, {p}, {a}, {b!r}", "'a': a, 'b': b"),
    1: ("c, p, a=0, *, b", "{c}, {p}, {a}, b={b!r}", "'a': a, 'b': b"),
    2: ("c, p, a, *rest", "{c}, {p}, {a}, {b!r}, 'more'", "'a': a, 'rest': rest"),
    3: ("c, p, a, **more", "{c}, {p}, {a}, b={b!r}", "'a': a, 'more': more"),
}
THROWN = "ValueError"


def source(program: Program) -> str:
    """Return the text of a program's module."""
    return _Source(program).text()


class _Source:
    def __init__(self, program: Program) -> None:
        self.program = program
        self.lines: list[str] = []
        self.level = 0
        self.count = 0
        self.functions = {function["name"]: function for function in program["functions"]}
        self.name = ""

    def text(self) -> str:
        for function in self.program["functions"]:
            self.function(function)
        for manager in self.program["managers"]:
            self.manager(manager)
        for job in self.program["jobs"]:
            self.job(job)
        return HEADER + "\n".join(self.lines) + "\n"

    # ---- lines --------------------------------------------------------------------------------------------------

    def add(self, *lines: str) -> None:
        self.lines += ["    " * self.level + line for line in lines]

    def fresh(self) -> int:
        self.count += 1
        return self.count

    def block(self, body: list[Statement]) -> None:
        self.level += 1
        self.add("pass")
        for statement in body:
            getattr(self, f"do_{statement['op']}")(statement)
        self.level -= 1

    def fuelled(self, op: str) -> None:
        """Open a block that runs while there is fuel, and say that it did."""
        self.add("if F():")
        self.level += 1
        if EAGER and self.program["eager"] and op in ("create_task", "gather", "TaskGroup"):
            self.add("E(('did', c, 'eager task'))")
        self.add(f"E(('did', c, {op!r}))")

    def called(self, statement: Statement, number: str, *, a: str | None = None) -> str:
        """Return the arguments of a call of the statement's function, the parentheses not among them."""
        function = self.functions[statement["name"]]
        form = SIGNATURES[function["signature"]][1]
        return form.format(c=number, p="c", a=statement["a"] if a is None else a, b=statement["b"])

    def call(self, statement: Statement, number: str) -> str:
        return f"{statement['name']}({self.called(statement, number)})"

    def wrapped(self, statement: Statement) -> bool:
        return bool(self.functions[statement["name"]]["style"] == "wrapped")

    def coroutine(self, statement: Statement, number: str) -> str:
        """Return a coroutine that is the first of a task: how it ends must be known."""
        call = self.call(statement, number)
        return call if self.wrapped(statement) else f"guarded({number}, {call})"

    def handed(self, statement: Statement, number: str, *, bound: bool = False) -> str:
        """Return a function, and its arguments, that another thread or context will call."""
        if self.wrapped(statement) and not bound:
            return f"{statement['name']}, {self.called(statement, number)}"
        parameters = f" c=c, {number}={number}" if bound else ""
        call = f"lambda{parameters}: {self.call(statement, number)}"
        return call if self.wrapped(statement) else f"guard, {number}, {call}"

    # ---- functions ----------------------------------------------------------------------------------------------

    def function(self, function: dict[str, Any]) -> None:
        name, kind = function["name"], function["kind"]
        parameters, _, logged = SIGNATURES[function["signature"]]
        self.name, self.me = name, function
        if kind == "with_generator":
            self.add("@contextlib.contextmanager")
        self.add(f"{'async ' if kind in ('coroutine', 'async_generator') else ''}def {name}({parameters}):")
        self.level += 1
        self.add(f"E(('start', c, p, {name!r}, {{{logged}}}))")
        self.outcome(function["style"], function["body"], function["value"], kind)
        self.level -= 1

    def outcome(self, style: str, body: list[Statement], value: Any, kind: str) -> None:
        if kind in ("async_generator", "with_generator"):
            value = None
        if style == "wrapped":
            self.add("try:")
            self.block(body)
            self.add("except BaseException as e:", "    E(('raise', c, type(e), repr(e.args)))", "    raise")
        else:
            self.level -= 1
            self.block(body)
            self.level += 1
        self.add(f"E(('return', c, {value!r}))")
        self.add("return" if kind == "async_generator" else f"return {value!r}")

    def manager(self, manager: dict[str, Any]) -> None:
        name, self.me = manager["name"], None
        asynchronous = manager["kind"] == "async_manager"
        enter, leave = ("__aenter__", "__aexit__") if asynchronous else ("__enter__", "__exit__")
        prefix = "async " if asynchronous else ""
        self.add(f"class {name}:")
        self.level += 1
        self.add(f"{prefix}def {enter}(self):")
        self.level += 1
        self.add("c, p = self.enter, self.p", f"E(('start', c, p, '{name}.{enter}', {{}}))")
        self.outcome("bare", manager["enter"], None, "sync")
        self.level -= 1
        self.add(f"{prefix}def {leave}(self, kind, error, traceback):")
        self.level += 1
        self.add("c, p = self.leave, self.p")
        self.add("E(('fin+', p, -c, kind is None, kind, repr(getattr(error, 'args', ()))))")
        self.add("del error, traceback", f"E(('start', c, p, '{name}.{leave}', {{}}))")
        self.add("try:")
        self.block(manager["exit"])
        self.add("except BaseException as e:", "    E(('raise', c, type(e), repr(e.args)))", "    raise")
        if manager["swallows"]:
            self.add(
                "E(('return', c, True))",
                "E(('caught', p, kind, None) if kind is not None else ('fin-', p, -c))",
            )
            self.add("return True")
        else:
            self.add("E(('return', c, None))", "E(('fin-', p, -c))")
        self.level -= 2

    def job(self, job: dict[str, Any]) -> None:
        self.name, self.me = job["name"], None
        self.add(
            f"async def {job['name']}(c, p):", f"    E(('start', c, p, {job['name']!r}, {{}}))", "    try:"
        )
        self.level += 1
        self.block(job["body"])
        self.level -= 1
        self.add(
            "    except BaseException as e:",
            "        E(('raise', c, type(e), repr(e.args)))",
            "        return",
        )
        self.add("    E(('return', c, None))")

    # ---- statements of every function ---------------------------------------------------------------------------

    def do_nothing(self, statement: Statement) -> None:
        pass

    def do_call(self, statement: Statement) -> None:
        if statement["name"] is None:
            return
        self.fuelled("call")
        self.add(self.call(statement, "N()"))
        self.level -= 1

    def do_raise(self, statement: Statement) -> None:
        error, number = statement["error"], self.fresh()
        condition = {0: "if True:", 1: "if c % 2:", 2: "if not c % 2:", 3: "if not c % 3:"}[statement["when"]]
        self.add(condition)
        self.level += 1
        arguments = "('m{0}',)" if number % 3 else "({0}, 'm')"
        self.add(
            f"E(('did', c, {'finally that raises' if 'finally' in statement else 'raise'!r}))",
            f"E(('raises', c, {error}, {arguments.format(number)!r}))",
        )
        self.add(f"raise {error}{arguments.format(number)}")
        self.level -= 1

    def do_try(self, statement: Statement) -> None:
        number = self.fresh()
        self.add("try:")
        self.block(statement["body"])
        self.add(f"except {statement['catches']} as e{number}:")
        self.level += 1
        self.add(f"E(('caught', c, type(e{number}), repr(e{number}.args)))", "E(('did', c, 'caught'))")
        self.level -= 1
        self.block(statement["handler"])
        if statement["again"]:
            self.level += 1
            self.add(f"E(('raises', c, type(e{number}), repr(e{number}.args)))", "raise")
            self.level -= 1

    def do_finally(self, statement: Statement) -> None:
        number = self.fresh()
        self.add(f"ok{number} = 0", "try:")
        self.block([*statement["body"]])
        self.add(f"    ok{number} = 1", "finally:")
        self.finally_block(statement["final"], number, f"ok{number}")

    def finally_block(self, body: list[Statement], number: int, ok: str) -> None:
        body = [{**item, "finally": True} if item["op"] == "raise" else item for item in body]
        self.level += 1
        self.add(
            f"E(('fin+', c, {number}, {ok}, X()[0], repr(getattr(X()[1], 'args', ()))))",
            "E(('did', c, 'finally'))",
        )
        self.level -= 1
        self.block(body)
        self.add(f"    E(('fin-', c, {number}))")

    def do_early(self, statement: Statement) -> None:
        if (
            self.me is None
            or self.me["name"].startswith("root")
            or self.me["kind"] in ("async_generator", "with_generator")
        ):
            return
        number = self.fresh()
        self.add("if c % 4 == 0:", "    try:", f"        E(('return', c, {statement['value']!r}))")
        self.add(f"        return {statement['value']!r}", "    finally:")
        self.level += 1
        self.finally_block(statement["final"], number, "1")
        self.level -= 1

    def do_recurse(self, statement: Statement) -> None:
        if self.me is None or self.name.startswith("root") or self.me["kind"] == "with_generator":
            return
        kind = self.me["kind"]
        call = f"{self.name}({self.called({'name': self.name, 'a': 0, 'b': 1}, 'k', a='a - 1')})"
        self.add("if a > 0 and F():", "    k = N()", "    E(('did', c, 'recurse'))")
        self.level += 1
        if kind == "sync":
            self.add(call)
        elif kind == "coroutine":
            self.add(f"await {call}")
        elif kind == "generator":
            self.add("E(('resume', c, k))", f"list({call})", "E(('got', c))")
        else:
            self.add("E(('resume', c, k))", f"[x async for x in {call}]", "E(('got', c))")
        self.level -= 1

    def do_list(self, statement: Statement) -> None:
        self.fuelled("list")
        self.add(f"[{self.call(statement, 'N()')} for i in (1, 2)]")
        self.level -= 1

    def do_generator_expression(self, statement: Statement) -> None:
        self.fuelled("generator expression")
        self.add(f"any({self.call(statement, 'N()')} is G for i in (1, 2))")
        self.level -= 1

    def do_for(self, statement: Statement) -> None:
        self.loop(statement, "for", "for")

    def loop(self, statement: Statement, keyword: str, op: str) -> None:
        number = self.fresh()
        self.fuelled(op)
        holds = [f"E(('holds', c, k{number}))"] if op == "for" else []
        self.add(f"ok{number}, k{number} = 0, N()", *holds, f"E(('resume', c, k{number}))", "try:")
        self.add(f"    {keyword} x in {self.call(statement, f'k{number}')}:", "        E(('got', c))")
        self.level += 1
        self.block(statement["body"])
        self.add(
            *(f"    ok{number} = 1", "    break")
            if statement["leaves"]
            else (f"    E(('resume', c, k{number}))",)
        )
        self.level -= 1
        self.add(f"    ok{number} = 1")
        self.loop_ends("loop" if op == "for" else "async_loop", number)
        self.level -= 1

    def loop_ends(self, event: str, number: int) -> None:
        error = "X()[0], repr(getattr(X()[1], 'args', ()))"
        self.add("finally:", f"    E(('{event}', c, k{number}, ok{number}, {error}))")

    def step(self, step: str, number: str) -> None:
        """Resume a generator once, `StopIteration` caught."""
        log = f"E(('resume', c, {number}))"
        does = {"next": f"next(G[{number}])", "send": f"G[{number}].send(None)"}.get(step)
        if step == "throw":
            text = f"t{self.fresh()}"
            log = f"E(('throw', c, {number}, {THROWN}, repr(({text!r},))))"
            does = f"G[{number}].throw({THROWN}({text!r}))"
        elif step == "close":
            log, does = f"E(('close', c, {number}))", f"G[{number}].close()"
        self.add(f"E(('did', c, {step!r}))", log, "try:", f"    {does}", "except StopIteration:")
        self.add("    E(('caught', c, StopIteration, '()'))", "else:", "    E(('got', c))")

    def do_open(self, statement: Statement) -> None:
        number = f"k{self.fresh()}"
        self.fuelled("generator")
        self.add(f"{number} = N()", f"G[{number}] = {self.call(statement, number)}")
        for step in statement["steps"]:
            self.step(step, number)
        self.level -= 1
        self.block(statement["body"])
        self.level += 1
        end = statement["end"]
        if end == "share":
            self.add(f"S.append({number})")
        elif end == "close":
            self.step("close", number)
        elif end == "drop":
            self.add(
                "E(('did', c, 'drop'))", f"E(('drop', c, {number}))", f"del G[{number}]", "E(('got', c))"
            )
        elif end == "cycle":
            self.add(f"C = [G.pop({number})]", "C.append(C)", "E(('did', c, 'collected'))")
            self.add(f"E(('drop', c, {number}))", "W = WEAK(C[0])", "del C")
            # The collector does nothing while it runs in another thread.
            self.add(
                "for _ in range(200):",
                "    COLLECT()",
                "    if W() is None:",
                "        break",
                "    PAUSE(1e-3)",
            )
            self.add("E(('got', c))")
        self.level -= 1

    def do_take(self, statement: Statement) -> None:
        number = f"k{self.fresh()}"
        self.add("if S and F():", f"    {number} = S.pop()", f"    E(('did', c, 'took', {number}))")
        self.level += 1
        self.step(statement["step"], number)
        if statement["back"]:
            self.add(f"S.append({number})")
        self.level -= 1

    def do_with(self, statement: Statement) -> None:
        self.managed(statement, "with")

    def do_async_with(self, statement: Statement) -> None:
        self.managed(statement, "async with")

    def managed(self, statement: Statement, keyword: str) -> None:
        number = f"k{self.fresh()}"
        self.fuelled(keyword)
        self.add(
            f"{number} = {statement['name']}()", f"{number}.enter, {number}.leave, {number}.p = N(), N(), c"
        )
        self.add(f"{keyword} {number}:")
        self.block(statement["body"])
        self.level -= 1

    def do_with_generator(self, statement: Statement) -> None:
        number = f"k{self.fresh()}"
        self.fuelled("contextmanager")
        self.add(f"{number} = N()", f"E(('holds', c, {number}))", f"E(('resume', c, {number}))")
        self.add(f"with {self.call(statement, number)}:")
        self.add("    E(('got', c))")
        self.block(statement["body"])
        self.add(f"    E(('resume', c, {number}))")
        self.add("E(('got', c))")
        self.level -= 1

    # ---- other threads and contexts -----------------------------------------------------------------------------

    def spawns(self, op: str, kind: str) -> str:
        number = f"k{self.fresh()}"
        self.fuelled(op)
        self.add(f"{number} = N()", f"E(('spawn', c, {number}, {kind!r}))")
        return number

    def do_outside(self, statement: Statement) -> None:
        number = self.spawns("empty context", "outside")
        self.add(f"contextvars.Context().run({self.handed(statement, number)})", "E(('got', c))")
        self.level -= 1

    def do_thread(self, statement: Statement) -> None:
        number = self.spawns("thread", "outside")
        call = self.call(statement, number)
        call = call if self.wrapped(statement) else f"guard({number}, lambda: {call})"
        self.add(f"h = threading.Thread(target=lambda: {call})")
        self.add("h.start()", "h.join()", f"E(('joined', c, {number}))")
        self.level -= 1

    def do_pool(self, statement: Statement) -> None:
        number = self.spawns("plain submit", "outside")
        self.add(f"POOL.submit({self.handed(statement, number)}).result()")
        self.add(f"E(('joined', c, {number}))")
        self.level -= 1

    def do_context_pool(self, statement: Statement) -> None:
        number = self.spawns("submit with context", "thread")
        run = "contextvars.copy_context().run"
        self.add(f"POOL.submit({run}, {self.handed(statement, number)}).result()")
        self.add(f"E(('joined', c, {number}))")
        self.level -= 1

    # ---- statements of coroutines -------------------------------------------------------------------------------

    def do_yield(self, statement: Statement) -> None:
        self.add("E(('yield', c))", f"x = yield {statement['value']!r}", "E(('got', c))")

    def do_delegate(self, statement: Statement) -> None:
        number = f"k{self.fresh()}"
        self.fuelled("yield from")
        self.add(
            f"{number} = N()", f"E(('delegate', c, {number}))", f"yield from {self.call(statement, number)}"
        )
        self.add("E(('got', c))")
        self.level -= 1

    def do_await(self, statement: Statement) -> None:
        self.fuelled("await")
        self.add(f"await {self.call(statement, 'N()')}")
        self.level -= 1

    def do_sleep(self, statement: Statement) -> None:
        self.add("E(('did', c, 'sleep'))")
        self.add(*["await asyncio.sleep(0)"] * statement["times"])

    def do_event(self, statement: Statement) -> None:
        self.add("E(('did', c, 'event'))", f"await EVENTS[{statement['number']}].wait()")

    def do_hang(self, statement: Statement) -> None:
        self.add("if c % 2:", "    E(('did', c, 'hang'))", "    await NEVER.wait()")

    def kids(self, kids: list[Statement]) -> list[str]:
        made = []
        for kid in kids:
            if kid["op"] == "call":
                continue
            number = f"k{self.fresh()}"
            self.add(f"{number} = N()", f"E(('spawn', c, {number}, 'task'))")
            made.append(self.coroutine(kid, number))
        return made

    def do_gather(self, statement: Statement) -> None:
        self.fuelled("gather")
        kids = self.kids(statement["kids"])
        self.add(
            f"await asyncio.gather({', '.join(kids)}, return_exceptions={bool(statement['exceptions'])})",
            "E(('got', c))",
        )
        self.level -= 1

    def do_group(self, statement: Statement) -> None:
        if not GROUPS:
            self.do_gather({**statement, "exceptions": 0})
            return
        self.fuelled("TaskGroup")
        group = f"group{self.fresh()}"
        if statement["body"]:
            self.add("try:")
            self.level += 1
        self.add(f"async with asyncio.TaskGroup() as {group}:")
        self.level += 1
        for kid in statement["kids"]:
            for call in self.kids([kid]):
                self.add(f"T.append({group}.create_task({call}))")
        if statement["body"]:  # what leaves it becomes a group
            raises = (
                "except BaseException as e:",
                "    E(('raises', c, type(e), repr(e.args)))",
                "    raise",
            )
            self.add("try:")
            self.block(statement["body"])
            self.add(*raises)
            self.level -= 2
            self.add(*raises)
        else:
            self.level -= 1
        self.add("E(('got', c))")
        self.level -= 1

    def do_wait_for(self, statement: Statement) -> None:
        number = f"k{self.fresh()}"
        self.fuelled("wait_for")
        self.add(f"{number} = N()")
        if not INLINE_WAIT_FOR:
            self.add(f"E(('spawn', c, {number}, 'task'))")
        self.add("try:")
        # What comes out of it is not what its caller sees: a cancellation becomes a timeout.
        self.add(
            f"    await asyncio.wait_for({self.coroutine(statement, number)}, {statement['ticks']})",
            "    E(('got', c))",
        )
        self.add(
            "except asyncio.TimeoutError as e:",
            "    E(('caught', c, type(e), repr(e.args)))",
            "    E(('did', c, 'timeout'))",
        )
        self.level -= 1

    def do_task(self, statement: Statement) -> None:
        number = self.spawns("create_task", "task")
        self.add(
            f"t{number} = asyncio.create_task({self.coroutine(statement, number)})", f"T.append(t{number})"
        )
        self.add("E(('got', c))")
        self.level -= 1
        self.block(statement["body"])
        self.level += 1
        end = statement["end"]
        if end.startswith("cancel"):
            self.add("E(('did', c, 'cancel'))", f"t{number}.cancel()")
        if end == "await":
            self.add(f"await t{number}", "E(('got', c))")
        elif end == "cancel_await":
            self.add("try:", f"    await t{number}", "except asyncio.CancelledError as e:")
            self.add("    E(('caught', c, type(e), repr(e.args)))")
        self.level -= 1

    def do_async_for(self, statement: Statement) -> None:
        self.loop(statement, "async for", "async for")

    def do_async_list(self, statement: Statement) -> None:
        number = self.fresh()
        self.fuelled("async comprehension")
        self.add(f"ok{number}, k{number} = 0, N()", f"E(('resume', c, k{number}))", "try:")
        self.add(f"    [x async for x in {self.call(statement, f'k{number}')}]", f"    ok{number} = 1")
        self.loop_ends("async_loop", number)
        self.level -= 1

    def async_step(self, step: str, number: str) -> None:
        log, does = f"E(('resume', c, {number}))", f"A[{number}].__anext__()"
        if step == "send":
            does = f"A[{number}].asend(None)"
        elif step == "throw":
            text = f"t{self.fresh()}"
            log = f"E(('throw', c, {number}, {THROWN}, repr(({text!r},))))"
            does = f"A[{number}].athrow({THROWN}({text!r}))"
        elif step == "close":
            log, does = f"E(('close', c, {number}))", f"A[{number}].aclose()"
        self.add(
            f"E(('did', c, 'async {step}'))", log, "try:", f"    await {does}", "except StopAsyncIteration:"
        )
        self.add("    E(('caught', c, StopAsyncIteration, '()'))", "else:", "    E(('got', c))")

    def do_async_open(self, statement: Statement) -> None:
        number = f"k{self.fresh()}"
        self.fuelled("async generator")
        self.add(f"{number} = N()", f"A[{number}] = {self.call(statement, number)}")
        for step in statement["steps"]:
            self.async_step(step, number)
        end = statement["end"]
        if end == "share":
            self.add(f"SA.append({number})")
        elif end == "close":
            self.async_step("close", number)
        elif end == "drop":
            self.add(f"E(('async_loop', c, {number}, 1, None, None))", f"del A[{number}]")
        self.level -= 1

    def do_async_take(self, statement: Statement) -> None:
        number = f"k{self.fresh()}"
        self.add("if SA and F():", f"    {number} = SA.pop()", f"    E(('did', c, 'took', {number}))")
        self.level += 1
        self.async_step(statement["step"], number)
        if statement["back"]:
            self.add(f"SA.append({number})")
        self.level -= 1

    def do_to_thread(self, statement: Statement) -> None:
        number = self.spawns("to_thread", "thread")
        self.add(f"B.append({number})")
        self.add(f"await asyncio.to_thread({self.handed(statement, number)})")
        self.add(f"E(('joined', c, {number}))", f"B.remove({number})")
        self.level -= 1

    def do_executor(self, statement: Statement) -> None:
        number = self.spawns("run_in_executor", "thread")
        self.add(f"B.append({number})", "run = contextvars.copy_context().run")
        self.add(
            f"await asyncio.get_running_loop().run_in_executor(POOL, run, {self.handed(statement, number, bound=True)})"
        )
        self.add(f"E(('joined', c, {number}))", f"B.remove({number})")
        self.level -= 1

    def do_call_soon(self, statement: Statement) -> None:
        number = self.spawns("call_soon", "callback")
        self.add(
            f"asyncio.get_running_loop().call_soon({self.handed(statement, number, bound=True)})",
            "E(('got', c))",
        )
        self.level -= 1

    # ---- what is traced -----------------------------------------------------------------------------------------

    def do_root(self, statement: Statement) -> None:
        kind, name = statement["kind"], statement["name"]
        if name not in self.functions:
            return
        call = {"name": name, "a": 0, "b": 0}
        number = f"k{self.fresh()}"
        self.fuelled("root")
        if kind == "coroutine":
            self.add("try:", f"    await {self.call(call, 'N()')}")
            self.add("except BaseException as e:", "    E(('caught', c, type(e), repr(e.args)))")
        elif kind == "sync":
            self.add("try:", f"    {self.call(call, 'N()')}")
            self.add("except BaseException as e:", "    E(('caught', c, type(e), repr(e.args)))")
        else:
            self.add(
                f"{number} = N()",
                f"G[{number}] = {self.call(call, number)}",
                f"for _ in range({statement['steps']}):",
            )
            self.add(f"    E(('resume', c, {number}))", "    try:", f"        next(G[{number}])")
            self.add(
                "    except BaseException as e:",
                "        E(('caught', c, type(e), repr(e.args)))",
                "        break",
            )
            self.add("    E(('got', c))", "    await asyncio.sleep(0)")
            self.add(f"if {statement['steps']} % 2:", f"    E(('drop', c, {number}))", f"    del G[{number}]")
        self.level -= 1
