"""Which file makes the targets of which account type."""

from __future__ import annotations

from gateway.config.manifests.known import IN_FORCE, MODEL_ACCOUNTS, VIRTUAL_MODELS
from gateway.providers.registry import _MAKERS


def test_every_account_in_force_has_its_maker() -> None:
    """An account type that is in force leads to targets; virtual models are made of them."""
    assert set(_MAKERS) == {kind for kind in IN_FORCE if kind in MODEL_ACCOUNTS} - {VIRTUAL_MODELS}
