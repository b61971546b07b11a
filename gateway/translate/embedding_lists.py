"""OpenAI's embeddings call and its answer, for targets that have other words for them.

Callers get base64 where they ask for it, as OpenAI's own SDK does unless told otherwise.

Shape: https://platform.openai.com/docs/api-reference/embeddings
"""

from __future__ import annotations

import base64
import sys
from array import array
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from gateway.endpoints.openai_reply import UNREADABLE, excerpt
from gateway.errors import InvalidBody, UpstreamBadReply
from gateway.model import Call, Usage
from gateway.translate.pair import LeftOut

MAX_TEXTS: Final = 10_000
"""Of one call. No provider takes as many; millions of them, written for one, would take gigabytes."""

_FORMATS: Final = ("float", "base64")
_BASE64: Final = b'"base64"'
_vectors: Final = msgspec.json.Decoder(list[float])
_texts: Final = msgspec.json.Decoder(str | list[msgspec.Raw])
_members: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


def read_texts(fields: Mapping[str, Any], left_out: LeftOut) -> list[str]:
    """What is to be embedded.

    Raises:
        InvalidBody: There is no text, there are too many, or `encoding_format` is none of OpenAI's.
        UnsupportedParameter: It is given as tokens, which mean something to OpenAI's models alone.
    """
    if fields.get("encoding_format", "float") not in _FORMATS:
        raise InvalidBody('"encoding_format" is none of float, base64.', param="encoding_format")
    asked = fields.get("input")
    texts = [asked] if isinstance(asked, str) else asked
    if not isinstance(texts, list) or not texts:
        raise InvalidBody('"input" must be a text or a list of texts.', param="input")
    refuse_too_many(texts)
    if isinstance(texts[0], int | list):
        raise left_out.refusal("input")
    if not all(isinstance(text, str) for text in texts):
        raise InvalidBody('"input" must be a text or a list of texts.', param="input")
    return texts


def refuse_too_many(texts: Sequence[object]) -> None:
    """Raise `InvalidBody` where there are more than `MAX_TEXTS`."""
    if len(texts) > MAX_TEXTS:
        raise InvalidBody(f'"input" has more than {MAX_TEXTS:,} texts.', param="input")


def write_list(call: Call, vectors: Sequence[msgspec.Raw], *, model: str, usage: Usage) -> bytes:
    """The answer as OpenAI gives it; in base64 the numbers are 32 bits wide, little end first.

    Raises:
        ValueError: A vector is no list of numbers.
    """
    if any(not bytes(vector).startswith(b"[") for vector in vectors):
        raise ValueError("a vector is no list")
    if _wants_base64(call):
        return _write([_packed(_vectors.decode(vector)) for vector in vectors], model, usage)
    return _write(vectors, model, usage)


def write_numbers(call: Call, vectors: Sequence[list[float]], *, model: str, usage: Usage) -> bytes:
    """The same of vectors that are decoded."""
    return _write(map(_packed, vectors) if _wants_base64(call) else vectors, model, usage)


def with_usage(body: bytes, usage: Usage) -> bytes:
    """An answer of `write_list` with another *usage*, its vectors as they are."""
    return msgspec.json.encode({**_members.decode(body), "usage": _counts(usage)})


def text_count(call: Call) -> int:
    """How many texts there are in a call, 0 where that cannot be read."""
    try:
        texts = _texts.decode(call.fields.get("input", b"[]"))
    except UNREADABLE:
        return 0
    return 1 if isinstance(texts, str) else len(texts)


def check_count(call: Call, found: Sequence[object], body: bytes) -> None:
    """Refuse an answer that has not one vector for each text: nobody knew which is whose.

    Args:
        call: What was asked.
        found: The vectors.
        body: The provider's answer.

    Raises:
        UpstreamBadReply: There are more of them, or fewer.
    """
    if len(found) != text_count(call):
        msg = f"The provider gave {len(found)} embeddings for {text_count(call)} texts."
        raise UpstreamBadReply(msg, excerpt=excerpt(body))


def _wants_base64(call: Call) -> bool:
    return bytes(call.fields.get("encoding_format", b"")) == _BASE64


def _write(embeddings: Iterable[msgspec.Raw | list[float] | str], model: str, usage: Usage) -> bytes:
    data = [
        {"object": "embedding", "index": index, "embedding": embedding}
        for index, embedding in enumerate(embeddings)
    ]
    return msgspec.json.encode({"object": "list", "data": data, "model": model, "usage": _counts(usage)})


def _counts(usage: Usage) -> dict[str, int]:
    tokens = usage.input_tokens or 0
    return {"prompt_tokens": tokens, "total_tokens": tokens}


def _packed(vector: list[float]) -> str:
    numbers = array("f", vector)
    if sys.byteorder == "big":
        numbers.byteswap()
    return base64.b64encode(numbers.tobytes()).decode()
