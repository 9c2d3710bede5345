"""Which code is recorded."""

from __future__ import annotations

import json
import os

import pytest

import tracepatch
from tracepatch.codes import APPLICATION, HIDDEN, LIBRARY, SKIPPED, Scope, is_library

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
