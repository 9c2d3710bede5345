"""`http:` targets on the oldest version of each framework that serves on this Python, installed beside this environment."""

from __future__ import annotations

import os
from typing import Any

import pytest

import framework_versions
from ctl import environment
from framework_versions import FRAMEWORKS, HERE, Framework, Unreachable, parts
from http_helpers import check_requests
from processes import ROOT

EVERY = os.environ.get("TRACEPATCH_FRAMEWORKS") == "all"
"""`make frameworks` asks for those, too, that the tests do not install."""

APPLICATIONS = [
    (framework, name)
    for framework in FRAMEWORKS
    if HERE in framework.oldest and (framework.first or EVERY)
    for name in framework.applications
]


@pytest.mark.parametrize(("framework", "name"), APPLICATIONS, ids=[name for _, name in APPLICATIONS])
def test_oldest(framework: Framework, name: str, runtime_dir: Any, tmp_path: Any) -> None:
    try:
        folder = framework.install(framework.oldest[HERE])
    except Unreachable as error:
        pytest.skip(str(error))
    server, entry = framework.applications[name]
    env = environment(XDG_STATE_HOME=str(tmp_path / "state"))
    check_requests(name, server, entry, env, folder)


def test_only_an_index_that_does_not_answer_is_an_excuse(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RuntimeError, match="No matching distribution"):
        framework_versions.pip("download", "--no-deps", "flask==0.0.0")
    for variable in ("PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS"):
        monkeypatch.setenv(variable, "")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    with pytest.raises(Unreachable, match="cannot be reached"):
        framework_versions.pip("download", "--no-deps", "flask==1.1.0")


def test_the_oldest_is_older_than_the_newest() -> None:
    for framework in FRAMEWORKS:
        assert framework.oldest.keys() == framework.newest.keys()
        for python, oldest in framework.oldest.items():
            assert parts(framework.floor) <= parts(oldest) < parts(framework.newest[python])


def test_the_page_shows_the_table() -> None:
    page = (ROOT / "docs" / "frameworks.md").read_text(encoding="utf-8")
    assert "\n".join(["", *framework_versions.table(), ""]) in page
