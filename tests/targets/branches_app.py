"""A program with an agent; for each line of its standard input it serves a task that starts a thread and a pool's work."""

import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import tracepatch

pool = ThreadPoolExecutor(1, "pool")


def served(number: int) -> str:
    thread = threading.Thread(target=work, args=(number,), name="worker")
    thread.start()
    thread.join()
    return pool.submit(work, number).result()


def work(number: int) -> str:
    return f"{number} in {threading.current_thread().name}"


tracepatch.start(service="branches")
print("up", flush=True)
for line in sys.stdin:
    print("served", served(int(line)), flush=True)
