"""What rules on limits share."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from gateway.config.manifests.limited_calls import Per, RuleWhen, When
from gateway.config.manifests.load_balancing import LoadBalancingWhen
from gateway.config.manifests.metadata_config import MetadataWhen
from gateway.config.manifests.part import Part


@pytest.mark.parametrize("per", ["user", "virtualaccount", "model", "metadata.app", "metadata.a.b"])
def test_what_is_counted_apart(per: str) -> None:
    """By caller, by model, by any key of the metadata."""
    assert TypeAdapter(Per).validate_python(per) == per


@pytest.mark.parametrize("per", ["", "team", "users", "metadata", "metadata.", "model.x"])
def test_what_is_not(per: str) -> None:
    """Nothing else is taken for one of these."""
    with pytest.raises(ValidationError):
        TypeAdapter(Per).validate_python(per)


@pytest.mark.parametrize("kind", [RuleWhen, LoadBalancingWhen, MetadataWhen])
def test_an_empty_list_is_for_all(kind: type[Part]) -> None:
    """TrueFoundry gives such rules out with `subjects: []`: read as nobody, they would limit nobody here."""
    assert kind.model_validate({"subjects": [], "models": []}) == kind.model_validate({})


def test_conditions_of_all_kinds() -> None:
    """As TrueFoundry writes them."""
    when = When.model_validate(
        {
            "subjects": {"teams": {"in": ["ml"]}, "users": {"not_in": ["a@x.io"]}},
            "provider_accounts": {"in": ["main"]},
            "metadata": {"app": {"in": ["bot"], "not_in": ["x"]}},
        }
    )
    assert when.subjects.teams.in_ == ("ml",)
    assert (when.subjects.users.in_, when.subjects.users.not_in) == (None, ("a@x.io",))
    assert when.models.in_ is None
    assert (when.metadata["app"].in_, when.metadata["app"].not_in) == (("bot",), ("x",))
