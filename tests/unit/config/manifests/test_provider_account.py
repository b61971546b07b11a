"""Accounts and their models."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from gateway.config.manifests.provider_account import (
    BasicAuth,
    BearerAuth,
    OpenAIAccount,
    SelfHostedAccount,
    SelfHostedIntegration,
)


def hosted(**fields: object) -> SelfHostedIntegration:
    return SelfHostedIntegration.model_validate(
        {
            "name": "q",
            "hosted_model_name": "Q",
            "url": "http://h/v1/",
            "model_server": "vllm-openai",
            **fields,
        }
    )


def test_an_openai_account_in_its_smallest_form() -> None:
    """A name and models; the rest has defaults."""
    account = OpenAIAccount.model_validate(
        {"type": "provider-account/openai", "name": "m", "integrations": [{"name": "a", "model_id": "A"}]}
    )
    assert account.base_url == "https://api.openai.com/v1"
    assert account.auth_data is None
    assert account.propagate_trace is False
    assert account.integrations[0].model_types == ()


def test_a_self_hosted_account_passes_the_trace_on() -> None:
    """Its servers are one's own; those of others do not get the trace."""
    account = SelfHostedAccount.model_validate(
        {"type": "provider-account/self-hosted-model", "name": "m", "integrations": []}
    )
    assert account.propagate_trace is True


def test_a_self_hosted_model() -> None:
    """Each has its own server and credentials."""
    assert hosted().url == "http://h/v1"
    assert hosted().auth_data is None
    bearer = hosted(auth_data={"type": "bearer-auth", "bearer_token": "env:T"}).auth_data
    assert isinstance(bearer, BearerAuth)
    assert bearer.bearer_token.shown == "env:T"
    basic = hosted(auth_data={"type": "basic-auth", "username": "u", "password": "file:p"}).auth_data
    assert isinstance(basic, BasicAuth)
    assert (basic.username, basic.password.shown) == ("u", "file:p")
    assert hosted(headers={"authorization": "Key env:K"}).headers["authorization"].prefix == "Key "


def test_two_ways_to_sign_in_are_one_too_many() -> None:
    """Which one would be sent?"""
    with pytest.raises(ValidationError, match="auth_data and headers both set Authorization"):
        hosted(auth_data={"type": "bearer-auth", "bearer_token": "env:T"}, headers={"AUTHORIZATION": "env:K"})
