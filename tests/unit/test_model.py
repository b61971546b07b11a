"""The shared vocabulary keeps its secrets."""

from __future__ import annotations

import dataclasses

import pytest

from gateway.model import Caller, UpstreamRequest
from tests.unit.makers import KEY, TARGET, make_call


def test_credentials_are_not_shown() -> None:
    """A target or request in a log line shows no key, prompt or body."""
    request = UpstreamRequest("http://x", list(TARGET.headers), b"canary", None)
    shown = f"{TARGET!r} {TARGET} {request!r} {make_call(prompt='canary')!r}"
    assert KEY not in shown
    assert "canary" not in shown


def test_subjects_of_callers() -> None:
    """What rules name a caller by: itself, each team of it, and everyone."""
    assert Caller("app", frozenset()).subjects == {"virtualaccount:app", "team:everyone"}
    user = Caller("a@x.io", frozenset(), kind="user", teams=("ml", "ops"), tags={"a": "b"})
    assert user.subjects == {"user:a@x.io", "team:ml", "team:ops", "team:everyone"}
    assert hash(user) == hash(dataclasses.replace(user))


def test_words_are_frozen() -> None:
    """A stage cannot change what another handed to it."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        TARGET.name = "other"  # type: ignore[misc]  # what is tried
