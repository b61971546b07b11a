"""Whether an extra is installed is told without importing it."""

from __future__ import annotations

import sys

import pytest

from gateway.config.extras import AWS, AZURE, GOOGLE, JWT, Extra


@pytest.mark.parametrize("extra", [AWS, AZURE, GOOGLE, JWT], ids=lambda extra: extra.name)
def test_what_is_said(extra: Extra) -> None:
    """All of them are in the tests' own environment; without one its name and the command are given."""
    assert extra.is_installed
    assert extra.absence.endswith("which is not installed")
    assert f"pip install 'gateway[{extra.name}]'" in extra.fix


@pytest.mark.parametrize("hidden", ["google", "google.auth"])
def test_what_is_missing(monkeypatch: pytest.MonkeyPatch, hidden: str) -> None:
    """A library whose package is missing is missing, as is one that the package has not."""
    assert not Extra("x", "no_such_library_at_all", "").is_installed
    monkeypatch.delitem(sys.modules, "google.auth", raising=False)
    monkeypatch.setitem(sys.modules, hidden, None)
    assert not GOOGLE.is_installed
