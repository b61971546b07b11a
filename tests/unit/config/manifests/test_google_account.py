"""Accounts of Google."""

from __future__ import annotations

import json
import typing
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError
from truefoundry_sdk.types.vertex_region import VertexRegion

from gateway.config import SecretSource, check
from gateway.config.manifests.google_account import GoogleGeminiAccount, GoogleVertexAccount, Region
from tests.unit.config.test_google_file import CANARY, FEDERATION, KEY_FILE

VERTEX: dict[str, Any] = {
    "type": "provider-account/google-vertex",
    "name": "v",
    "project_id": "my-project",
    "region": "us-central1",
    "integrations": [{"type": "integration/model/vertex", "name": "m", "model_id": "gemini-2.5-pro"}],
}


def test_regions() -> None:
    """All that TrueFoundry lists, and such as are new; nothing that would lead to another host."""
    regions: TypeAdapter[str] = TypeAdapter(Region)
    theirs = [member.value for name, member in VertexRegion.__members__.items() if not name.startswith("_")]
    assert len(theirs) > 40
    for region in theirs:
        assert regions.validate_python(region) == region
    assert regions.validate_python("us-east7") == "us-east7"
    for wrong in ("", "US", "us central1", "us-central1.evil.test/", "evil.test#", "a/b", "-a"):
        with pytest.raises(ValidationError):
            regions.validate_python(wrong)


@pytest.mark.parametrize("project", ["my-project", "example.com:my-project", "123456"])
def test_projects(project: str) -> None:
    """By id, also of a domain, or by number."""
    assert GoogleVertexAccount.model_validate({**VERTEX, "project_id": project}).project_id == project


@pytest.mark.parametrize("project", ["a/b", "a b", "../x", ""])
def test_what_is_no_project(project: str) -> None:
    """It becomes part of a path."""
    with pytest.raises(ValidationError):
        GoogleVertexAccount.model_validate({**VERTEX, "project_id": project})


def test_the_key_of_gemini() -> None:
    """Under the name that it has at TrueFoundry."""
    account = {
        "type": "provider-account/google-gemini",
        "name": "g",
        "auth_data": {"apiKey": "env:K"},
        "integrations": [{"name": "m", "model_id": "gemini-2.5-pro"}],
    }
    read = GoogleGeminiAccount.model_validate(account)
    assert read.auth_data.api_key.shown == "env:K"
    assert read.base_url == "https://generativelanguage.googleapis.com/v1beta"


@pytest.mark.parametrize("kind", ["key-file", "workload-identity-federation-file"])
def test_a_key_file_in_the_manifest(tmp_path: Path, kind: str) -> None:
    """Loads with a warning that shows nothing of it, and a reference without one."""
    content = KEY_FILE if kind == "key-file" else FEDERATION
    file = tmp_path / "account.json"
    for written, count in ((content, 1), (json.dumps(content, indent=1), 1), ("env:KEY", 0)):
        auth = {"type": kind, "key_file_content": written}
        file.write_text(json.dumps({**VERTEX, "auth_data": auth}))
        checked = check.check(file, strict=False, secrets=SecretSource({"KEY": json.dumps(content)}))
        assert checked.config is not None
        said = [problem for problem in checked.problems if problem.path.startswith("auth_data")]
        assert len(said) == count, checked.problems
        assert CANARY not in f"{checked.problems} {checked.config.provider_accounts}"
        assert all("stands in the manifest" in problem.message for problem in said)


def test_ways_to_sign_in() -> None:
    """None is a way as well: the machine's own."""
    assert GoogleVertexAccount.model_validate(VERTEX).auth_data is None
    with pytest.raises(ValidationError):
        GoogleVertexAccount.model_validate({**VERTEX, "auth_data": {"type": "api-key", "apiKey": "env:K"}})
    kinds = typing.get_args(GoogleVertexAccount.model_fields["auth_data"].annotation)
    assert len(kinds) == 2
