"""Which types there are."""

from gateway.config.manifests.known import IN_FORCE, MODEL_ACCOUNTS, NOT_IN_FORCE


def test_a_type_is_in_force_or_not() -> None:
    """Never both; the models say their own type."""
    assert NOT_IN_FORCE.isdisjoint(IN_FORCE)
    for kind, model in IN_FORCE.items():
        assert model.model_fields["type"].annotation.__args__ == (kind,)  # type: ignore[union-attr]  # a Literal


def test_accounts_with_models() -> None:
    """All are accounts, in force or not."""
    assert set(IN_FORCE) | NOT_IN_FORCE >= MODEL_ACCOUNTS
    assert all(kind.startswith("provider-account/") for kind in MODEL_ACCOUNTS)
