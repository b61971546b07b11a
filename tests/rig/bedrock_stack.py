"""A gateway in front of models of Bedrock, for the conformance tests of what callers make of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import boto3
from anthropic import Anthropic
from botocore import UNSIGNED
from botocore.config import Config
from openai import OpenAI

from tests.rig.bedrock_upstream import KEY_ID, SECRET, SESSION, BedrockUpstream
from tests.rig.gateway_process import Document, GatewayProcess
from tests.rig.manifests import APP_TOKEN, virtual_account
from tests.rig.path_upstream import Asked

TIMEOUT_S: Final = 60.0
BEDROCK_KEYS: Final = {"BEDROCK_ID": KEY_ID, "BEDROCK_SECRET": SECRET, "BEDROCK_SESSION": SESSION}
"""What `bedrock_account` refers to as `env:NAME`."""

_BY_KEYS: Final = {
    "type": "access-key-based",
    "access_key_id": "env:BEDROCK_ID",
    "secret_access_key": "env:BEDROCK_SECRET",
    "session_token": "env:BEDROCK_SESSION",
}


def bedrock_client(url: str, **headers: str) -> Any:
    """AWS's client of Bedrock's runtime, unsigned: a key of the gateway is its bearer token."""
    config = Config(retries={"total_max_attempts": 1}, read_timeout=TIMEOUT_S, signature_version=UNSIGNED)
    client: Any = boto3.client("bedrock-runtime", region_name="us-east-1", endpoint_url=url, config=config)

    def add(request: Any, **_: Any) -> None:
        for name, value in {"Authorization": f"Bearer {APP_TOKEN}", **headers}.items():
            request.headers[name.replace("_", "-")] = value

    client.meta.events.register("before-send.bedrock-runtime.*", add)
    return client


def bedrock_account(
    name: str,
    base_url: str,
    models: Mapping[str, str],
    *,
    auth: dict[str, str] | None = _BY_KEYS,
    types: Sequence[str] = ("chat",),
) -> Document:
    """A `provider-account/aws-bedrock`; *models* has Bedrock's ids by the integrations' names."""
    return {
        "type": "provider-account/aws-bedrock",
        "name": name,
        "region": "us-east-1",
        "base_url": base_url,
        "auth_data": auth,
        "integrations": [
            {
                "type": "integration/model/bedrock",
                "name": model,
                "model_id": model_id,
                "model_types": list(types),
            }
            for model, model_id in models.items()
        ],
    }


@dataclass(frozen=True)
class BedrockStack:
    """What runs, and the official clients at it."""

    gateway: GatewayProcess
    upstream: BedrockUpstream

    @cached_property
    def openai(self) -> OpenAI:
        """OpenAI's client."""
        url = f"http://127.0.0.1:{self.gateway.port}/v1"
        return OpenAI(api_key=APP_TOKEN, base_url=url, max_retries=0, timeout=TIMEOUT_S)

    @cached_property
    def anthropic(self) -> Anthropic:
        """Anthropic's client."""
        url = f"http://127.0.0.1:{self.gateway.port}"
        return Anthropic(api_key=APP_TOKEN, base_url=url, max_retries=0, timeout=TIMEOUT_S)

    @property
    def sent(self) -> Any:
        """The body that Bedrock got last."""
        return self.upstream.asked[-1].json

    @property
    def asked(self) -> Asked:
        """All that Bedrock got, signed for."""
        (asked,) = self.upstream.asked
        assert self.upstream.refused == []
        assert len(self.upstream.scopes) == 1
        return asked


@contextmanager
def running_bedrock_stack(
    folder: Path,
    accounts: Mapping[str, Mapping[str, str]],
    *,
    types: Sequence[str] = ("chat",),
    recordings: Path | None = None,
) -> Iterator[BedrockStack]:
    """Start everything, give it, end it; *accounts* has the models of each."""
    with BedrockUpstream(recordings).running() as upstream:
        documents = [
            *(bedrock_account(name, upstream.base_url, each, types=types) for name, each in accounts.items()),
            virtual_account("app", [APP_TOKEN], ["*"]),
        ]
        with GatewayProcess(folder, documents, workers=1, environment=BEDROCK_KEYS) as gateway:
            yield BedrockStack(gateway, upstream)
