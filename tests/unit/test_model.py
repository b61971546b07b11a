"""The shared vocabulary keeps its secrets."""

from __future__ import annotations

import dataclasses

import pytest

from gateway.model import Caller, Decision, HeldLimits, LimitsSaid, UpstreamRequest, verdicts
from tests.unit.makers import KEY, TARGET, make_call


def test_credentials_are_not_shown() -> None:
    """A target or request in a log line shows no key, prompt or body."""
    request = UpstreamRequest("http://x", list(TARGET.headers), b"canary", None)
    shown = f"{TARGET!r} {TARGET} {request!r} {make_call(prompt='canary')!r}"
    assert KEY not in shown
    assert "canary" not in shown


def test_subjects_of_callers() -> None:
    """What rules name a caller by: itself, each team of it, and of users everyone."""
    assert Caller("app", frozenset()).subjects == {"virtualaccount:app"}
    user = Caller("a@x.io", frozenset(), kind="user", teams=("ml", "ops"), tags={"a": "b"})
    assert user.subjects == {"user:a@x.io", "team:ml", "team:ops", "team:everyone"}
    assert hash(user) == hash(dataclasses.replace(user))


def test_what_limits_said_is_told_apart_by_all_but_figures() -> None:
    """As a part of keys: for one set of limits as for several that were asked one after another."""
    held = HeldLimits(())
    few, many = [LimitsSaid(held, (), Decision(None, (used,), (), 0.0)) for used in (1, 99)]
    full = LimitsSaid(held, (), Decision(None, (1,), (), 0.0), without_room=(0,))
    assert verdicts([few]) == verdicts([many])
    assert len({verdicts(said) for said in ([], [few], [full], [few, few], [few, full])}) == 5


def test_words_are_frozen() -> None:
    """A stage cannot change what another handed to it."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        TARGET.name = "other"  # type: ignore[misc]  # what is tried
