"""A pool that a traced task fills, where threads inherit the Context of who starts them (`-X thread_inherit_context=1`)."""

import sys
import threading
from concurrent.futures import ThreadPoolExecutor

from loops_helpers import application, check, links
from tracing_helpers import bench

pool = ThreadPoolExecutor(1)
filled, served_others = threading.Event(), threading.Event()


def step(number: int) -> int:
    return number


def served(number: int) -> None:
    pool.submit(step, number).result()
    filled.set()
    assert served_others.wait(30)
    thread = threading.Thread(target=step, args=(number,), name="inherits")
    thread.start()
    thread.join()


def others() -> None:
    assert filled.wait(30)
    pool.submit(step, 99).result()
    served_others.set()


assert sys.flags.thread_inherit_context
threads = sys.argv[1] == "True"
other = threading.Thread(target=others)
other.start()
with bench() as made:
    made.arm("__main__:served", threads=threads)
    served(1)
    other.join()
    trace = made.trace()
assert check(trace) == 1
assert application(trace) == [["served", *[["step"]] * (2 if threads else 1)]], application(trace)
assert ("thread", "inherits") in [link[:2] for link in links(trace)], links(trace)
