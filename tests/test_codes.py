"""Which code is recorded."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import tracepatch
from tracepatch.codes import APPLICATION, HIDDEN, LIBRARY, SKIPPED, CodeTable, Scope, is_library

JSON = json.__file__


@pytest.mark.parametrize(
    ("module", "file", "options", "action"),
    [
        ("shop.app", "/srv/shop/app.py", {}, APPLICATION),
        ("__main__", "<stdin>", {}, APPLICATION),
        ("json.decoder", JSON, {}, LIBRARY),
        ("json.decoder", JSON, {"everything": True}, APPLICATION),
        ("json.decoder", JSON, {"lib": ["json*"]}, APPLICATION),
        ("json.decoder", JSON, {"packages": ["json"]}, APPLICATION),
        ("jsonx", JSON, {"packages": ["json"]}, LIBRARY),
        ("flask.app", "/venv/lib/python3.11/site-packages/flask/app.py", {}, LIBRARY),
        ("importlib._bootstrap", "<frozen importlib._bootstrap>", {"everything": True}, LIBRARY),
        ("shop.app", "/srv/shop/app.py", {"skip": ["shop.*"]}, SKIPPED),
        ("shop.app", "/srv/shop/app.py", {"only": ["pay"]}, SKIPPED),
        ("pay.cards", "/srv/pay/cards.py", {"only": ["pay"]}, APPLICATION),
        ("tracepatch.runners", tracepatch.__file__, {"everything": True}, HIDDEN),
        ("tracepatch.secret_texts", "<string>", {"everything": True}, HIDDEN),
        ("tracepatch_demo", "/srv/tracepatch_demo.py", {}, APPLICATION),
    ],
)
def test_scope(module: str, file: str, options: dict[str, object], action: int) -> None:
    assert Scope(**options).action(module, file) == action  # type: ignore[arg-type]


def test_a_folder_with_a_similar_name_is_no_library() -> None:
    assert is_library(os.__file__)
    assert not is_library(os.path.dirname(os.__file__) + "-app/main.py")


def test_generated_code_belongs_to_whom_it_was_made_for(tmp_path: Path) -> None:
    """Methods of dataclasses, named tuples and attrs classes stand in no file."""
    packages = tmp_path / "site-packages"
    packages.mkdir()
    source = (
        "import collections, dataclasses\n"
        "@dataclasses.dataclass\nclass Data:\n    x: int\n"
        "Pair = collections.namedtuple('Pair', 'a b')\n"
        "made = {}\n"
        "exec(compile('def generated(): pass', f'<attrs generated init {__name__}.Item>', 'exec'), made)\n"
    )
    actions = {}
    for folder, name in ((packages, "made_in_library"), (tmp_path, "made_in_application")):
        (folder / f"{name}.py").write_text(source)
        spec = importlib.util.spec_from_file_location(name, folder / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module: Any = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
            functions = (module.Data.__init__, module.Pair.__new__, module.made["generated"])
            frames: Any = [
                SimpleNamespace(f_globals=function.__globals__, f_code=function.__code__)
                for function in functions
            ]
            entries = [CodeTable(Scope()).add(frame.f_code, frame) for frame in frames]
        finally:
            del sys.modules[name]
        actions[name] = [entry.action for entry in entries]
        assert [entry.module for entry in entries] == [name, "namedtuple_Pair", name]
    assert actions["made_in_library"] == [LIBRARY] * 3
    assert actions["made_in_application"] == [APPLICATION, LIBRARY, APPLICATION]
