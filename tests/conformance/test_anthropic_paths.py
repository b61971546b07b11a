"""Every resource method of the installed `anthropic` SDK behaves through the gateway as it does directly.

As test_openai_paths.py does for the `openai` SDK: each method is called at a recording provider and through
the gateway at the same one, and both the provider and the caller must not see a difference.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from typing import Any, Final

import pytest
from anthropic import Anthropic, NotFoundError
from anthropic._resource import SyncAPIResource

from tests.rig.gateway_process import GatewayProcess
from tests.rig.manifests import (
    APP_TOKEN,
    ENVIRONMENT,
    PROVIDER_KEY,
    anthropic_account,
    openai_account,
    virtual_account,
)
from tests.rig.path_upstream import BYTES, Asked, PathUpstream
from tests.rig.sdk_methods import arguments, made, methods, seen

_LOCAL = "computed in the SDK, asks nobody"
_COMPOSED = "made of other methods of this table"
_OURS = "answered by the gateway itself, from what the caller may use"
_RESULTS = "two requests, tested below"
LEFT_OUT: Final = {
    re.compile(r"beta\.webhooks\.(unwrap|parse_unverified)"): _LOCAL,
    re.compile(r"(beta\.)?messages\.(parse|stream|thread|tool_runner)"): _COMPOSED,
    re.compile(r"(beta\.)?models\.(list|retrieve)"): _OURS,
    re.compile(r"(beta\.)?messages\.batches\.results"): _RESULTS,
}
VALUES: Final[dict[str, Any]] = {
    "max_tokens": 5,
    "messages": [{"role": "user", "content": "x"}],
    "files": [("s/SKILL.md", io.BytesIO(b"---\r\n--" * 99), "text/markdown")],
    "stream": False,
}
BATCH: Final = {
    "id": "msgbatch_1", "type": "message_batch", "processing_status": "ended",
    "results_url": "https://api.anthropic.com/v1/messages/batches/msgbatch_1/results",
}  # fmt: skip
REPLY: Final = {
    "id": "obj_1", "type": "message", "model": "normal", "role": "assistant", "data": [{"id": "obj_2"}],
    "has_more": False, "content": [{"type": "text", "text": "x"}], "stop_reason": "end_turn",
    "usage": {"input_tokens": 7, "output_tokens": 3}, "input_tokens": 7,
}  # fmt: skip
RESULT_LINES: Final = b'{"custom_id": "a", "result": {"type": "canceled"}}\n' * 3
_CONTENT: Final = re.compile(r"/(files|skills)/.*/content")


def _names() -> list[str]:
    client = Anthropic(api_key="x")
    return sorted({name for name, _ in methods(client, SyncAPIResource)})


NAMES: Final = _names()
CALLED: Final = [name for name in NAMES if not any(left.fullmatch(name) for left in LEFT_OUT)]


async def _answer(asked: Asked) -> None:
    await asked.read_body()
    if asked.path.endswith("/stream"):
        await asked.answer(200, b'event: x\ndata: {"type": "x"}\n\n', "text/event-stream")
    elif _CONTENT.search(asked.path):
        await asked.answer(200, BYTES, "application/octet-stream")
    elif asked.path.endswith("/results"):
        await asked.answer(200, RESULT_LINES, "application/x-jsonl")
    elif asked.path.endswith("/batches/msgbatch_1"):
        await asked.answer(200, json.dumps(BATCH).encode())
    else:
        await asked.answer(200, json.dumps(REPLY).encode())


@pytest.fixture(scope="module")
def provider() -> Iterator[PathUpstream]:
    with PathUpstream(_answer) as server:
        yield server


@pytest.fixture(scope="module")
def gateway(provider: PathUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    # An account of the other dialect beside it: what is Anthropic's goes to Anthropic's without being told.
    documents = [
        anthropic_account("claude", provider.base_url, ["normal"]),
        openai_account("fake", provider.base_url, ["normal"]),
        virtual_account("app", ["env:APP_TOKEN"], ["claude/*", "fake/*"]),
    ]
    folder = tmp_path_factory.mktemp("anthropic_paths")
    with GatewayProcess(folder, documents, workers=1, environment=ENVIRONMENT) as process:
        yield process


def _client(port: int, key: str) -> Anthropic:
    return Anthropic(base_url=f"http://127.0.0.1:{port}", api_key=key, max_retries=0, timeout=60.0)


def _methods(port: int, key: str) -> Iterator[dict[str, Any]]:
    """Of one client for all tests: it, and looking for them, takes longer than a call."""
    with _client(port, key) as client:
        yield dict(methods(client, SyncAPIResource))


@pytest.fixture(scope="module")
def direct_methods(provider: PathUpstream) -> Iterator[dict[str, Any]]:
    yield from _methods(provider.port, PROVIDER_KEY)


@pytest.fixture(scope="module")
def methods_through(gateway: GatewayProcess) -> Iterator[dict[str, Any]]:
    yield from _methods(gateway.port, APP_TOKEN)


def _call(method: Any, provider: PathUpstream, name: str, model: str) -> tuple[Any, Any, Any]:
    provider.forget()
    given = arguments(method, model=model, values=VALUES)
    if "files" in given:
        (file,) = VALUES["files"]
        given["files"] = [(file[0], io.BytesIO(file[1].getvalue()), file[2])]
    result = made(method(**given))
    (asked,) = provider.asked
    betas = [(key, value) for key, value in asked.headers if key.startswith("anthropic-")]
    return seen(asked), sorted(betas), list(result) if name.endswith(".stream") else result


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning:pydantic")
@pytest.mark.parametrize("name", CALLED)
def test_method(
    direct_methods: dict[str, Any], methods_through: dict[str, Any], provider: PathUpstream, name: str
) -> None:
    """The provider hears the same, betas and query included, and the SDK gives its caller the same."""
    direct = _call(direct_methods[name], provider, name, "normal")
    through = _call(methods_through[name], provider, name, "claude/normal")
    assert through == direct
    assert provider.asked[0].header("x-api-key") == PROVIDER_KEY
    assert APP_TOKEN not in str(provider.asked[0].headers)


def test_left_out_methods_exist() -> None:
    """A reason that is for nothing any more goes away."""
    assert [left.pattern for left in LEFT_OUT if not any(map(left.fullmatch, NAMES))] == []
    assert len(CALLED) > 380


@pytest.mark.parametrize("prefix", ["", "/api/llm", "/proxy/claude"])
@pytest.mark.parametrize("is_beta", [False, True], ids=["plain", "beta"])
def test_results_of_a_batch(
    gateway: GatewayProcess, provider: PathUpstream, prefix: str, *, is_beta: bool
) -> None:
    """Their address leads through the gateway, never past it with the caller's key."""
    provider.forget()
    base_url = f"http://127.0.0.1:{gateway.port}{prefix}"
    with Anthropic(base_url=base_url, api_key=APP_TOKEN, max_retries=0) as client:
        batches: Any = client.beta.messages.batches if is_beta else client.messages.batches
        results = list(batches.results("msgbatch_1"))
    assert [result.custom_id for result in results] == ["a"] * 3
    assert [asked.target for asked in provider.asked] == [
        "/v1/messages/batches/msgbatch_1",
        "/v1/messages/batches/msgbatch_1/results",
    ]


def test_query(gateway: GatewayProcess, provider: PathUpstream) -> None:
    """`?beta=true`, as older SDKs and Claude Code send it, reaches the provider on every kind of path."""
    provider.forget()
    with _client(gateway.port, APP_TOKEN) as client:
        beta = {"beta": "true"}
        messages: Any = VALUES["messages"]
        client.messages.create(model="claude/normal", max_tokens=5, messages=messages, extra_query=beta)
        client.messages.count_tokens(model="claude/normal", messages=messages, extra_query=beta)
        client.messages.batches.retrieve("msgbatch_1", extra_query=beta)
    assert [asked.target for asked in provider.asked] == [
        "/v1/messages?beta=true",
        "/v1/messages/count_tokens?beta=true",
        "/v1/messages/batches/msgbatch_1?beta=true",
    ]


def test_models(gateway: GatewayProcess) -> None:
    """One model has Anthropic's shape too, and one that is not there an error of its kind."""
    with _client(gateway.port, APP_TOKEN) as client:
        model = client.models.retrieve("claude/normal")
        assert (model.type, model.id, model.display_name) == ("model", "claude/normal", "claude/normal")
        assert client.beta.models.retrieve("claude/normal").id == "claude/normal"
        with pytest.raises(NotFoundError) as caught:
            client.models.retrieve("claude/none")
    body = caught.value.body
    assert isinstance(body, dict)
    assert (body["type"], body["error"]["type"]) == ("error", "not_found_error")


def test_error(gateway: GatewayProcess, provider: PathUpstream) -> None:
    """The provider's own error passes as it is."""

    async def refuse(asked: Asked) -> None:
        await asked.answer(404, b'{"type": "error", "error": {"type": "not_found_error", "message": "gone"}}')

    provider.forget()
    provider.on("/v1/files/file_x", refuse)
    with _client(gateway.port, APP_TOKEN) as client, pytest.raises(NotFoundError, match="gone"):
        client.files.retrieve_metadata("file_x")
