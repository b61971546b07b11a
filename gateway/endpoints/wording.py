"""How errors of ours are worded, by the dialect of whoever gets them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from gateway.endpoints import anthropic_error, bedrock_error, gemini_error_body, openai_error
from gateway.endpoints.gemini_catalogue import ARRAY
from gateway.errors import GatewayError
from gateway.model import Dialect, Endpoint, Headers


@dataclass(frozen=True, slots=True)
class Wording:
    """One dialect's words.

    Attributes:
        body: Makes the body of an error response.
        event: Makes the event that ends a stream.
        id_header: The response header in which its SDKs look for the request's id, "" when in ours.
        kind: What an error response has in the header `bedrock_error.KIND_HEADER`; None: no such header.
        ping: What says nothing within a stream; b"" where every byte would mean something to an SDK.
        refusal_event: Makes of a provider's error, in this dialect, the event that ends a stream.
    """

    body: Callable[..., bytes]
    event: Callable[..., bytes]
    id_header: bytes = b""
    kind: Callable[[GatewayError], str] | None = None
    ping: bytes = b""
    refusal_event: Callable[[bytes], bytes] = openai_error.refusal_event


_COMMENT: Final = b": keep-alive\n\n"
OPENAI: Final = Wording(openai_error.error_body, openai_error.error_event, ping=_COMMENT)
TYPED: Final = Wording(
    openai_error.error_body,
    openai_error.typed_error_event,
    ping=_COMMENT,
    refusal_event=openai_error.typed_refusal_event,
)
"""OpenAI's where every event of a stream has a type."""

WORDINGS: Final[dict[Dialect, Wording]] = {
    "openai": OPENAI,
    "anthropic": Wording(
        anthropic_error.error_body,
        anthropic_error.error_event,
        b"request-id",
        ping=b'event: ping\ndata: {"type": "ping"}\n\n',
        refusal_event=anthropic_error.refusal_event,
    ),
    "gemini": Wording(gemini_error_body.error_body, gemini_error_body.error_event),
    "converse": Wording(
        bedrock_error.error_body, bedrock_error.error_event, bedrock_error.ID_HEADER, bedrock_error.kind_of
    ),
}
_GEMINI_ARRAY: Final = Wording(gemini_error_body.array_body, gemini_error_body.array_end)


def wording_for(endpoint: Endpoint | None, headers: Headers) -> Wording:
    """The words for whoever asked *endpoint*; where it is None, the headers tell."""
    if endpoint is None:
        return WORDINGS[dialect_of(headers)]
    if endpoint is ARRAY:
        return _GEMINI_ARRAY
    if endpoint.reply == "object" and endpoint.dialect == "openai":
        return TYPED
    return WORDINGS[endpoint.dialect]


def dialect_of(headers: Headers) -> Dialect:
    """What a caller speaks, by the headers that its SDK sends with every request."""
    is_anthropic = headers.get("anthropic-version") is not None or headers.get("x-api-key") is not None
    return "anthropic" if is_anthropic else "openai"
