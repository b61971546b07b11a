"""A gateway with virtual models whose first targets fail, for every way in.

    openai, anthropic, google-genai, boto3 -> gateway -> down: answers 503 whatever it is asked
                                                      └> up: answers well

The account of Bedrock has both: there what fails is told by the model's id.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.rig import google_upstream
from tests.rig.bedrock_stack import BEDROCK_KEYS, bedrock_account
from tests.rig.bedrock_upstream import BedrockUpstream
from tests.rig.fake_upstream import ClosedPort
from tests.rig.gateway_process import Document, GatewayProcess
from tests.rig.manifests import (
    APP_TOKEN,
    ENVIRONMENT,
    NARROW_TOKEN,
    anthropic_account,
    gemini_account,
    in_turn,
    openai_account,
    virtual_account,
    virtual_models,
)
from tests.rig.path_upstream import Asked, PathUpstream
from tests.rig.realtime_upstream import RealtimeUpstream

DOWN: Final = "/down"
UP: Final = "/up"
BUSY: Final = {"error": {"message": "We are down.", "type": "server_error", "code": "down"}}
SOUND: Final = bytes(range(256)) * 64
USAGE: Final = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
NOVA: Final = "amazon.nova-pro-v1:0"
ROUTES: Final[dict[str, Document]] = {
    "any": in_turn("down/m", "up/m"),
    "far": in_turn("nowhere/m", "up/m"),
    "claude": in_turn("claude-down/m", "claude-up/m"),
    "gemini": in_turn("google-down/flash", "up/m", "google/flash"),
    "vectors": in_turn("google-down/flash", "google/vectors"),
    "nova": in_turn("aws/failing", "aws/nova"),
    "voice": in_turn("nowhere/m", "voices/busy", "voices/m"),
}
SLUGS: Final[dict[str, Document]] = {
    "any": {"slug": "whatever", "alias": ["anything", "an/alias"]},
    "gemini": {"slug": "gem"},
    "nova": {"slug": "supernova"},
    "voice": {"slug": "echo"},
}
RULES: Final = {
    "for-openai": ("ruled/m", in_turn("down/m", "up/m")),
    "for-google": ("google/ruled", in_turn("google-down/flash", "google/flash")),
    "for-bedrock": ("aws/ruled", in_turn("aws/failing", "aws/nova")),
    "for-voices": ("voices/ruled", in_turn("voices/busy", "voices/m")),
}
"""By the rule's id: the model, and what is asked instead."""


@dataclass(frozen=True)
class VirtualStack:
    """All that runs."""

    gateway: GatewayProcess
    provider: PathUpstream
    google: PathUpstream
    bedrock: BedrockUpstream
    voices: RealtimeUpstream

    def forget(self) -> None:
        """Clear what was seen."""
        self.provider.forget()
        self.google.forget()
        self.bedrock.forget()
        self.voices.forget()
        self.voices.refuse("busy", 503, json.dumps(BUSY).encode())

    @property
    def root(self) -> str:
        """Where the gateway is."""
        return f"http://127.0.0.1:{self.gateway.port}"

    @property
    def roads(self) -> list[tuple[str, str]]:
        """Of each call of the OpenAI or Anthropic dialect: who got it, and below which path of its API."""
        return [(asked.path[: asked.path.index("/", 1)], asked.path) for asked in self.provider.asked]


_ANSWERS: Final[dict[str, Any]] = {
    "/completions": {
        "id": "cmpl-1", "object": "text_completion", "created": 1, "model": "m-1", "usage": USAGE,
        "choices": [{"index": 0, "text": "well", "finish_reason": "stop", "logprobs": None}],
    },
    "/chat/completions": {
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m-1", "usage": USAGE,
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": "well"}, "finish_reason": "stop"}
        ],
    },
    "/embeddings": {
        "object": "list", "model": "m-1", "usage": {"prompt_tokens": 7, "total_tokens": 7},
        "data": [{"object": "embedding", "index": 0, "embedding": [0.5, -0.25]}],
    },
    "/rerank": {
        "model": "m", "usage": {"total_tokens": 38},
        "results": [{"index": 1, "document": {"text": "b"}, "relevance_score": 0.9}],
    },
    "/images/generations": {"created": 1, "data": [{"b64_json": "AAAA"}]},
    "/images/edits": {"created": 1, "data": [{"b64_json": "AAAA"}]},
    "/images/variations": {"created": 1, "data": [{"b64_json": "AAAA"}]},
    "/moderations": {
        "id": "modr-1", "model": "m-1",
        "results": [{"flagged": False, "categories": {}, "category_scores": {}}],
    },
    "/audio/transcriptions": {"text": "well", "usage": {"type": "duration", "seconds": 2}},
    "/audio/translations": {"text": "well"},
    "/messages/count_tokens": {"input_tokens": 9},
    "/messages": {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "m-1", "stop_reason": "end_turn",
        "stop_sequence": None, "content": [{"type": "text", "text": "well"}],
        "usage": {"input_tokens": 7, "output_tokens": 3},
    },
}  # fmt: skip
"""What `up` says below each path."""


async def _answer(asked: Asked) -> None:
    await asked.read_body()
    path = asked.path.partition("/v1")[2]
    if asked.path.startswith(DOWN):
        await asked.answer(503, json.dumps(BUSY).encode())
    elif path == "/audio/speech":
        await asked.answer(200, SOUND, "audio/mpeg")
    else:
        await asked.answer(200, json.dumps(_ANSWERS[path]).encode())


def _documents(
    provider: PathUpstream, google: PathUpstream, bedrock: BedrockUpstream, voices: str, nowhere: str
) -> list[Document]:
    root = f"http://127.0.0.1:{provider.port}"
    googles = {
        "flash": google_upstream.MODEL,
        "vectors": google_upstream.EMBEDDING,
        "ruled": "gemini-ruled",
    }
    rules = [{"id": name, "when": {"models": [model]}, **route} for name, (model, route) in RULES.items()]
    return [
        openai_account("down", f"{root}{DOWN}/v1", ["m"]),
        openai_account("up", f"{root}{UP}/v1", ["m"]),
        openai_account("ruled", f"{root}/ruled/v1", ["m"]),
        openai_account("nowhere", nowhere, ["m"]),
        openai_account("voices", voices, ["m", "busy", "ruled"]),
        anthropic_account("claude-down", f"{root}{DOWN}/v1", ["m"]),
        anthropic_account("claude-up", f"{root}{UP}/v1", ["m"]),
        gemini_account("google", google_upstream.root_of(google), googles),
        gemini_account("google-down", f"{root}{DOWN}", {"flash": "flash-down"}),
        bedrock_account("aws", bedrock.base_url, {"failing": "failing", "nova": NOVA, "ruled": "ruled"}),
        virtual_models("vm", ROUTES, SLUGS),
        {"type": "gateway-load-balancing-config", "name": "rules", "rules": rules},
        {
            "type": "gateway-global-settings",
            "name": "global",
            # What fails here does so in every test, and is asked each time all the same.
            "routing_settings": {"circuit_breaker": {"failures": 1_000}},
        },
        virtual_account("app", [APP_TOKEN], ["vm/*", *(model for model, _ in RULES.values())]),
        virtual_account("narrow", [NARROW_TOKEN], ["up/m"]),
    ]


@contextmanager
def running_virtual_stack(folder: Path) -> Iterator[VirtualStack]:
    """Start everything, give it, end it."""
    with ExitStack() as running:
        closed = ClosedPort()
        running.callback(closed.close)
        provider = running.enter_context(PathUpstream(_answer))
        google = running.enter_context(google_upstream.google_upstream())
        bedrock = running.enter_context(BedrockUpstream().running())
        voices = running.enter_context(RealtimeUpstream())
        nowhere = f"http://127.0.0.1:{closed.port}/v1"
        documents = _documents(provider, google, bedrock, voices.base_url, nowhere)
        gateway = GatewayProcess(folder, documents, workers=1, environment=ENVIRONMENT | BEDROCK_KEYS)
        yield VirtualStack(running.enter_context(gateway), provider, google, bedrock, voices)
