"""A stand-in for Google Cloud: a token endpoint that verifies what it gets, and models that answer.

Claude speaks as Anthropic's does, embeddings count their texts, and a model called `missing` is not there.
"""

from __future__ import annotations

import json
from typing import Any, Final
from urllib.parse import parse_qsl, unquote

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth import jwt

from tests.rig import anthropic_behaviours
from tests.rig.behaviours import WORDS
from tests.rig.path_upstream import Asked, PathUpstream

EMAIL: Final = "canary-app@proj.iam.gserviceaccount.com"
_KEY: Final = rsa.generate_private_key(65537, 2048)
PRIVATE_KEY: Final = _KEY.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
).decode()
PUBLIC_KEY: Final = (
    _KEY.public_key()
    .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    .decode()
)
LOCATION: Final = "/v1/projects/proj/locations/europe-west4"
RANKING: Final = "/v1/projects/proj/locations/eu/rankingConfigs/default_ranking_config:rank"
TOKEN: Final = "canary-google-token"
VECTOR: Final = [0.5, -0.25, 1.0]
USAGE: Final = {
    "promptTokenCount": 9,
    "cachedContentTokenCount": 4,
    "candidatesTokenCount": 5,
    "thoughtsTokenCount": 3,
    "totalTokenCount": 17,
}
REFUSAL: Final = {"error": {"code": 404, "message": "There is no such model.", "status": "NOT_FOUND"}}


class GoogleCloud(PathUpstream):
    """The server.

    Attributes:
        tokens: How many it has given.
        refused: One that it takes no more.
    """

    def __init__(self) -> None:
        super().__init__(self._answer)
        self.tokens = 0
        self.refused = ""

    @property
    def url(self) -> str:
        """Without a version."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def key_file(self) -> dict[str, Any]:
        """A service account's key, whose tokens are made here."""
        return {
            "type": "service_account",
            "project_id": "proj",
            "private_key_id": "canary-key-id",
            "private_key": PRIVATE_KEY,
            "client_email": EMAIL,
            "token_uri": f"{self.url}/token",
        }

    @property
    def calls(self) -> list[Asked]:
        """All that was asked but for tokens."""
        return [asked for asked in self.asked if asked.path != "/token"]

    async def _answer(self, asked: Asked) -> None:
        await asked.read_body()
        path = unquote(asked.path)
        if path == "/token":
            await self._give_token(asked)
        elif path.startswith("/v1beta/models/"):
            await _speak_as_gemini(asked, path)
        elif asked.header("authorization") in (None, f"Bearer {self.refused}"):
            await asked.answer(
                401, json.dumps({"error": {"code": 401, "status": "UNAUTHENTICATED"}}).encode()
            )
        elif "missing" in path:
            await asked.answer(404, json.dumps([REFUSAL]).encode())
        elif path == RANKING:
            await _rank(asked)
        elif path.startswith(f"{LOCATION}/publishers/anthropic/models/"):
            await _speak_as_claude(asked, path.rpartition("/")[2])
        elif path.startswith(f"{LOCATION}/publishers/google/models/"):
            await _speak_as_gemini(asked, path)
        else:
            await asked.answer(404, json.dumps(REFUSAL).encode())

    async def _give_token(self, asked: Asked) -> None:
        form = dict(parse_qsl(asked.body.decode()))
        decode: Any = jwt.decode
        try:
            claims = decode(form["assertion"], certs=PUBLIC_KEY)
        except ValueError:
            claims = {}
        if claims.get("iss") != EMAIL:
            await asked.answer(400, json.dumps({"error": "invalid_grant"}).encode())
            return
        self.tokens += 1
        token = {"access_token": f"{TOKEN}-{self.tokens}", "expires_in": 3600, "token_type": "Bearer"}
        await asked.answer(200, json.dumps(token).encode())


async def _speak_as_claude(asked: Asked, model: str) -> None:
    body = asked.json
    if model == "count-tokens:rawPredict":
        await asked.answer(200, b'{"input_tokens":9}')
        return
    if "model" in body or body.get("anthropic_version") != "vertex-2023-10-16" or "?" in asked.target:
        await asked.answer(
            400, b'{"type":"error","error":{"type":"invalid_request_error","message":"not so"}}'
        )
        return
    name, _, verb = model.partition(":")
    blocks = anthropic_behaviours.TEXT_BLOCKS
    if verb == "rawPredict":
        await asked.answer(200, json.dumps(anthropic_behaviours.message(name, blocks, "end_turn")).encode())
        return
    events = b"".join(anthropic_behaviours.events(name, blocks, "end_turn"))
    await asked.answer(200, events, "text/event-stream")


def _generated(text: str, *, is_last: bool) -> dict[str, Any]:
    """An answer, or a piece of one, as the Gemini API writes it."""
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": [{"text": text}]}, "index": 0}
    if is_last:
        candidate["finishReason"] = "STOP"
    return {"candidates": [candidate], "usageMetadata": USAGE, "modelVersion": "gemini-2.5-pro"}


async def _speak_as_gemini(asked: Asked, path: str) -> None:
    verb = path.rpartition(":")[2]
    if verb == "generateContent":
        await asked.answer(200, json.dumps(_generated("".join(WORDS), is_last=True)).encode())
    elif verb == "streamGenerateContent" and asked.target.endswith("?alt=sse"):
        pieces = [_generated(word, is_last=word is WORDS[-1]) for word in WORDS]
        events = b"".join(b"data: " + json.dumps(piece).encode() + b"\r\n\r\n" for piece in pieces)
        await asked.answer(200, events, "text/event-stream")
    else:
        await _embed(asked, verb)


async def _rank(asked: Asked) -> None:
    """The last document is the best, and the first is worth nothing, which Google does not write."""
    records = [{"id": each["id"], "score": int(each["id"]) / 10} for each in reversed(asked.json["records"])]
    del records[-1]["score"]
    await asked.answer(200, json.dumps({"records": records[: asked.json.get("topN")]}).encode())


async def _embed(asked: Asked, verb: str) -> None:
    body = asked.json
    one = {"values": VECTOR}
    reply: dict[str, Any]
    if verb == "embedContent":
        reply = {"embedding": one, "usageMetadata": {"promptTokenCount": 3}}
    elif verb == "predict":
        counted = {**one, "statistics": {"token_count": 3.0, "truncated": False}}
        reply = {"predictions": [{"embeddings": counted} for _ in body["instances"]]}
    else:
        texts = body["requests"]
        reply = {"embeddings": [one for _ in texts], "usageMetadata": {"promptTokenCount": 3 * len(texts)}}
    await asked.answer(200, json.dumps(reply).encode())
