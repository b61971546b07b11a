"""Answers of Gemini, whole and as the events of a stream, for the tests of every pair with it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

USAGE: Final = {
    "promptTokenCount": 210,
    "cachedContentTokenCount": 200,
    "candidatesTokenCount": 7,
    "thoughtsTokenCount": 5,
    "toolUsePromptTokenCount": 30,
    "totalTokenCount": 252,
    "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 180}, {"modality": "IMAGE", "tokenCount": 30}],
}


def candidate(*parts: dict[str, Any], reason: str = "STOP", **more: Any) -> dict[str, Any]:
    """One answer."""
    return {"content": {"role": "model", "parts": list(parts)}, "finishReason": reason, **more}


def answer(*candidates: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A whole reply."""
    return {
        "candidates": list(candidates),
        "usageMetadata": USAGE,
        "modelVersion": "gemini-x",
        "responseId": "r-1",
        **more,
    }


def event(value: Any) -> bytes:
    """An event as Google ends its lines."""
    return b"data: " + json.dumps(value).encode() + b"\r\n\r\n"


def events(whole: dict[str, Any]) -> list[bytes]:
    """A stream that says the same as *whole*, a few letters an event."""
    return [event(piece) for piece in _pieces(whole)]


def _pieces(whole: dict[str, Any]) -> Iterator[dict[str, Any]]:
    head: dict[str, Any] = {name: whole[name] for name in ("modelVersion", "responseId") if name in whole}
    candidates = whole.get("candidates", [])
    for found in candidates:
        index = {"index": found["index"]} if "index" in found else {}
        for part in found.get("content", {}).get("parts", []):
            for said in _split(part):
                content = {"role": "model", "parts": [said]}
                usage = {"promptTokenCount": USAGE["promptTokenCount"]}
                yield {"candidates": [{"content": content, **index}], "usageMetadata": usage, **head}
    last = {
        **whole,
        "candidates": [
            {**found, "content": {"role": "model", "parts": [{"text": ""}]}} for found in candidates
        ],
    }
    yield last if candidates else whole


def _split(part: dict[str, Any]) -> list[dict[str, Any]]:
    text = part.get("text")
    if not isinstance(text, str) or len(text) < 4:
        return [part]
    pieces = [text[at : at + 4] for at in range(0, len(text), 4)]
    rest = {name: value for name, value in part.items() if name not in ("text", "thoughtSignature")}
    said = [{**rest, "text": piece} for piece in pieces]
    if "thoughtSignature" in part:
        # As it comes: behind the text, with an empty one.
        said.append({**rest, "text": "", "thoughtSignature": part["thoughtSignature"]})
    return said


TEXT: Final = {"text": "Hallo, Grüße"}
THOUGHT: Final = {"text": "Hm, let me see.", "thought": True}
CALLS: Final[list[dict[str, Any]]] = [
    {"functionCall": {"name": "weather", "args": {"city": "Köln"}}, "thoughtSignature": "c2ln"},
    {"functionCall": {"name": "time"}},
]
CALLS_WITH_IDS: Final[list[dict[str, Any]]] = [
    {
        "functionCall": {"id": "dv8szvqe", "name": "weather", "args": {"city": "Köln"}},
        "thoughtSignature": "c2ln",
    },
    {"functionCall": {"id": "j80tal12", "name": "time", "args": {}}},
]
IMAGE: Final = {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}, "thoughtSignature": "cGlj"}
CODE: Final[list[dict[str, Any]]] = [
    {"executableCode": {"language": "PYTHON", "code": "print(1)"}},
    {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1\n"}},
]
GROUNDED: Final = {
    "webSearchQueries": ["greetings"],
    "groundingChunks": [
        {"web": {"uri": "https://a.test/", "title": "A"}},
        {"retrievedContext": {"uri": "gs://b/c.pdf", "title": "C"}},
        {"web": {"uri": "https://never.test/", "title": "D"}},
        {"web": {"title": "nowhere"}},
    ],
    "groundingSupports": [
        # In bytes, and the letters after the comma have two.
        {"segment": {"startIndex": 7, "endIndex": 14, "text": "Grüße"}, "groundingChunkIndices": [0, 1, 9]},
        {"segment": {"endIndex": 5, "text": "Hallo"}, "groundingChunkIndices": [0]},
        {"segment": {"startIndex": 1, "endIndex": 9, "text": "elsewhere"}, "groundingChunkIndices": [0]},
    ],
}
RECITED: Final = {
    "citations": [{"startIndex": 0, "endIndex": 5, "uri": "https://r.test/", "license": "mit"}, {}]
}
LOGPROBS: Final = {
    "chosenCandidates": [{"token": "Gr", "tokenId": 1, "logProbability": -0.5}, {"token": "ü"}],
    "topCandidates": [
        {"candidates": [{"token": "Gr", "logProbability": -0.5}, {"token": "X", "logProbability": -3}]}
    ],
}

REPLIES: Final[dict[str, dict[str, Any]]] = {
    "text": answer(candidate(TEXT)),
    "signed_text": answer(candidate({**TEXT, "thoughtSignature": "dHh0"})),
    "thinking": answer(candidate(THOUGHT, TEXT)),
    "tools": answer(candidate(THOUGHT, TEXT, *CALLS)),
    "tools_with_ids": answer(candidate(*CALLS_WITH_IDS, finishMessage="Model generated function call(s).")),
    "cited": answer(candidate(TEXT, groundingMetadata=GROUNDED, citationMetadata=RECITED)),
    "image": answer(candidate(TEXT, IMAGE)),
    "code": answer(candidate(*CODE, TEXT)),
    "too_long": answer(candidate(TEXT, reason="MAX_TOKENS")),
    "stopped_by_filter": answer(candidate(TEXT, reason="SAFETY")),
    "recitation": answer(candidate(reason="RECITATION", finishMessage="It is a poem of somebody.")),
    "blocked": {
        **answer(promptFeedback={"blockReason": "PROHIBITED_CONTENT"}),
        "usageMetadata": {"promptTokenCount": 9, "totalTokenCount": 9},
    },
    "blocked_with_words": answer(promptFeedback={"blockReason": "OTHER", "blockReasonMessage": "Not today."}),
    "empty": answer(candidate()),
    "several": answer(candidate(TEXT, index=0), candidate(TEXT, *CALLS, index=1)),
    "without_usage": {"candidates": [candidate(TEXT)]},
}
"""Good ones."""

FAILURES: Final[dict[str, dict[str, Any]]] = {
    "malformed_call": answer(candidate(reason="MALFORMED_FUNCTION_CALL", finishMessage="Malformed: print(")),
    "nothing": {"usageMetadata": USAGE, "modelVersion": "gemini-x"},
    "error_inside": {"error": {"code": 503, "message": "Overloaded", "status": "UNAVAILABLE"}},
}
"""Answered with success, and none."""

EXHAUSTED: Final = {
    "error": {
        "code": 429,
        "message": "You exceeded your current quota.",
        "status": "RESOURCE_EXHAUSTED",
        "details": [
            {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": []},
            {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.07s"},
        ],
    }
}
BAD_KEY: Final = {
    "error": {
        "code": 400,
        "message": "API key not valid. Please pass a valid API key.",
        "status": "INVALID_ARGUMENT",
        "details": [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}],
    }
}
