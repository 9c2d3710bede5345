"""The agent as the application holds it: started, stopped, carried over a fork, ended with the process.

Concurrency: `start` and `stop` may be called from any thread; a lock that a fork child replaces makes them one after
the other. `wake` may be called from anywhere, callbacks and signal handlers too. At exit the thread has a bounded time
to hand over what it holds: 1 s, and only when it holds something. A process that dies by a signal's default action
(SIGTERM without a handler, SIGKILL) runs no exit hooks: its files stay and are recognised as stale.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tracepatch_shared.errors import TracepatchError

from . import containment, fork, primitives
from .config import Config

if TYPE_CHECKING:
    from .loop import Loop
    from .roster import Resolver, Tracing

THREAD = "tracepatch"
START_S = 2.0
"""How long `start` waits for the endpoint; the agent goes on by itself if it takes longer."""
STOP_S = 2.0
EXIT_S = 1.0
SETTLE_S = 0.05
"""How long a fork child's agent waits before it makes a socket: children that exec or exit at once get none."""


class Agent:
    """One process's agent. `tracepatch.start` returns it."""

    def __init__(
        self,
        config: Config,
        *,
        tracing_factory: Callable[[Callable[[], None]], Tracing] | None = None,
        resolver: Resolver | None = None,
    ) -> None:
        self.config = config
        self._factory = tracing_factory
        self._resolver = resolver or _resolve
        self._tracing: Tracing | None = None
        self._waker: Any = None
        self._loop: Loop | None = None
        self._pid = os.getpid()
        self._problem: str | None = None

    def __repr__(self) -> str:
        return f"<tracepatch.Agent {self.agent_id or '-'} {self.state}>"

    @property
    def agent_id(self) -> str | None:
        """The id under which operators find it; None while there is none."""
        return self._loop.identity.agent_id if self._loop else None

    @property
    def endpoint(self) -> str | None:
        """The address that answers, as `ipc://...`; None while there is none."""
        return self._loop.endpoint.address if self._loop and self._loop.reachable else None

    @property
    def service(self) -> str | None:
        """The name that operators choose by."""
        return self._loop.identity.service if self._loop else self.config.service

    @property
    def state(self) -> str:
        """`dormant`, `waiting`, `tracing`, or `disabled` when nobody can reach it; see `problem`."""
        return self._loop.state if self._loop else "disabled"

    @property
    def problem(self) -> str | None:
        """Why the agent cannot be reached; None when it can."""
        return self._loop.problem if self._loop else self._problem

    def start(self) -> None:
        """Start the thread and wait until it can be reached; raise `TracepatchError` for a forced core that is missing."""
        if self.config.disabled:
            self._problem = "TRACEPATCH_DISABLE is set"
            return
        try:
            # Imported here, on the caller's thread: a fork right after start() must not find a half imported module.
            import msgpack  # noqa: F401

            from .endpoint import Waker
            from .loop import Loop  # noqa: F401

            self._waker = Waker()
            tracing = (self._factory or self._make_tracing)(self.wake)
            tracing.core_name  # noqa: B018 - chosen here, so that a forced core that is missing is said at once
            self._tracing = tracing
            containment.on_problem(self.wake)
            fork.in_child(self._after_fork_in_child)
            self._begin()
        except TracepatchError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever is broken here, the application runs on
            from . import journal

            fork.not_in_child(self._after_fork_in_child)
            self._loop = None
            self._problem = f"{type(error).__name__}: {error}"
            journal.warning(
                "the tracing agent does not start, the application runs on without it: %s", self._problem
            )
            return
        atexit.register(self._at_exit)
        assert self._loop is not None
        self._loop.ready.wait(START_S)

    def stop(self) -> None:
        """End all probes, hand over or write down what is held, take socket and files away; waits up to 2 s."""
        fork.not_in_child(self._after_fork_in_child)
        atexit.unregister(self._at_exit)
        self._close(STOP_S)
        containment.on_problem(None)

    def wake(self) -> None:
        """Make the agent thread look at what there is to do (any thread; never blocks, never raises)."""
        if os.getpid() != self._pid:
            self.notice_fork()
        self._waker.wake()

    def notice_fork(self) -> None:
        """Begin anew when the process was forked without Python's hooks."""
        if os.getpid() != self._pid:
            with containment.contained():
                self._after_fork_in_child()

    # ---- inside -------------------------------------------------------------------------------------------------

    def _make_tracing(self, wake: Callable[[], None]) -> Tracing:
        from .policy import DEFAULT
        from .tracing import Tracing

        owners = DEFAULT
        if self.config.policy is not None:
            from .policy_file import read

            owners = read(self.config.policy)
        self.config = replace(self.config, problems=(*self.config.problems, *owners.problems))
        return Tracing(wake, packages=self.config.packages, policy=owners)

    def _begin(self, delay_s: float = 0.0) -> None:
        from .loop import Loop

        assert self._tracing is not None
        self._loop = loop = Loop(
            config=self.config,
            tracing=self._tracing,
            waker=self._waker,
            resolver=self._resolver,
            delay_s=delay_s,
        )
        primitives.start_thread(THREAD, loop.run)

    def _close(self, timeout_s: float) -> None:
        loop = self._loop
        if loop is None or os.getpid() != self._pid:
            return
        loop.close_soon("stop")
        loop.done.wait(timeout_s)

    def _at_exit(self) -> None:
        with containment.contained():
            self._close(EXIT_S)

    def _after_fork_in_child(self) -> None:
        """Give this process an agent of its own; see `fork`."""
        self._pid = os.getpid()
        old, self._loop = self._loop, None
        if old is not None:
            old.endpoint.after_fork_in_child()
            fork.keep(old.endpoint)
            with containment.contained():
                fork.close_sockets(old.endpoint.path)
        self._waker.after_fork_in_child()
        if self._tracing is not None:
            self._tracing.after_fork_in_child()
        fork.at_multiprocessing_exit(self, Agent._at_exit)
        self._begin(SETTLE_S)


def _resolve(texts: Sequence[str]) -> tuple[list[Any], Any]:
    from tracepatch_shared.targets import parse_targets

    from .resolve import resolve

    targets = parse_targets(texts)
    return targets, resolve(targets)


# ---- the process's one agent --------------------------------------------------------------------------------------

_agent: Agent | None = None
_guard = primitives.lock()


def start(
    *, service: str | None = None, labels: Mapping[str, str] | None = None, packages: Iterable[str] = ()
) -> Agent:
    """Start the process's agent, or return the one that runs; see `tracepatch.start`."""
    global _agent
    config = Config.read(service=service, labels=labels, packages=packages)
    with _guard:
        if _agent is not None:
            _agent.notice_fork()
            return _agent
        agent = Agent(config)
        agent.start()
        _agent = agent
        return agent


def stop() -> None:
    """Stop the process's agent if there is one."""
    global _agent
    with _guard:
        agent, _agent = _agent, None
        if agent is not None:
            agent.stop()


def _free_guard() -> None:
    """Replace the lock in a fork child: the thread that held it is not there."""
    global _guard
    _guard = primitives.lock()


fork.in_child(_free_guard)
