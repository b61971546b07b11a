"""What keeps an account from signing in is told before anyone calls it."""

from __future__ import annotations

import importlib.util
import json
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Final

import pytest

from tests.unit.config.test_google_file import CANARY, KEY_FILE
from tests.unit.config.writing import ACCOUNT, CALLER, check_text, found

VERTEX: Final = """\
type: provider-account/google-vertex
name: v
project_id: p
region: global
integrations: [{name: m, model_id: m}]
"""
BEDROCK: Final = """\
type: provider-account/aws-bedrock
name: b
region: us-east-1
integrations: [{name: m, model_id: m}]
"""
AZURE: Final = """\
type: provider-account/azure-openai
name: a
azure_endpoint: https://a.openai.azure.com
api_version: v1
auth_data: {type: certificate, tenant_id: t, client_id: c, certificate: env:KEY, certificate_thumbprint: p}
integrations: [{name: m, model_id: m, azure_endpoint: https://a.openai.azure.com, api_version: v1}]
"""
API_KEY: Final = "auth_data: {type: api-key, api_key: env:KEY}\n"
KEYED: Final = "auth_data: {type: key-file, key_file_content: 'file:key.json'}\n"


def without(monkeypatch: pytest.MonkeyPatch, library: str) -> None:
    find = importlib.util.find_spec

    def find_others(name: str, package: str | None = None) -> ModuleSpec | None:
        return None if name == library else find(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", find_others)


@pytest.mark.parametrize(
    ("library", "extra", "account"),
    [
        ("google.auth", "google", VERTEX),
        ("botocore", "aws", BEDROCK),
        ("botocore", "aws", BEDROCK.replace("aws-bedrock", "aws-sagemaker")),
        ("cryptography", "azure", AZURE),
    ],
)
def test_a_library_that_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: str, extra: str, account: str
) -> None:
    """A warning that says what to install, or with --strict an error; with it there is nothing to say."""
    environ = {"KEY": "k"}
    texts = (account, CALLER, ACCOUNT)
    assert not any("installed" in line for line in found(check_text(tmp_path, *texts, environ=environ)))
    without(monkeypatch, library)
    checked = check_text(tmp_path, *texts, environ=environ)
    (line,) = [line for line in found(checked) if "installed" in line]
    assert line.startswith("warning 1 type: ")
    assert f"pip install 'gateway[{extra}]'" in line
    assert line.endswith("until then the account is unavailable")
    assert check_text(tmp_path, *texts, environ=environ, strict=True).config is None


def test_accounts_that_need_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key of Bedrock's is sent as it is."""
    without(monkeypatch, "botocore")
    assert not found(check_text(tmp_path, BEDROCK + API_KEY, CALLER, ACCOUNT, environ={"KEY": "k"}))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (json.dumps(KEY_FILE), None),
        (
            CANARY,
            "warning 6 auth_data.key_file_content: what stands there is not JSON. Give it the whole file; ",
        ),
        (json.dumps({**KEY_FILE, "private_key": ""}), "what stands there has no private_key. "),
        (None, "cannot be read"),
    ],
)
def test_a_key_file(tmp_path: Path, content: str | None, expected: str | None) -> None:
    """One that cannot be used is told once, and nothing of it is shown."""
    if content is not None:
        (tmp_path / "key.json").write_text(content)
    lines = found(check_text(tmp_path, VERTEX + KEYED, CALLER, ACCOUNT))
    assert len(lines) == (0 if expected is None else 1)
    assert expected is None or expected in lines[0]
    assert CANARY not in "".join(lines)
