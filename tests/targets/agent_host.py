"""A program with an agent whose tracing is a fake; it does what each line of its standard input says."""

import contextlib
import ctypes
import logging
import os
import signal
import sys

from fake_tracing import FakeTracing, resolver

from tracepatch.agent import Agent
from tracepatch.config import Config


def say(*words: object) -> None:
    """Write a line in one piece: parent and children share the pipe."""
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


logging.basicConfig(level=logging.INFO, format="%(name)s %(levelname)s %(message)s")
agent = Agent(Config.read(service="host"), tracing_factory=FakeTracing, resolver=resolver)
agent.start()
tracing = agent._tracing
say("started", agent.agent_id, agent.state)
for line in sys.stdin:
    command, *words = line.split()
    if command == "trace":
        say("trace", tracing.trace(int(words[0]) if words else 0))
    elif command == "begin":
        say("begin", tracing.begin())
    elif command == "hold":  # the GIL, so that no other Python thread runs; libzmq's do
        say("holding")
        ctypes.PyDLL(None).usleep(int(words[0]))
    elif command == "quietly":
        wake, tracing.wake = tracing.wake, lambda: None
        tracing.write(words[0], b"quiet")
        tracing.wake = wake
    elif command == "fork":
        child = os.fork()
        if child == 0:
            agent._loop.ready.wait(5)
            say("child", os.getpid(), agent.agent_id, tracing.forks)
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(30)
            if words:
                os._exit(0) if words[0] == "gone" else sys.exit(0)
            while True:
                signal.pause()
    elif command == "break":
        tracing.broken.add(words[0])
        say("broken")
    elif command == "mend":
        tracing.broken.clear()
        say("mended")
    elif command == "state":
        say("state", agent.state)
    elif command == "stop":
        agent.stop()
        say("stopped", agent.state)
    elif command == "exit":
        break
with contextlib.suppress(BrokenPipeError):
    say("leaving")
