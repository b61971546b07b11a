"""OpenAI's SDK has texts embedded by models of Bedrock through a real gateway."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import openai
import pytest

from tests.rig.bedrock_stack import BedrockStack, running_bedrock_stack
from tests.rig.bedrock_upstream import VECTOR

MODELS: Final = {
    "titan": "amazon.titan-embed-text-v2:0",
    "cohere": "cohere.embed-v4:0",
    "nova": "amazon.nova-2-multimodal-embeddings-v1:0",
    "titan-embed-text-v2-busy": "throttled",
    "claude": "anthropic.claude-sonnet-4-5",
}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BedrockStack]:
    folder = tmp_path_factory.mktemp("embeddings")
    with running_bedrock_stack(folder, {"aws": MODELS}, types=["embedding"]) as stack:
        yield stack


@pytest.fixture
def stack(running: BedrockStack) -> BedrockStack:
    """With nothing noted yet."""
    running.upstream.forget()
    return running


@pytest.mark.parametrize(("name", "tokens"), [("titan", 5), ("cohere", 7), ("nova", 7)])
@pytest.mark.parametrize("form", [{}, {"encoding_format": "float"}], ids=["packed", "numbers"])
def test_a_text(stack: BedrockStack, name: str, tokens: int, form: dict[str, Any]) -> None:
    """Packed, as the SDK asks for it by itself, or not; tokens as the body counts them, else the headers."""
    found = stack.openai.embeddings.create(model=f"aws/{name}", input="A red fox.", **form)
    assert [(each.index, each.embedding) for each in found.data] == [(0, VECTOR)]
    assert (found.model, found.usage.prompt_tokens, found.usage.total_tokens) == (
        f"aws/{name}",
        tokens,
        tokens,
    )
    assert stack.asked.path == f"/model/{MODELS[name].replace(':', '%3A')}/invoke"


def test_several_texts(stack: BedrockStack) -> None:
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


def test_what_a_model_cannot_do(stack: BedrockStack) -> None:
    """Is told before Bedrock is asked."""
    with pytest.raises(openai.BadRequestError, match="one text a call, and this one has 2") as caught:
        stack.openai.embeddings.create(model="aws/titan", input=["a", "b"])
    assert (caught.value.code, caught.value.param) == ("unsupported_parameter", "input")
    with pytest.raises(openai.BadRequestError, match="not known to embed"):
        stack.openai.embeddings.create(model="aws/claude", input="a")
    assert stack.upstream.asked == []


def test_errors(stack: BedrockStack) -> None:
    """Bedrock's own, as the SDK's."""
    with pytest.raises(openai.RateLimitError, match="please wait") as caught:
        stack.openai.embeddings.create(model="aws/titan-embed-text-v2-busy", input="a")
    assert caught.value.code == "rate_limit_exceeded"


def test_what_is_left_out(stack: BedrockStack) -> None:
    """Is named beside the answer."""
    told = stack.openai.embeddings.with_raw_response.create(model="aws/titan", input="a", user="u")
    assert told.headers["x-tfy-dropped-params"] == "user"
    assert stack.asked.json == {"inputText": "a"}


@pytest.mark.parametrize(
    ("name", "tokens", "cost"), [("titan", 5, pytest.approx(5 * 0.02 / 1e6)), ("cohere", 7, None)]
)
def test_the_trace(stack: BedrockStack, name: str, tokens: int, cost: Any) -> None:
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
