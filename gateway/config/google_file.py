"""Credential files of Google Cloud, as far as it can be told whether one is right before it is used.

Forms: https://cloud.google.com/iam/docs/keys-create-delete and
https://cloud.google.com/iam/docs/workload-identity-federation
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, Literal

from gateway.config.secrets import SecretMissing

Kind = Literal["service_account", "external_account"]
"""The `type` that a file has."""

KIND_OF: Final[Mapping[str, Kind]] = {
    "key-file": "service_account",
    "workload-identity-federation-file": "external_account",
}
"""By `auth_data.type`."""

_NEEDED: Final = {
    "service_account": ("client_email", "private_key", "token_uri"),
    "external_account": ("audience", "subject_token_type", "token_url", "credential_source"),
}


def read_credential_file(text: str, kind: Kind) -> dict[str, Any]:
    """The members of a file of *kind*.

    Raises:
        SecretMissing: It cannot be used as one; what is said quotes nothing of it, and starts with a verb.
    """
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        # Without `from`: the foreign error carries the text.
        raise SecretMissing("is not JSON", "Give it the whole file") from None
    if not isinstance(content, dict) or content.get("type") != kind:
        other = next(name for name, its in KIND_OF.items() if its != kind)
        fix = f"Give it such a file; one of another kind has auth_data.type {other}"
        raise SecretMissing(f"has not the type {kind}", fix)
    for name in _NEEDED[kind]:
        if not content.get(name):
            raise SecretMissing(f"has no {name}", "Give it the whole file")
    return content
