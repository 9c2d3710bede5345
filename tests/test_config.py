"""What the application and its environment say about the agent."""

from __future__ import annotations

import pytest

from tracepatch.config import Config


def test_arguments_are_taken() -> None:
    config = Config.read(service="shop", labels={"env": "prod"}, packages=["shop", "cart.core"], environ={})
    assert (config.service, dict(config.labels), config.packages) == (
        "shop",
        {"env": "prod"},
        ("shop", "cart.core"),
    )
    assert not config.disabled
    assert config.problems == ()


def test_environment_wins_over_arguments() -> None:
    environ = {
        "TRACEPATCH_SERVICE": "other",
        "TRACEPATCH_LABELS": "env=test, zone=eu%20west",
        "OTEL_SERVICE_NAME": "no",
    }
    config = Config.read(service="shop", labels={"env": "prod", "a": "b"}, environ=environ)
    assert config.service == "other"
    assert dict(config.labels) == {"env": "test", "zone": "eu west", "a": "b"}


def test_opentelemetry_serves_where_nothing_else_is_said() -> None:
    environ = {
        "OTEL_RESOURCE_ATTRIBUTES": "service.name=cart,service.version=7,env=prod",
        "TRACEPATCH_LABELS": "env=x",
    }
    config = Config.read(environ=environ)
    assert (config.service, config.version, dict(config.labels)) == ("cart", "7", {"env": "x"})
    assert Config.read(environ={**environ, "OTEL_SERVICE_NAME": "first"}).service == "first"
    assert Config.read(service="mine", environ=environ).service == "mine"


@pytest.mark.parametrize(
    "arguments",
    [
        {"service": 5},
        {"labels": ["env"]},
        {"labels": {"env": 5}},
        {"labels": {5: "x"}},
        {"packages": "shop"},
        {"packages": [5]},
        {"packages": None},
    ],
)
def test_arguments_of_a_wrong_type_raise(arguments: dict) -> None:
    with pytest.raises(TypeError):
        Config.read(**arguments, environ={})


@pytest.mark.parametrize(
    "arguments",
    [
        {"service": ""},
        {"service": "a\nb"},
        {"service": "x" * 201},
        {"labels": {"": "x"}},
        {"labels": {str(n): "x" for n in range(33)}},
        {"packages": ["shop.*"]},
    ],
)
def test_arguments_of_a_wrong_form_raise(arguments: dict) -> None:
    with pytest.raises(ValueError):
        Config.read(**arguments, environ={})


def test_a_bad_variable_is_left_out_and_named() -> None:
    config = Config.read(service="shop", environ={"TRACEPATCH_LABELS": "env", "TRACEPATCH_SERVICE": "a\tb"})
    assert config.service == "shop"
    assert [problem.split()[0] for problem in config.problems] == ["TRACEPATCH_SERVICE", "TRACEPATCH_LABELS"]


@pytest.mark.parametrize(
    ("text", "disabled"),
    [("1", True), ("true", True), ("ture", True), ("0", False), ("no", False), ("", False), (" ", False)],
)
def test_the_kill_switch_errs_towards_off(text: str, disabled: bool) -> None:
    assert Config.read(environ={"TRACEPATCH_DISABLE": text}).disabled is disabled


def test_the_folder_is_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.chdir(tmp_path)
    assert Config.read(environ={"TRACEPATCH_RUNTIME_DIR": "run"}).runtime_dir == str(tmp_path / "run")
