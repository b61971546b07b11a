"""Targets of Google's accounts."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from gateway.model import GoogleTokenRequest, Target
from gateway.providers.google import WITHOUT_LIBRARY, host_of
from gateway.providers.headers import forwarded_headers
from tests.unit.doubles import FakeHeaders
from tests.unit.providers.accounts import targets_of

CANARY = "canary-private-key"
KEY_FILE = {
    "type": "service_account",
    "client_email": "app@project.iam.gserviceaccount.com",
    "private_key": CANARY,
    "token_uri": "https://oauth2.googleapis.com/token",
}
FEDERATION_FILE = {
    "type": "external_account",
    "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/x",
    "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
    "token_url": "https://sts.googleapis.com/v1/token",
    "credential_source": {"file": "/var/run/token"},
}
LOCATION = "https://us-central1-aiplatform.googleapis.com/v1/projects/proj/locations/us-central1"


def gemini(folder: Path, *, model_id: str = "gemini-2.5-pro", **more: Any) -> Target:
    manifest = {
        "type": "provider-account/google-gemini",
        "name": "g",
        "auth_data": {"type": "api-key", "apiKey": "env:KEY"},
        "integrations": [{"name": "m", "model_id": model_id, "model_types": ["chat"]}],
        **more,
    }
    (target,) = targets_of(folder, manifest, KEY="g-key")
    return target


def vertex(
    folder: Path, model_id: str = "gemini-2.5-pro", *, content: object = KEY_FILE, region: str | None = None,
    kind: str = "key-file", **more: Any,
) -> Target:  # fmt: skip
    manifest = {
        "type": "provider-account/google-vertex",
        "name": "v",
        "project_id": "proj",
        "region": "us-central1",
        "auth_data": {"type": kind, "key_file_content": "env:KEY"},
        "integrations": [{"name": "m", "model_id": model_id, "model_types": ["chat"], "region": region}],
        **more,
    }
    text = content if isinstance(content, str) else json.dumps(content, indent=1)
    (target,) = targets_of(folder, manifest, **({"KEY": text} if text else {}))
    return target


def test_gemini(tmp_path: Path) -> None:
    """The key goes in Google's own header, and models are below the version."""
    target = gemini(tmp_path)
    assert (target.provider, target.peer, target.dialect) == ("gcp.gemini", "gcp.gemini", "gemini")
    assert target.base_url == "https://generativelanguage.googleapis.com/v1beta"
    assert target.account_url == "https://generativelanguage.googleapis.com"
    assert target.headers == (("x-goog-api-key", "g-key"),)
    assert b"x-goog-api-key: g-key\r\n" in target.lines.whole
    assert "g-key" not in repr(target)
    assert gemini(tmp_path, model_id="models/gemini-2.5-pro").model_id == "gemini-2.5-pro"


@pytest.mark.parametrize(
    ("region", "place"),
    [
        ("europe-west4", "eu-discoveryengine.googleapis.com/v1/projects/proj/locations/eu"),
        ("eu", "eu-discoveryengine.googleapis.com/v1/projects/proj/locations/eu"),
        (None, "us-discoveryengine.googleapis.com/v1/projects/proj/locations/us"),
        ("global", "discoveryengine.googleapis.com/v1/projects/proj/locations/global"),
        ("asia-south1", "discoveryengine.googleapis.com/v1/projects/proj/locations/global"),
    ],
)
def test_what_ranks(tmp_path: Path, region: str | None, place: str) -> None:
    """At Vertex AI Search's host, in the place of several regions that its own is in, else anywhere."""
    target = vertex(tmp_path, "semantic-ranker-default-004", region=region)
    assert target.base_url == f"https://{place}/rankingConfigs/default_ranking_config"
    assert (target.dialect, target.rerank_api) == ("gemini", "vertex")
    assert target.model_id == "semantic-ranker-default-004"
    assert target.account_url == f"https://{host_of(region or 'us-central1')}"
    at_home = vertex(tmp_path, "semantic-ranker-default-004", region=region, base_url="http://127.0.0.1:9")
    assert at_home.base_url.startswith("http://127.0.0.1:9/v1/projects/proj/locations/")
    assert vertex(tmp_path).rerank_api == ""


@pytest.mark.parametrize(
    ("written", "base_url"),
    [
        ("http://127.0.0.1:9", "http://127.0.0.1:9/v1beta"),
        ("http://127.0.0.1:9/", "http://127.0.0.1:9/v1beta"),
        ("http://127.0.0.1:9/v1beta", "http://127.0.0.1:9/v1beta"),
        ("http://127.0.0.1:9/x/v1", "http://127.0.0.1:9/x/v1"),
        ("http://127.0.0.1:9/v1alpha", "http://127.0.0.1:9/v1alpha"),
        ("http://127.0.0.1:9/very1", "http://127.0.0.1:9/very1/v1beta"),
    ],
)
def test_versions(tmp_path: Path, written: str, base_url: str) -> None:
    """One that is written stays."""
    assert gemini(tmp_path, base_url=written).base_url == base_url


@pytest.mark.parametrize(
    ("model_id", "dialect", "base_url", "model", "is_predicted"),
    [
        ("gemini-2.5-pro", "gemini", f"{LOCATION}/publishers/google", "gemini-2.5-pro", False),
        ("google/gemini-2.5-pro", "gemini", f"{LOCATION}/publishers/google", "gemini-2.5-pro", False),
        ("models/gemini-2.5-pro", "gemini", f"{LOCATION}/publishers/google", "gemini-2.5-pro", False),
        ("publishers/google/models/g", "gemini", f"{LOCATION}/publishers/google", "g", False),
        ("anthropic/claude-x@1", "anthropic", f"{LOCATION}/publishers/anthropic", "claude-x@1", True),
        ("claude-x@1", "anthropic", f"{LOCATION}/publishers/anthropic", "claude-x@1", True),
        (
            "projects/other/locations/eu/publishers/anthropic/models/claude-x@1",
            "anthropic",
            "https://aiplatform.eu.rep.googleapis.com/v1/projects/other/locations/eu/publishers/anthropic",
            "claude-x@1",
            True,
        ),
        ("mistralai/mistral-x", "openai", f"{LOCATION}/publishers/mistralai", "mistral-x", True),
        ("meta/llama-x", "openai", f"{LOCATION}/endpoints/openapi", "meta/llama-x", False),
        ("publishers/meta/models/llama-x", "openai", f"{LOCATION}/endpoints/openapi", "meta/llama-x", False),
        ("endpoints/123", "openai", f"{LOCATION}/endpoints/123", "123", False),
        ("google/endpoints/123", "gemini", LOCATION, "endpoints/123", False),
        (
            "google/projects/other/locations/us-east1/endpoints/123",
            "gemini",
            "https://us-east1-aiplatform.googleapis.com/v1/projects/other/locations/us-east1",
            "endpoints/123",
            False,
        ),
        (
            "projects/other/locations/us-east1/endpoints/123",
            "openai",
            "https://us-east1-aiplatform.googleapis.com/v1/projects/other/locations/us-east1/endpoints/123",
            "123",
            False,
        ),
    ],
)
def test_where_a_model_is(
    tmp_path: Path, model_id: str, dialect: str, base_url: str, model: str, *, is_predicted: bool
) -> None:
    """By its publisher, however much of its name is written."""
    target = vertex(tmp_path, model_id)
    assert (target.dialect, target.base_url, target.model_id) == (dialect, base_url, model)
    assert target.is_predicted == is_predicted
    assert (target.provider, target.peer, target.missing_secret) == ("gcp.vertex_ai", "gcp.vertex_ai", "")


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("global", "aiplatform.googleapis.com"),
        ("us", "aiplatform.us.rep.googleapis.com"),
        ("eu", "aiplatform.eu.rep.googleapis.com"),
        ("europe-west4", "europe-west4-aiplatform.googleapis.com"),
    ],
)
def test_hosts(tmp_path: Path, region: str, host: str) -> None:
    """A model's own region wins over the account's."""
    assert host_of(region) == host
    target = vertex(tmp_path, region=region)
    assert target.base_url == f"https://{host}/v1/projects/proj/locations/{region}/publishers/google"
    assert (target.account_url, target.address) == (f"https://{host}", host)


def test_a_private_endpoint(tmp_path: Path) -> None:
    """Takes the host's place, and the path stays."""
    for written in ("http://10.0.0.9:8080", "http://10.0.0.9:8080/v1/"):
        target = vertex(tmp_path, base_url=written)
        assert (
            target.base_url == "http://10.0.0.9:8080/v1/projects/proj/locations/us-central1/publishers/google"
        )
    assert "/v1beta1/projects/" in vertex(tmp_path, base_url="http://10.0.0.9/v1beta1").base_url


def test_tokens(tmp_path: Path) -> None:
    """Asked for with the file as it is, which nothing shows; without one, as the machine is signed in."""
    target = vertex(tmp_path)
    assert target.token == GoogleTokenRequest(
        "service_account", json.dumps(KEY_FILE, indent=1), (CANARY,), KEY_FILE["client_email"]
    )
    assert target.headers == ()
    assert CANARY not in repr(target)
    federated = vertex(tmp_path, content=FEDERATION_FILE, kind="workload-identity-federation-file").token
    assert isinstance(federated, GoogleTokenRequest)
    assert (federated.kind, federated.secrets) == ("external_account", ())
    assert vertex(tmp_path, auth_data=None).token == GoogleTokenRequest("default")


@pytest.mark.parametrize(
    ("audience", "identity"),
    [("//iam/x", "//iam/x"), ("a\nb", ""), ("a" * 257, ""), (7, "")],
    ids=["one line", "two lines", "too long", "no text"],
)
def test_names_for_the_log(tmp_path: Path, audience: object, identity: str) -> None:
    """Only a line of text of some length is one."""
    content = {**FEDERATION_FILE, "audience": audience}
    token = vertex(tmp_path, content=content, kind="workload-identity-federation-file").token
    assert isinstance(token, GoogleTokenRequest)
    assert token.identity == identity


@pytest.mark.parametrize(
    ("kind", "content", "reason"),
    [
        ("key-file", "", "KEY"),
        ("key-file", f'{{"private_key": "{CANARY}"', "is not JSON"),
        ("key-file", "[" * 100_000, "is not JSON"),
        ("key-file", [CANARY], "has not the type service_account"),
        ("key-file", FEDERATION_FILE, "auth_data.type workload-identity-federation-file"),
        ("workload-identity-federation-file", KEY_FILE, "auth_data.type key-file"),
        ("key-file", {**KEY_FILE, "client_email": ""}, "has no client_email"),
        ("workload-identity-federation-file", {**FEDERATION_FILE, "token_url": None}, "has no token_url"),
    ],
)
def test_files_that_are_wrong(tmp_path: Path, kind: str, content: object, reason: str) -> None:
    """Make the account unavailable, with a reason that shows nothing of them."""
    target = vertex(tmp_path, content=content, kind=kind)
    assert target.token is None
    assert reason in target.missing_secret
    assert CANARY not in target.missing_secret


def test_without_the_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason names the extra, and other accounts do without it."""
    monkeypatch.setitem(sys.modules, "google.auth", None)
    assert vertex(tmp_path).missing_secret == WITHOUT_LIBRARY
    assert gemini(tmp_path).missing_secret == ""
    monkeypatch.setitem(sys.modules, "google", None)
    assert vertex(tmp_path).missing_secret == WITHOUT_LIBRARY


def test_headers_of_callers(tmp_path: Path) -> None:
    """Claude gets its betas and no version, which is in the body; other models get none of Anthropic's."""
    headers = FakeHeaders(
        [
            ("anthropic-beta", "a,b"),
            ("anthropic-version", "2023-06-01"),
            ("openai-beta", "c"),
            ("x-api-key", "k"),
        ]
    )
    assert forwarded_headers(vertex(tmp_path, "claude-x@1"), headers) == [("anthropic-beta", "a,b")]
    betas = "claude-code-20250219,prompt-caching-scope-2026-01-05,advanced-tool-use-2025-11-20"
    headers = FakeHeaders([("anthropic-beta", betas), ("openai-beta", "c")])
    assert forwarded_headers(vertex(tmp_path, "claude-x@1"), headers) == [
        ("anthropic-beta", "claude-code-20250219,tool-search-tool-2025-10-19")
    ]
    assert forwarded_headers(vertex(tmp_path), headers) == []
    assert forwarded_headers(gemini(tmp_path), headers) == []


def test_headers_of_google(tmp_path: Path) -> None:
    """How long it may take, and at Vertex by which tier; no other provider hears of either."""
    timeout, tier = ("x-server-timeout", "900"), ("x-vertex-ai-llm-shared-request-type", "flex")
    headers = FakeHeaders([timeout, tier, ("x-goog-user-project", "p")])
    assert forwarded_headers(vertex(tmp_path), headers) == [timeout, tier]
    assert forwarded_headers(gemini(tmp_path), headers) == [timeout]
    assert forwarded_headers(vertex(tmp_path, "claude-x@1"), headers) == []


def test_overloaded_is_unavailable(tmp_path: Path) -> None:
    """Anthropic's own status, where its models are."""
    assert 529 in vertex(tmp_path, "claude-x@1").retry.on_status
    assert 529 not in vertex(tmp_path).retry.on_status
