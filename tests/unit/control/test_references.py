"""What a viewer may not ask about."""

from __future__ import annotations

import pytest

from gateway.control.json_body import BodyRefused
from gateway.control.references import refuse_new_references

KNOWN = [
    {"auth_data": {"api_key": "env:OPENAI_API_KEY"}, "headers": {"authorization": "ApiKey file:secrets/k"}},
    {"tls": {"ca_file": "/etc/ca.pem"}},
]


@pytest.mark.parametrize(
    "asked",
    [
        {"api_key": "env:OPENAI_API_KEY"},
        "a: ApiKey file:secrets/k\n",
        {"tls": [{"ca_file": "/etc/ca.pem"}]},
        "name: x\nlimit_to: 5\n",
        "a: [1, null, true]\n---\nb: 2\n",
        "not: [yaml",
        None,
    ],
)
def test_what_is_configured_may_be_asked(asked: object) -> None:
    """And what is no reference."""
    refuse_new_references(asked, KNOWN)


@pytest.mark.parametrize(
    "asked",
    [
        {"api_key": "env:AWS_SECRET_ACCESS_KEY"},
        {"deep": [{"in": "Bearer file:/etc/shadow"}]},
        "a: tfy-secret://a:b:c\n",
        "name: x\n---\na: file:other\n",
        {"tls": {"ca_file": "/root/.ssh/id_ed25519"}},
        {"tls": {"key_file": ["/a"]}},
        {"api_key": "ApiKey env:OPENAI_API_KEY"},
    ],
)
def test_what_is_new_may_not(asked: object) -> None:
    """Or a check would say what there is on the host."""
    with pytest.raises(BodyRefused, match="only an admin") as refused:
        refuse_new_references(asked, KNOWN)
    assert (refused.value.status, refused.value.code) == (403, "admin_only")
