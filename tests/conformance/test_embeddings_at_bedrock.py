"""OpenAI's SDK has texts embedded by models of Bedrock through a real gateway."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import openai
import pytest
from openai import OpenAI

from tests.conformance.test_boto3 import bedrock_account
from tests.rig.bedrock_upstream import KEY_ID, SECRET, SESSION, VECTOR, BedrockUpstream
from tests.rig.gateway_process import GatewayProcess
from tests.rig.manifests import APP_TOKEN, virtual_account
from tests.rig.path_upstream import Asked

MODELS: Final = {
    "titan": "amazon.titan-embed-text-v2:0",
    "cohere": "cohere.embed-v4:0",
    "nova": "amazon.nova-2-multimodal-embeddings-v1:0",
    "titan-embed-text-v2-busy": "throttled",
    "claude": "anthropic.claude-sonnet-4-5",
}


@dataclass(frozen=True)
class Stack:
    """All that runs."""

    gateway: GatewayProcess
    upstream: BedrockUpstream

    @cached_property
    def openai(self) -> OpenAI:
        """OpenAI's client."""
        url = f"http://127.0.0.1:{self.gateway.port}/v1"
        return OpenAI(api_key=APP_TOKEN, base_url=url, max_retries=0, timeout=30)

    @property
    def asked(self) -> Asked:
        """What Bedrock got, signed for."""
        (asked,) = self.upstream.asked
        assert self.upstream.refused == []
        assert len(self.upstream.scopes) == 1
        return asked


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("embeddings")
    with ExitStack() as running:
        upstream = running.enter_context(BedrockUpstream().running())
        account = bedrock_account("aws", upstream.base_url, MODELS)
        for integration in account["integrations"]:
            integration["model_types"] = ["embedding"]
        documents = [account, virtual_account("app", [APP_TOKEN], ["*"])]
        environment = {"BEDROCK_ID": KEY_ID, "BEDROCK_SECRET": SECRET, "BEDROCK_SESSION": SESSION}
        gateway = running.enter_context(GatewayProcess(folder, documents, workers=1, environment=environment))
        yield Stack(gateway, upstream)


@pytest.fixture
def stack(running: Stack) -> Stack:
    """With nothing noted yet."""
    running.upstream.forget()
    return running


@pytest.mark.parametrize(("name", "tokens"), [("titan", 5), ("cohere", 7), ("nova", 7)])
@pytest.mark.parametrize("form", [{}, {"encoding_format": "float"}], ids=["packed", "numbers"])
def test_a_text(stack: Stack, name: str, tokens: int, form: dict[str, Any]) -> None:
    """Packed, as the SDK asks for it by itself, or not; tokens as the body counts them, else the headers."""
    found = stack.openai.embeddings.create(model=f"aws/{name}", input="A red fox.", **form)
    assert [(each.index, each.embedding) for each in found.data] == [(0, VECTOR)]
    assert (found.model, found.usage.prompt_tokens, found.usage.total_tokens) == (
        f"aws/{name}",
        tokens,
        tokens,
    )
    assert stack.asked.path == f"/model/{MODELS[name].replace(':', '%3A')}/invoke"


def test_several_texts(stack: Stack) -> None:
    """All in one call, in order; how long the vectors are and what they are for is told too."""
    found = stack.openai.embeddings.create(
        model="aws/cohere", input=["a", "b"], dimensions=256, extra_body={"input_type": "search_query"}
    )
    assert [each.index for each in found.data] == [0, 1]
    assert stack.asked.json == {
        "texts": ["a", "b"],
        "input_type": "search_query",
        "embedding_types": ["float"],
        "output_dimension": 256,
    }


def test_what_a_model_cannot_do(stack: Stack) -> None:
    """Is told before Bedrock is asked."""
    with pytest.raises(openai.BadRequestError, match="one text a call, and this one has 2") as caught:
        stack.openai.embeddings.create(model="aws/titan", input=["a", "b"])
    assert (caught.value.code, caught.value.param) == ("unsupported_parameter", "input")
    with pytest.raises(openai.BadRequestError, match="not known to embed"):
        stack.openai.embeddings.create(model="aws/claude", input="a")
    assert stack.upstream.asked == []


def test_errors(stack: Stack) -> None:
    """Bedrock's own, as the SDK's."""
    with pytest.raises(openai.RateLimitError, match="please wait") as caught:
        stack.openai.embeddings.create(model="aws/titan-embed-text-v2-busy", input="a")
    assert caught.value.code == "rate_limit_exceeded"


def test_what_is_left_out(stack: Stack) -> None:
    """Is named beside the answer."""
    told = stack.openai.embeddings.with_raw_response.create(model="aws/titan", input="a", user="u")
    assert told.headers["x-tfy-dropped-params"] == "user"
    assert stack.asked.json == {"inputText": "a"}


@pytest.mark.parametrize(
    ("name", "tokens", "cost"), [("titan", 5, pytest.approx(5 * 0.02 / 1e6)), ("cohere", 7, None)]
)
def test_the_trace(stack: Stack, name: str, tokens: int, cost: Any) -> None:
    """What was used, and what it costs where the list of prices has the model."""
    trace_id = name[0].encode().hex() * 16
    stack.openai.embeddings.create(
        model=f"aws/{name}", input="a", extra_headers={"traceparent": f"00-{trace_id}-{'2' * 16}-01"}
    )
    (span,) = [span for span in stack.gateway.trace(trace_id)["spans"] if span["kind"] == "CLIENT"]
    attributes = span["attributes"]
    assert span["name"] == f"embeddings {MODELS[name]}"
    assert attributes["gen_ai.provider.name"] == "aws.bedrock"
    assert attributes["gen_ai.usage.input_tokens"] == tokens
    assert attributes.get("gen_ai.usage.cost") == cost
