"""Probes that are saved with `arm --save-as NAME` and armed again with `arm @NAME`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ctl import invoke
from fake_agent import FakeAgent
from tracepatch_ctl import saved
from tracepatch_shared.errors import UsageError
from tracepatch_shared.toml import loads, strict

Start = Callable[..., FakeAgent]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runtime_dir: Path) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("TRACEPATCH_STORE", str(tmp_path / "traces.db"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "config" / "tracepatch" / "probes"


def arm(*words: str) -> Any:
    return invoke("arm", *words)


SLOW = (
    "http:POST /checkout*", "m:f", "--slower-than", "20ms", "-n", "3", "--skip", "a.*", "--skip", "b", "--ttl", "500ms",
    "--capture", "depth=3,items=5", "--service", "shop*", "--where", 'arg.kind == "x" and n > 0',
)  # fmt: skip


def test_what_was_typed_is_saved_as_a_file_to_read(home: Path, fake_agent: Start) -> None:
    fake_agent(service="shop")
    result = arm(*SLOW, "--save-as", "slow-checkout", "--agent", "*", "--no-save")
    file = home / "slow-checkout.toml"
    assert f"saved as {file}" in result.stderr
    text = file.read_text()
    assert strict(text) == loads(text) == {
        "targets": ["http:POST /checkout*", "m:f"], "count": 3, "slower-than": "20ms", "ttl": "500ms", "skip": ["a.*", "b"],
        "capture": "depth=3,items=5", "service": ["shop*"], "where": 'arg.kind == "x" and n > 0',
    }  # fmt: skip
    assert text.startswith("# tracepatch-ctl arm @slow-checkout\n")


def test_it_is_armed_again_and_what_is_given_wins(home: Path, fake_agent: Start) -> None:
    agent = fake_agent(service="shop")
    arm(*SLOW, "--save-as", "slow-checkout")
    result = arm("@slow-checkout", "-n", "5", "--ttl", "400ms", "--skip", "c")
    first, again = (message["probe"] for message in agent.of("arm"))
    assert (again["count"], again["ttl_s"], again["scope"]["skip"]) == (5, 0.4, ["c"])
    for name in ("targets", "keep", "capture", "where"):
        assert again[name] == first[name]
    said = f"@slow-checkout ({home / 'slow-checkout.toml'}): arm http:'POST /checkout*' m:f"
    assert said in result.stderr
    assert "--count 5" in result.stderr
    assert "--skip c" in result.stderr


def test_one_in_the_working_directory_wins_and_is_made_where_its_folder_is(
    home: Path, fake_agent: Start
) -> None:
    agent = fake_agent()
    for folder, target in ((home, "m:home"), (Path(".tracepatch/probes"), "m:here")):
        folder.mkdir(parents=True)
        (folder / "mine.toml").write_text(f'targets = ["{target}"]\nttl = "20ms"\n')
    arm("@mine")
    assert agent.of("arm")[-1]["probe"]["targets"] == ["m:here"]
    arm("@mine", "--save-as", "second")
    assert loads(Path(".tracepatch/probes/second.toml").read_text()) == {"targets": ["m:here"], "ttl": "20ms"}
    assert saved.names() == ["mine", "second"]


def test_without_an_agent_it_is_saved_all_the_same_and_with_a_mistake_it_is_not(home: Path) -> None:
    assert arm("m:f", "--save-as", "later").exit_code == 3
    assert (home / "later.toml").exists()
    assert arm("m:f", "--where", "a =", "--save-as", "wrong").exit_code == 2
    assert arm("m:f", "--ttl", "5", "--save-as", "wrong").exit_code == 2
    assert not (home / "wrong.toml").exists()


def test_a_file_is_never_replaced(home: Path) -> None:
    arm("m:f", "--save-as", "one")
    result = arm("m:g", "--save-as", "one")
    assert (result.exit_code, f"remove {home / 'one.toml'}" in result.stderr) == (2, True)
    assert 'targets = ["m:f"]' in (home / "one.toml").read_text()


@pytest.mark.parametrize(
    "name", ["../one", "a/b", "", ".hidden", "a b", "-n", "x" * 65, "a\n", "/etc/passwd", "..", "a\0"]
)
def test_a_name_is_no_path(name: str, home: Path) -> None:
    with pytest.raises(UsageError):
        saved.checked(name)
    with pytest.raises(UsageError):
        saved.load(name, [])
    with pytest.raises(UsageError):
        saved.save(name, ["m:f"], {})
    assert not home.exists()


def test_one_that_is_not_there_is_said_with_those_that_are() -> None:
    assert "There are: none" in arm("@").stderr
    arm("m:f", "--save-as", "slow-checkout")
    arm("m:f", "--save-as", "jobs")
    assert "did you mean @slow-checkout?" in arm("@slow-chekout").stderr
    assert "(there are: @jobs, @slow-checkout)" in arm("@zzz").stderr
    assert "There are: @jobs, @slow-checkout" in arm("@").stderr
    assert "only one saved probe" in arm("@jobs", "@slow-checkout").stderr


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("targets = []", "targets must be a list"),
        ("count = 3", "targets must be a list"),
        ('targets = ["m:f"]\ncuont = 3', "cuont is no option that is saved: did you mean count?"),
        ('targets = ["m:f"]\nno-save = true', "no-save is no option"),
        ('targets = ["m:f"]\n-o = "x"', "-o is no option"),
        ('targets = ["m:f"]\nskip = [1]', "skip must be a text"),
        ('targets = ["m:f"]\nskip = ', "line 2"),
        ('targets = ["m:f"]\nttl = "soon"', "'soon' is not a duration"),
        ("#" * 70_000, "longer than"),
    ],
)
def test_a_file_that_means_nothing_is_said(text: str, words: str, home: Path) -> None:
    home.mkdir(parents=True)
    (home / "bad.toml").write_text(text)
    result = arm("@bad")
    assert result.exit_code == 2
    assert words in result.stderr
