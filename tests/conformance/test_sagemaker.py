"""The official `openai` and `anthropic` SDKs, with a model behind an endpoint of SageMaker."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Final

import pytest
from anthropic import Anthropic
from openai import BadRequestError, InternalServerError, OpenAI

from gateway.wire.aws_event_stream import write_exception, write_message
from tests.rig.aws_signatures import Scope, verify
from tests.rig.bedrock_upstream import KEY_ID, KEYS, SECRET, SESSION, STREAM_TYPE, TEXT
from tests.rig.gateway_process import GatewayProcess
from tests.rig.manifests import APP_TOKEN, virtual_account
from tests.rig.path_upstream import Asked, PathUpstream

USAGE: Final = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}
PART: Final = {
    ":event-type": "PayloadPart",
    ":content-type": "application/octet-stream",
    ":message-type": "event",
}


@dataclass
class Container:
    """An endpoint: checks the signature, and answers as vLLM does.

    Attributes:
        scopes: Of the signatures so far.
    """

    scopes: list[Scope] = field(default_factory=list)
    is_broken: bool = False

    async def answer(self, asked: Asked) -> None:
        await asked.read_body()
        self.scopes.append(verify(asked.method, asked.target, asked.headers, asked.body, KEYS))
        if asked.path.endswith("/invocations-response-stream"):
            await self._stream(asked)
        elif "max_tokens" in asked.json and asked.json["max_tokens"] == 13:
            said = json.dumps({"error": {"message": "container said no", "type": "BadRequestError"}})
            body = {"Message": "Received client error", "OriginalStatusCode": 400, "OriginalMessage": said}
            headers = ("x-amzn-errortype", "ModelError")
            await asked.answer(424, json.dumps(body).encode(), "application/json", headers)
        elif "input" in asked.json:
            reply: dict[str, Any] = {"data": [{"index": 0, "embedding": [0.5]}], "usage": USAGE}
            await asked.answer(200, json.dumps(reply).encode())
        else:
            message = {"role": "assistant", "content": TEXT}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            reply = {"id": "c-1", "object": "chat.completion", "choices": [choice], "usage": USAGE}
            await asked.answer(200, json.dumps(reply).encode())

    async def _stream(self, asked: Asked) -> None:
        chunks = [
            *({"choices": [{"index": 0, "delta": {"content": word}}]} for word in TEXT.split(" ")),
            {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
            {"choices": [], "usage": USAGE},
        ]
        events = b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks)
        events += b"data: [DONE]\n\n"
        # Parts end where they like, within an event and within a character.
        frames = b"".join(write_message(PART, events[at : at + 37]) for at in range(0, len(events), 37))
        if self.is_broken:
            said = b'{"Message":"out of memory","ErrorCode":"ModelInvocationTimeExceeded"}'
            frames = write_exception("ModelStreamError", said)
        inner = ("x-amzn-sagemaker-content-type", "text/event-stream")
        await asked.answer(200, frames, STREAM_TYPE, inner)


@dataclass(frozen=True)
class Stack:
    """All that runs."""

    gateway: GatewayProcess
    container: Container
    upstream: PathUpstream

    @property
    def base_url(self) -> str:
        """Of the gateway."""
        return f"http://127.0.0.1:{self.gateway.port}"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    container = Container()
    with ExitStack() as running:
        upstream = running.enter_context(PathUpstream(container.answer))
        account = {
            "type": "provider-account/aws-sagemaker",
            "name": "sm",
            "region": "eu-west-1",
            "base_url": f"http://127.0.0.1:{upstream.port}",
            "auth_data": {
                "type": "access-key-based",
                "access_key_id": "env:SM_ID",
                "secret_access_key": "env:SM_SECRET",
                "session_token": "env:SM_SESSION",
            },
            "integrations": [
                {
                    "type": "integration/model/sagemaker",
                    "name": "qwen",
                    "model_id": "my-endpoint",
                    "model_types": ["chat", "embedding"],
                }
            ],
        }
        gateway = running.enter_context(
            GatewayProcess(
                tmp_path_factory.mktemp("sagemaker"),
                [account, virtual_account("app", [APP_TOKEN], ["*"])],
                workers=1,
                environment={"SM_ID": KEY_ID, "SM_SECRET": SECRET, "SM_SESSION": SESSION},
            )
        )
        yield Stack(gateway, container, upstream)


@pytest.fixture
def stack(running: Stack) -> Stack:
    """With nothing noted yet."""
    running.upstream.forget()
    running.container.scopes.clear()
    running.container.is_broken = False
    return running


@pytest.fixture
def client(stack: Stack) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{stack.base_url}/v1", api_key=APP_TOKEN, max_retries=0, timeout=60) as each:
        yield each


def chat(client: OpenAI, **more: Any) -> Any:
    return client.chat.completions.create(
        model="sm/qwen", messages=[{"role": "user", "content": "Say grün."}], **more
    )


def test_whole(stack: Stack, client: OpenAI) -> None:
    """Signed for SageMaker, without a model's name, since the container has another one for it."""
    reply = chat(client)
    assert (reply.choices[0].message.content, reply.usage.total_tokens) == (TEXT, 12)
    [asked] = stack.upstream.asked
    assert asked.target == "/endpoints/my-endpoint/invocations"
    assert "model" not in asked.json
    [scope] = stack.container.scopes
    assert (scope.service, scope.region) == ("sagemaker", "eu-west-1")


def test_stream(stack: Stack, client: OpenAI) -> None:
    """The events of the container, out of AWS's framing, with their usage."""
    chunks = list(chat(client, stream=True, stream_options={"include_usage": True}))
    words = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices]
    assert " ".join(word for word in words if word) == TEXT
    assert chunks[-1].usage.total_tokens == 12
    [asked] = stack.upstream.asked
    assert asked.target == "/endpoints/my-endpoint/invocations-response-stream"


def test_embedding(client: OpenAI) -> None:
    """At the same path."""
    reply = client.embeddings.create(model="sm/qwen", input="x", encoding_format="float")
    assert reply.data[0].embedding == [0.5]


@pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "stream"])
def test_messages(stack: Stack, *, is_stream: bool) -> None:
    """A caller of the other dialect finds the same."""
    with Anthropic(base_url=stack.base_url, api_key=APP_TOKEN, max_retries=0, timeout=60) as claude:
        asked: dict[str, Any] = {
            "model": "sm/qwen",
            "messages": [{"role": "user", "content": "Say grün."}],
            "max_tokens": 60,
        }
        if is_stream:
            with claude.messages.stream(**asked) as stream:
                message: Any = stream.get_final_message()
        else:
            message = claude.messages.create(**asked)
    assert message.content[0].text.replace(" ", "") == TEXT.replace(" ", "")
    assert (message.usage.input_tokens, message.usage.output_tokens) == (7, 5)


def test_an_error_of_the_container(client: OpenAI) -> None:
    """Passes with its status and what it said."""
    with pytest.raises(BadRequestError, match="container said no"):
        chat(client, max_tokens=13)


def test_an_error_within_a_stream(stack: Stack, client: OpenAI) -> None:
    """Is one of the provider."""
    stack.container.is_broken = True
    with pytest.raises(InternalServerError) as caught:
        chat(client, stream=True)
    assert caught.value.status_code == 502
