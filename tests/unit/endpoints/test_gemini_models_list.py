"""The models of a caller in the shape of Google's list."""

from __future__ import annotations

import json

from gateway.endpoints.gemini_models_list import gemini_model, gemini_model_list
from gateway.model import ListedModel
from tests.unit.makers import make_target


def test_list() -> None:
    """By the names under which they may be called, with their limit where it is known."""
    targets = [make_target("google/flash", context_window=1000), make_target("google/pro")]
    assert json.loads(gemini_model_list(targets)) == {
        "models": [
            {"name": "models/flash", "displayName": "flash", "inputTokenLimit": 1000},
            {"name": "models/pro", "displayName": "pro"},
        ]
    }


def test_nothing() -> None:
    """Who may use none gets an empty list."""
    assert json.loads(gemini_model_list([])) == {"models": []}


def test_one() -> None:
    """By the name that the caller has for it."""
    virtual = ListedModel("vm/chat", "vm", frozenset({"chat"}), context_window=1000)
    assert json.loads(gemini_model_list([virtual]))["models"][0]["name"] == "models/chat"
    assert json.loads(gemini_model(virtual, "fast")) == {
        "name": "models/fast",
        "displayName": "fast",
        "inputTokenLimit": 1000,
    }
