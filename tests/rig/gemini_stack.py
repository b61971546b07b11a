"""A gateway in front of models of Gemini, for the conformance tests of what callers make of them.

The upstream answers what a test plays: pieces of generateContent, or what Google has really sent.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from anthropic import Anthropic
from openai import OpenAI

from gateway.endpoints.gemini_reply import read_generated_usage
from gateway.model import Usage
from gateway.wire.sse import read_events
from tests.rig.behaviours import end_stream, event, send_body, send_piece, start_stream
from tests.rig.fake_upstream import Behaviour, Exchange, FakeUpstream
from tests.rig.gateway_process import GatewayProcess
from tests.rig.manifests import APP_TOKEN, ENVIRONMENT, gemini_account, virtual_account
from tests.unit.recorded import recorded_of_gemini

MODELS: Final = ("gemini-2.0-flash", "gemini-2.5-flash", "gemini-3.5-flash")
MODEL: Final = "gemini/gemini-3.5-flash"
TEXT: Final = "The answer."
TIMEOUT_S: Final = 60.0
_PIECE_BYTES: Final = 97


@dataclass(frozen=True)
class GeminiStack:
    """What runs, and the official clients at it."""

    gateway: GatewayProcess
    upstream: FakeUpstream
    claude: Anthropic
    openai: OpenAI

    def play(self, *behaviours: Behaviour) -> None:
        """Answer the next calls so; the model stands in the path, where the upstream does not look."""
        self.upstream.play("", *behaviours)


@contextmanager
def running_gemini_stack(folder: Path) -> Iterator[GeminiStack]:
    """Start everything, give it, end it."""
    with ExitStack() as stack:
        upstream = stack.enter_context(FakeUpstream({}, says(TEXT)))
        account = gemini_account(
            "gemini", f"http://127.0.0.1:{upstream.port}", {name: name for name in MODELS}
        )
        documents = [account, virtual_account("sdk", [APP_TOKEN], ["*"])]
        gateway = stack.enter_context(
            GatewayProcess(folder / "gateway", documents, workers=1, environment=ENVIRONMENT)
        )
        url = f"http://127.0.0.1:{gateway.port}"
        claude = Anthropic(base_url=url, api_key=APP_TOKEN, max_retries=0, timeout=TIMEOUT_S)
        openai = OpenAI(base_url=f"{url}/v1", api_key=APP_TOKEN, max_retries=0, timeout=TIMEOUT_S)
        clients = stack.enter_context(claude), stack.enter_context(openai)
        yield GeminiStack(gateway, upstream, *clients)


# -- what the upstream does


def reply(*parts: dict[str, Any], reason: str | None = "STOP") -> dict[str, Any]:
    """A whole reply, or a piece of one."""
    candidate = {"content": {"role": "model", "parts": list(parts)}, "index": 0, "finishReason": reason}
    counts = {"promptTokenCount": 11, "cachedContentTokenCount": 4, "candidatesTokenCount": 5}
    return {
        "candidates": [{name: value for name, value in candidate.items() if value is not None}],
        "usageMetadata": {**counts, "totalTokenCount": 16},
        "modelVersion": "gemini-x",
        "responseId": "r-1",
    }


def says(text: str) -> Behaviour:
    """Answers with *text*, streamed if asked."""

    async def behave(exchange: Exchange) -> None:
        if ":streamGenerateContent?alt=sse" in exchange.path:
            words = text.split(" ")
            pieces = [reply({"text": f"{word} "}, reason=None) for word in words[:-1]]
            await sends(b"".join(map(event, [*pieces, reply({"text": words[-1]})])))(exchange)
        else:
            await answers(200, json.dumps(reply({"text": text})).encode())(exchange)

    return behave


def answers(status: int, body: bytes) -> Behaviour:
    """A whole answer."""

    async def behave(exchange: Exchange) -> None:
        await send_body(exchange, status, "application/json; charset=UTF-8", body)

    return behave


def sends(body: bytes, *, is_whole: bool = True) -> Behaviour:
    """A stream, in pieces that end anywhere; not whole: the connection breaks at its end."""

    async def behave(exchange: Exchange) -> None:
        await start_stream(exchange)
        for at in range(0, len(body), _PIECE_BYTES):
            await send_piece(exchange, body[at : at + _PIECE_BYTES])
        if is_whole:
            await end_stream(exchange)
        else:
            exchange.connection.reset()

    return behave


# -- recorded answers


def parts_in(replies: list[Any]) -> list[Any]:
    """All parts of the pieces of one reply."""
    candidates = [candidate for each in replies for candidate in each.get("candidates", [])]
    return [part for candidate in candidates for part in candidate.get("content", {}).get("parts", [])]


def usage_in(replies: list[Any]) -> Usage:
    """The tokens that the pieces of one reply count."""
    counts: dict[str, Any] = {}
    for each in replies:
        counts |= each.get("usageMetadata", {})
    usage = read_generated_usage(counts)
    assert usage is not None
    return usage


def signed_calls(folder: Path, *, is_stream: bool) -> tuple[Behaviour, list[Any]]:
    """What answers with two calls, the first of them signed, and the parts that they are."""
    (item,) = [
        item
        for item in recorded_of_gemini(folder, is_stream=True)
        if "test_streaming_reasoning_with_multiple_tool_calls" in item.name
    ]
    replies = list(map(json.loads, read_events(item.body)))
    parts = parts_in(replies)
    whole = {**replies[-1], "candidates": [{"content": {"parts": parts}, "finishReason": "STOP"}]}
    behaviour = sends(item.body) if is_stream else answers(200, json.dumps(whole).encode())
    return behaviour, [part for part in parts if "functionCall" in part]
