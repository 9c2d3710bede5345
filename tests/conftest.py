"""Fixtures that every test may use; helpers to import are in processes.py and fake_agent.py."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fake_agent import FakeAgent
from processes import short_directory


@pytest.fixture
def runtime_dir(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A fresh runtime directory: agents and controllers of this test, and processes it starts, use it.

    A controller in this very process looks nowhere else, so agents of other tests never show.
    """
    with short_directory() as directory:
        runtime = directory / "r"
        runtime.mkdir(mode=0o700)
        monkeypatch.setenv("TRACEPATCH_RUNTIME_DIR", str(runtime))
        for variable in ("TRACEPATCH_DISABLE", "TRACEPATCH_SERVICE", "TRACEPATCH_LABELS", "TRACEPATCH_STORE"):
            monkeypatch.delenv(variable, raising=False)
        from tracepatch_ctl import discovery

        elsewhere = {"tmp": str(directory / "no-tmp"), "proc": str(directory / "no-proc")}
        monkeypatch.setattr(discovery.Search.__init__, "__kwdefaults__", elsewhere)
        yield runtime


@pytest.fixture
def fake_agent(runtime_dir: Path) -> Iterator[Callable[..., FakeAgent]]:
    """Start agents that speak the protocol and trace nothing: `fake_agent(service="x", traces=2)`."""
    started: list[FakeAgent] = []

    def start(**options: Any) -> FakeAgent:
        started.append(FakeAgent(options.pop("directory", runtime_dir), **options))
        return started[-1]

    yield start
    for agent in started:
        agent.close()


@pytest.fixture
def no_collector() -> Iterator[None]:
    """An exception that a signal handler or another thread raises inside the collector is lost, traced or not.

    It calls Python, and so lets the other thread in: weak references' callbacks for the garbage of earlier tests, and
    Hypothesis's clock.
    """
    others = list(gc.callbacks)
    gc.callbacks.clear()
    gc.collect()
    gc.disable()
    yield
    gc.enable()
    gc.callbacks.extend(others)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests recorded under the name "summary", also those that ran in a worker process."""
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            if name == "summary" and report.when == "call":
                terminalreporter.write_line(str(value))
