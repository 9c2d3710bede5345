"""Sum up what `make bench` found on all Pythons; `--readme FILE` puts it into the README.

Reads the files that `python -m benchmarks --save` wrote, each of one run; needs nothing but Python.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from . import recording
from .tables import markdown

HEADING, NEXT = "## What it costs\n", "## Security\n"
SHOWN = "3.13"
"""The Python whose tables the README shows whole, where it was measured."""

PROGRAMS = ("fib", "hanoi", "qsort", "spectral", "objects", "serve")

OTHERS = {
    "dormant": "dormant / bare",
    "waiting": "waiting / bare",
    "beside a traced task: a call, x no-op callbacks": "beside / no-op",
    "a call, x bare": "beside: call",
    "an await, x bare": "beside: await",
    "an item, x bare": "beside: item",
    "a call left out / recorded": "inside a library / recorded",
}

Run = dict[str, Any]


def main() -> None:
    """Print the summary, or write the README's section."""
    parser = argparse.ArgumentParser(prog="benchmarks.summary", description=__doc__)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--readme", type=Path, help="the file whose section is replaced")
    options = parser.parse_args()
    runs: list[Run] = [json.loads(file.read_text()) for file in options.files]
    runs.sort(key=lambda run: [int(part) for part in run["python"].split(".")])
    if options.readme is None:
        print("\n" + "\n".join(summary(runs)))
        return
    text = options.readme.read_text()
    before, heading, rest = text.partition(HEADING)
    after = rest[rest.index(NEXT) :]
    options.readme.write_text(before + heading + "\n" + "\n".join(section(runs)) + "\n\n" + after)


def summary(runs: list[Run]) -> list[str]:
    """Return the tables over all Pythons."""
    return [
        "A recorded call, as a ratio to VizTracer with arguments and returns at the same capture depth"
        " (in brackets: the core that is all Python, and tracepatch 0.1.0); and a whole web request that is armed, in default scope:",
        "",
        *markdown(
            ("Python", *PROGRAMS, "request"),
            [
                (
                    run["python"],
                    *(
                        f"{figure(run, f'{recording.SAME_DEPTH}: {program}')} ({figure(run, f'{recording.PYTHON}: {program}')},"
                        f" {figure(run, f'{recording.SEED}: {program}')})"
                        for program in PROGRAMS
                    ),
                    f"{figure(run, f'{recording.ARMED}: request')} ({figure(run, f'{recording.SEED}: request')})",
                )
                for run in runs
            ],
        ),
        "",
        "All others, who are not recorded:",
        "",
        *markdown(
            ("Python", *OTHERS),
            [(run["python"], *(figure(run, name) for name in OTHERS.values())) for run in runs],
        ),
    ]


def section(runs: list[Run]) -> list[str]:
    """Return the README's section."""
    shown = next((run for run in runs if run["python"] == SHOWN), runs[-1])
    return [
        "`make bench` measures it beside its peers, interleaved in one process, for every Python it finds.",
        f"This is CPython {shown['python']} on a small virtual machine with two cores; only ratios travel.",
        "",
        "<!-- not run: takes minutes, and figures differ from machine to machine -->",
        "```console",
        "$ make bench",
        *shown["lines"],
        "```",
        "",
        *summary(runs),
        "",
        "How it is measured, and what the same capture depth is, stands in `benchmarks/__init__.py`.",
    ]


def figure(run: Run, name: str) -> str:
    """Return one figure as text."""
    value = run["figures"].get(name)
    return "-" if value is None else f"{value:.3f}" if name.endswith("/ bare") else f"{value:.2f}"


if __name__ == "__main__":
    main()
