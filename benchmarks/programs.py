"""The programs that are recorded: those that tracers are usually measured with, and a web request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import process_time_ns, thread_time_ns

from . import request, workload


@dataclass(frozen=True, kw_only=True)
class Program:
    """What runs between two looks at the clock."""

    name: str
    run: Callable[[], None]
    depth: int | None
    """The capture depth that shows what VizTracer shows (see the package); None where there is none."""
    target: str = "benchmarks.programs:task"
    """What is armed to record it, and how many tasks that are."""
    tasks: int = 1
    clock: Callable[[], int] = thread_time_ns


def task(run: Callable[[], None]) -> None:
    """Be the task that is traced; every contender runs the program through it."""
    run()


# ---- integers


def fib(n: int) -> int:
    return n if n < 2 else fib(n - 1) + fib(n - 2)


def hanoi(disks: int, source: str, target: str, spare: str) -> int:
    if not disks:
        return 0
    return hanoi(disks - 1, source, spare, target) + 1 + hanoi(disks - 1, spare, target, source)


# ---- flat lists


def qsort(items: list[int]) -> list[int]:
    if len(items) < 2:
        return items
    pivot = items[len(items) // 2]
    smaller = smaller_than(items, pivot)
    return qsort(smaller) + [item for item in items if item == pivot] + qsort(larger_than(items, pivot))


def smaller_than(items: list[int], pivot: int) -> list[int]:
    return [item for item in items if item < pivot]


def larger_than(items: list[int], pivot: int) -> list[int]:
    return [item for item in items if item > pivot]


def spectral_norm(size: int) -> float:
    """Approximate the spectral norm of an infinite matrix by power iteration, on its first rows."""
    vector = [1.0] * size
    for _ in range(2):
        vector = times(vector, transposed=True)
        vector = times(vector, transposed=False)
    return sum(vector)


def times(vector: list[float], transposed: bool) -> list[float]:
    return [product(row, vector, transposed) for row in range(len(vector))]


def product(row: int, vector: list[float], transposed: bool) -> float:
    total = 0.0
    for column, item in enumerate(vector):
        total += item * (cell(column, row) if transposed else cell(row, column))
    return total


def cell(row: int, column: int) -> float:
    return 1.0 / ((row + column) * (row + column + 1) // 2 + row + 1)


# ---- objects


class Account:
    """An object without a `__repr__`, as most are."""

    def __init__(self, owner: str, cents: int) -> None:
        self.owner = owner
        self.cents = cents

    def add(self, cents: int) -> int:
        self.cents += cents
        return self.cents


def transfer(source: Account, target: Account, cents: int) -> Account:
    source.add(-cents)
    target.add(cents)
    return target


def accounts() -> None:
    ada, bob = Account("ada", 100), Account("bob", 100)
    for cents in range(400):
        transfer(ada, bob, cents)


NUMBERS = [number * 7919 % 1009 for number in range(300)]

PROGRAMS = (
    Program(name="fib", run=lambda: fib(14) and None, depth=0),
    Program(name="hanoi", run=lambda: hanoi(9, "left", "right", "middle") and None, depth=0),
    Program(name="qsort", run=lambda: qsort(NUMBERS) and None, depth=1),
    Program(name="spectral", run=lambda: spectral_norm(14) and None, depth=1),
    Program(name="objects", run=accounts, depth=0),
    Program(name="serve", run=lambda: workload.run(90), depth=2),
    Program(
        name="request",
        run=request.run,
        depth=None,
        target="examples.shop.app:checkout",
        tasks=request.COUNT,
        clock=process_time_ns,
    ),
)
