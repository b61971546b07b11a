"""Credential files are judged before they are used, and nothing of them is shown."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.config import SecretMissing
from gateway.config.google_file import KIND_OF, Kind, read_credential_file

CANARY = "canary-0001"
KEY_FILE = {"type": "service_account", "client_email": "e", "private_key": CANARY, "token_uri": "u"}
FEDERATION = {
    "type": "external_account",
    "audience": "a",
    "subject_token_type": "t",
    "token_url": "u",
    "credential_source": {"file": CANARY},
}


@pytest.mark.parametrize(
    ("kind", "content"), [("service_account", KEY_FILE), ("external_account", FEDERATION)]
)
def test_right(kind: Kind, content: dict[str, Any]) -> None:
    """All members are given back."""
    assert read_credential_file(json.dumps(content), kind) == content


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        ("service_account", CANARY, "is not JSON. Give it the whole file"),
        ("service_account", "[" * 100_000, "is not JSON. Give it the whole file"),
        ("service_account", f'["{CANARY}"]', "has not the type service_account"),
        ("service_account", json.dumps(FEDERATION), "auth_data.type workload-identity-federation-file"),
        ("external_account", json.dumps(KEY_FILE), "auth_data.type key-file"),
        ("service_account", json.dumps({**KEY_FILE, "token_uri": ""}), "has no token_uri"),
        ("external_account", json.dumps({**FEDERATION, "audience": None}), "has no audience"),
    ],
)
def test_wrong(kind: Kind, text: str, expected: str) -> None:
    """What is wrong and what to do, without a word of the file."""
    with pytest.raises(SecretMissing) as caught:
        read_credential_file(text, kind)
    assert expected in str(caught.value)
    assert CANARY not in str(caught.value)


def test_every_way_to_sign_in_by_a_file_has_a_kind() -> None:
    """So a new one is not forgotten here."""
    assert set(KIND_OF) == {"key-file", "workload-identity-federation-file"}
