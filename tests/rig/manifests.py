"""Configuration documents and calls that the black-box tests share.

Every credential here is a canary: it may appear where it is meant for and nowhere else.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from tests.rig.behaviours import BY_MODEL
from tests.rig.gateway_process import Document, GatewayProcess
from tests.rig.raw_http import Reply

PROVIDER_KEY: Final = "sk-canary-provider-key-0001"
APP_TOKEN: Final = "canary-app-token-0002"
NARROW_TOKEN: Final = "canary-narrow-token-0003"
EXPIRED_TOKEN: Final = "canary-expired-token-0004"
HASHED_TOKEN: Final = "canary-hashed-token-0005"
SINK_KEY: Final = "canary-sink-key-0006"
PROMPT: Final = "canary-prompt-text"
CREDENTIALS: Final = (PROVIDER_KEY, APP_TOKEN, NARROW_TOKEN, EXPIRED_TOKEN, HASHED_TOKEN, SINK_KEY)
# What the manifests refer to as `env:NAME`.
ENVIRONMENT: Final = {
    "FAKE_KEY": PROVIDER_KEY,
    "APP_TOKEN": APP_TOKEN,
    "NARROW_TOKEN": NARROW_TOKEN,
    "EXPIRED_TOKEN": EXPIRED_TOKEN,
    "SINK_AUTHORIZATION": f"ApiKey {SINK_KEY}",
}
ALL_TYPES: Final = ["chat", "completion", "embedding"]
# Beside the behaviours: models for a test's own queue (`FakeUpstream.play`).
SCRIPTED: Final = "scripted"


def openai_account(
    name: str, base_url: str, models: Iterable[str], *, key: str = "env:FAKE_KEY", **more: Any
) -> Document:
    """A `provider-account/openai` whose integrations are named as their models."""
    return {
        "type": "provider-account/openai",
        "name": name,
        "base_url": base_url,
        "auth_data": {"type": "api-key", "api_key": key},
        "integrations": [
            {"type": "integration/model/openai", "name": model, "model_id": model, "model_types": ALL_TYPES}
            for model in models
        ],
        **more,
    }


def gemini_account(name: str, base_url: str, models: Mapping[str, str], **more: Any) -> Document:
    """A `provider-account/google-gemini`; *models* has Google's ids by the integrations' names."""
    return {
        "type": "provider-account/google-gemini",
        "name": name,
        "base_url": base_url,
        "auth_data": {"type": "api-key", "apiKey": "env:FAKE_KEY"},
        "integrations": [
            {
                "type": "integration/model/gemini",
                "name": model,
                "model_id": model_id,
                "model_types": ["chat", "embedding"],
            }
            for model, model_id in models.items()
        ],
        **more,
    }


def vertex_account(name: str, base_url: str, models: Mapping[str, str], auth: Document) -> Document:
    """A `provider-account/google-vertex`; *models* likewise."""
    return {
        "type": "provider-account/google-vertex",
        "name": name,
        "project_id": "proj",
        "region": "europe-west4",
        "base_url": base_url,
        "auth_data": auth,
        "integrations": [
            {"type": "integration/model/vertex", "name": model, "model_id": model_id, "model_types": ["chat"]}
            for model, model_id in models.items()
        ],
    }


def anthropic_account(name: str, base_url: str, models: Iterable[str], **more: Any) -> Document:
    """A `provider-account/anthropic` whose integrations are named as their models."""
    return {
        "type": "provider-account/anthropic",
        "name": name,
        "base_url": base_url,
        "auth_data": {"type": "api-key", "api_key": "env:FAKE_KEY"},
        "integrations": [
            {"type": "integration/model/anthropic", "name": model, "model_id": model, "model_types": ["chat"]}
            for model in models
        ],
        **more,
    }


def cohere_account(name: str, base_url: str, models: Iterable[str], **more: Any) -> Document:
    """A `provider-account/cohere` whose integrations are named as their models."""
    return {
        "type": "provider-account/cohere",
        "name": name,
        "base_url": base_url,
        "auth_data": {"type": "api-key", "api_key": "env:FAKE_KEY"},
        "integrations": [
            {"type": "integration/model/cohere", "name": model, "model_id": model, "model_types": ["chat"]}
            for model in models
        ],
        **more,
    }


def self_hosted_account(name: str, url: str, models: Iterable[str], **more: Any) -> Document:
    """A `provider-account/self-hosted-model`; its servers want no credential."""
    return {
        "type": "provider-account/self-hosted-model",
        "name": name,
        "integrations": [
            {
                "type": "integration/model/self-hosted-model",
                "name": model,
                "hosted_model_name": model,
                "url": url,
                "model_server": "openai-compatible",
                "model_types": ALL_TYPES,
            }
            for model in models
        ],
        **more,
    }


def virtual_account(name: str, tokens: Sequence[str], models: Sequence[str], **more: Any) -> Document:
    """A `virtual-account`."""
    return {
        "type": "virtual-account", "name": name, "tokens": list(tokens), "models": list(models),
        "permissions": [], **more,
    }  # fmt: skip


def in_turn(*targets: str, **more: Any) -> Document:
    """A `routing_config` that tries *targets* in this order, each once; *more* is of each."""
    once = {"retry_config": {"attempts": 0}, **more}
    return by_priority([{"target": target, **once} for target in targets])


def by_priority(targets: Iterable[Document]) -> Document:
    """A `routing_config` that tries *targets* in this order, each with what it says itself."""
    return {
        "type": "priority-based-routing",
        "load_balance_targets": [{"priority": at, **target} for at, target in enumerate(targets)],
    }


def virtual_models(
    name: str, routes: Mapping[str, Document], other_names: Mapping[str, Document] | None = None
) -> Document:
    """A `provider-account/virtual-model`: each name with its `routing_config`, and its slug and aliases."""
    return {
        "type": "provider-account/virtual-model",
        "name": name,
        "integrations": [
            {
                "type": "integration/model/virtual",
                "name": model,
                "model_types": ["chat"],
                "routing_config": route,
                **(other_names or {}).get(model, {}),
            }
            for model, route in routes.items()
        ],
    }


def otel_config(endpoint: str, *, name: str = "sink", **more: Any) -> Document:
    """A `gateway-otel-config` that sends traces to *endpoint*."""
    return {
        "type": "gateway-otel-config",
        "name": name,
        "otel_traces_exporter_config": {
            "type": "http",
            "endpoint": endpoint,
            "encoding": "proto",
            "headers": {"Authorization": "env:SINK_AUTHORIZATION"},
            **more,
        },
    }


def standard_documents(upstream_url: str, closed_port: int, sink_url: str | None = None) -> list[Document]:
    """What most tests run on: an account for the fake upstream, one that refuses, callers of every kind."""
    hashed = hashlib.sha256(HASHED_TOKEN.encode()).hexdigest()
    documents = [
        openai_account("fake", upstream_url, [*BY_MODEL, SCRIPTED]),
        self_hosted_account("lab", upstream_url, ["normal", SCRIPTED]),
        openai_account("down", f"http://127.0.0.1:{closed_port}/v1", ["refused"]),
        openai_account("keyless", upstream_url, ["normal"], key="env:NOT_SET_ANYWHERE"),
        virtual_account("app", ["env:APP_TOKEN"], ["fake/*", "lab/*", "down/*", "keyless/*"]),
        virtual_account("narrow", ["env:NARROW_TOKEN"], ["fake/normal"]),
        virtual_account("expired", ["env:EXPIRED_TOKEN"], ["*"], expiration_date="2020-01-31"),
        virtual_account("hashed", [f"sha256:{hashed}"], ["fake/normal"]),
    ]
    if sink_url is not None:
        documents.append(otel_config(sink_url))
    return documents


def bearer(token: str = APP_TOKEN) -> tuple[str, str]:
    """The header a client authenticates with."""
    return ("authorization", f"Bearer {token}")


def chat_body(model: str, *, stream: bool = False, **more: Any) -> bytes:
    """A chat request."""
    body: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": PROMPT}]}
    if stream:
        body["stream"] = True
    return json.dumps({**body, **more}).encode()


def chat(
    gateway: GatewayProcess,
    model: str,
    *,
    stream: bool = False,
    headers: Iterable[tuple[str, str]] = (),
    token: str = APP_TOKEN,
    **more: Any,
) -> Reply:
    """One chat call on a connection of its own, read to its end."""
    with gateway.connect() as connection:
        return connection.exchange(
            "POST",
            "/v1/chat/completions",
            [bearer(token), ("content-type", "application/json"), *headers],
            chat_body(model, stream=stream, **more),
        )


def trace_id_of(reply: Reply) -> str:
    """The trace a reply belongs to, from its `traceparent`."""
    traceparent = reply.header("traceparent")
    assert traceparent is not None, f"no traceparent in {reply.headers}"
    return traceparent.split("-")[1]
