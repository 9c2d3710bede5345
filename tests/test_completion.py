"""Real shells complete targets of a live process, saved probes, options, and ids; nothing where there is nobody."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ctl import ctl, environment
from processes import TARGETS, python_process, short_directory

SCRIPTS = Path(sys.executable).parent


@pytest.fixture(scope="module")
def place() -> Iterator[dict[str, str]]:
    """The environment of a shell beside a program with routes, tasks and threads, and with saved probes."""
    with short_directory() as directory:
        (directory / "r").mkdir(mode=0o700)
        probes = directory / "config" / "tracepatch" / "probes"
        probes.mkdir(parents=True)
        for name in ("slow-checkout", "jobs"):
            (probes / f"{name}.toml").write_text('targets = ["m:f"]\n')
        env = environment(
            TRACEPATCH_RUNTIME_DIR=str(directory / "r"),
            XDG_CONFIG_HOME=str(directory / "config"),
            TRACEPATCH_STORE=str(directory / "traces.db"),
            HOME=str(directory),
            PATH=f"{SCRIPTS}:/usr/bin:/bin",
        )
        with python_process(
            TARGETS / "tabled.py", env={"TRACEPATCH_RUNTIME_DIR": env["TRACEPATCH_RUNTIME_DIR"]}
        ) as program:
            program.expect("ready")
            yield env


BASH = """
COMP_WORDBREAKS=$' \\t\\n"\\'><=;|&(:@'
eval "$(_TRACEPATCH_CTL_COMPLETE=bash_source tracepatch-ctl)"
compopt() { :; }
COMP_LINE=$1
COMP_POINT=${#COMP_LINE}
_tracepatch_ctl_completion tracepatch-ctl
printf '%s\\n' "${COMPREPLY[@]}"
"""
ZSH = """
autoload -U compinit; compinit -u
eval "$(_TRACEPATCH_CTL_COMPLETE=zsh_source tracepatch-ctl)"
compadd() { while [[ $1 == -* ]]; do [[ $1 == -a ]] && { shift; print -l -- ${(P)1}; return; }; [[ $1 == -[VX] ]] && shift; shift; done; print -l -- "$@" }
_describe() { for one in $@; do [[ $one == completions* ]] && print -l -- ${${(P)one}%%:*}; done }
words=(${(z)1}); [[ $1 == *' ' ]] && words+=('')
CURRENT=$#words
_tracepatch_ctl_completion
"""
FISH = """
_TRACEPATCH_CTL_COMPLETE=fish_source tracepatch-ctl | source
complete -C "$argv[1]"
"""


def completed(shell: str, line: str, env: dict[str, str]) -> list[str]:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed")
    command = {
        "bash": [program, "--norc", "-c", BASH, "bash", line],
        "zsh": [program, "-f", "-c", ZSH, "zsh", line],
        "fish": [program, "--no-config", "-c", FISH, line],
    }[shell]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr == "", done.stderr
    return [word.partition("\t")[0] for word in done.stdout.splitlines() if word]


SHELLS = ("bash", "zsh", "fish")


@pytest.mark.parametrize("shell", SHELLS)
def test_commands_options_and_saved_probes(shell: str, place: dict[str, str]) -> None:
    assert "targets" in completed(shell, "tracepatch-ctl ta", place)
    assert "--slower-than" in completed(shell, "tracepatch-ctl arm --slow", place)
    saved = completed(shell, "tracepatch-ctl arm @s", place)
    assert saved == (["slow-checkout"] if shell == "bash" else ["@slow-checkout"])


@pytest.mark.parametrize("shell", SHELLS)
def test_targets_of_the_live_process(shell: str, place: dict[str, str]) -> None:
    # Bash parts words at the colon and replaces what follows it.
    before = "" if shell == "bash" else "__main__:"
    assert completed(shell, "tracepatch-ctl arm __main__:it", place) == [f"{before}item", f"{before}items"]
    assert "__main__:" in completed(shell, "tracepatch-ctl arm __ma", place)
    tasks = completed(shell, "tracepatch-ctl arm task:it", place)
    assert [word.rpartition(":")[2] for word in tasks] == ["items-0", "items-1"]


def test_a_route_is_offered_as_it_is_typed(place: dict[str, str]) -> None:
    pytest.importorskip("flask")
    assert "'DELETE|OPTIONS /flask/<int:n>'" in completed("bash", "tracepatch-ctl arm http:", place)


def test_probes_and_traces(place: dict[str, str]) -> None:
    armed = ctl("arm", "__main__:items", "--detach", "--ttl", "60s", "--json", env=place)
    probe = armed.stdout.partition('"probe_id":"')[2][:8]
    assert completed("bash", f"tracepatch-ctl disarm {probe[:3]}", place) == [probe]
    assert completed("bash", "tracepatch-ctl show ", place) == []
    ctl("disarm", "--all", env=place)


def test_where_there_is_nobody_nothing_is_offered_and_nothing_said(
    place: dict[str, str], tmp_path: Path
) -> None:
    nobody = {**place, "TRACEPATCH_RUNTIME_DIR": str(tmp_path)}
    # Others' agents may be there, of other tests.
    assert completed("bash", "tracepatch-ctl arm no_such_module_any:", nobody) == []
    assert completed("bash", "tracepatch-ctl show x", nobody) == []
