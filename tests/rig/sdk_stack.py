"""What the conformance and golden tests run on.

One gateway in front of real and mock model servers, its spans passing through a real collector to a sink:

    openai, anthropic SDK -> gateway -> llmock | llama.cpp | fake upstreams of both dialects
                      └ OTLP -> rotel -> OtlpSink
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from anthropic import Anthropic, AsyncAnthropic
from openai import AsyncOpenAI, OpenAI

from tests.rig import anthropic_behaviours
from tests.rig.behaviours import BY_MODEL, normal
from tests.rig.fake_upstream import ClosedPort, FakeUpstream
from tests.rig.gateway_process import GatewayProcess
from tests.rig.llama_server import MODEL_ALIAS, LlamaServer
from tests.rig.llmock_server import LlmockServer
from tests.rig.manifests import (
    APP_TOKEN,
    ENVIRONMENT,
    anthropic_account,
    openai_account,
    self_hosted_account,
    standard_documents,
    virtual_account,
)
from tests.rig.otlp_sink import OtlpSink
from tests.rig.requires import absent
from tests.rig.rotel_collector import RotelCollector

SDK_TIMEOUT_S = 60.0
LLMOCK_MODEL = "llmock/gpt-4o"
LLAMA_MODEL = f"llama/{MODEL_ALIAS}"


@dataclass(frozen=True)
class SdkStack:
    """All that runs.

    Where a tool is absent its account leads to a closed port, and the tests that need it are skipped.
    """

    gateway: GatewayProcess
    upstream: FakeUpstream
    claude: FakeUpstream
    sink: OtlpSink
    llmock: LlmockServer | None

    def client(self, *, token: str = APP_TOKEN, prefix: str = "/v1") -> OpenAI:
        """The official client, as an application makes it."""
        return OpenAI(base_url=self._url(prefix), api_key=token, max_retries=0, timeout=SDK_TIMEOUT_S)

    def async_client(self, *, token: str = APP_TOKEN, prefix: str = "/v1") -> AsyncOpenAI:
        """The asynchronous one."""
        return AsyncOpenAI(base_url=self._url(prefix), api_key=token, max_retries=0, timeout=SDK_TIMEOUT_S)

    def anthropic(self, *, token: str = APP_TOKEN, prefix: str = "") -> Anthropic:
        """Anthropic's official client; it adds `/v1` by itself."""
        return Anthropic(base_url=self._url(prefix), api_key=token, max_retries=0, timeout=SDK_TIMEOUT_S)

    def async_anthropic(self, *, token: str = APP_TOKEN, prefix: str = "") -> AsyncAnthropic:
        """The asynchronous one."""
        return AsyncAnthropic(base_url=self._url(prefix), api_key=token, max_retries=0, timeout=SDK_TIMEOUT_S)

    def _url(self, prefix: str) -> str:
        return f"http://127.0.0.1:{self.gateway.port}{prefix}"


@contextmanager
def running_stack(folder: Path) -> Iterator[SdkStack]:
    """Start everything, give it, end it."""
    with ExitStack() as stack:
        closed = ClosedPort()
        stack.callback(closed.close)
        nowhere = f"http://127.0.0.1:{closed.port}/v1"
        upstream = stack.enter_context(FakeUpstream(BY_MODEL, normal))
        claude_models = anthropic_behaviours.BY_MODEL
        claude = stack.enter_context(FakeUpstream(claude_models, claude_models["normal"]))
        sink = stack.enter_context(OtlpSink())
        traces_url = sink.traces_url
        if not absent(["rotel"]):
            collector = RotelCollector(folder, f"http://127.0.0.1:{sink.port}")
            traces_url = stack.enter_context(collector).traces_url
        llmock = None if absent(["llmock"]) else stack.enter_context(LlmockServer())
        llama = None if absent(["xllamacpp"]) else stack.enter_context(LlamaServer(folder))
        documents = [
            *standard_documents(upstream.base_url, closed.port, traces_url),
            openai_account("llmock", llmock.base_url if llmock else nowhere, ["gpt-4o"]),
            anthropic_account("claude", claude.base_url, claude_models),
            self_hosted_account("llama", llama.base_url if llama else nowhere, [MODEL_ALIAS]),
            virtual_account("sdk", [APP_TOKEN], ["*"]),
            {
                "type": "gateway-global-settings",
                "name": "global",
                "retry_settings": {"attempts": 1, "delay": 1, "on_status_codes": ["502"]},
            },
        ]
        # One caller per token: `sdk` takes the place of the standard `app`.
        documents = [document for document in documents if document["name"] != "app"]
        gateway = stack.enter_context(
            GatewayProcess(folder / "gateway", documents, workers=1, environment=ENVIRONMENT)
        )
        yield SdkStack(gateway, upstream, claude, sink, llmock)
