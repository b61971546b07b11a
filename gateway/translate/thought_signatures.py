"""Where the dialect of Messages keeps what Google signs its thoughts with.

From its third generation on Gemini refuses a call of a tool that comes back without the signature it was made
with, and a block that is a call has no place for one. Callers who asked for thoughts find it in a block of
thinking right before the call, as Anthropic's own signatures are. To others such a block would be news: there
the signature is the end of the call's id, which every client sends back, with the call and with its result.

A signature says which of Google's two services made it, as neither can read the other's.

Facts: https://ai.google.dev/gemini-api/docs/thought-signatures
"""

from __future__ import annotations

import re
from typing import Any, Final, Literal, NamedTuple

from gateway.model import Target
from gateway.translate.tool_use_ids import tool_use_id

Service = Literal["gemini", "vertex"]
"""Who made a signature: the Gemini API or Vertex."""

_SERVICES: Final[dict[str, Service]] = {"gcp.vertex_ai": "vertex"}
"""By `gen_ai.provider.name`; all others are the Gemini API."""

_BLOCK: Final = re.compile(r"(gemini|vertex)-thought:(.+)", re.DOTALL)
_IN_ID: Final = re.compile(r"_(gemini|vertex)_thought_")
_LETTERS: Final = re.compile(r"[\w-]+", re.ASCII)
_IN_AN_ID: Final = str.maketrans("+/", "-_", "=")
"""Base64 in the letters of an id. Google takes both alphabets, and no padding is missed."""


class Signature(NamedTuple):
    """A signature, and whose it is."""

    service: Service
    text: str


def service_of(reply: dict[str, Any]) -> Service:
    """Who gave *reply*, or this chunk of one: Vertex alone says when it was made."""
    return "vertex" if "createTime" in reply else "gemini"


def in_block(signature: Signature) -> str:
    """As the signature of a block of thinking."""
    return f"{signature.service}-thought:{signature.text}"


def find_in_block(text: str) -> Signature | None:
    """What `in_block` has written; None for any other signature."""
    found = _BLOCK.fullmatch(text)
    return Signature(found[1], found[2]) if found else None  # type: ignore[arg-type]  # one of the two


def in_id(call_id: str, signature: Signature) -> str:
    """*call_id* with the signature at its end."""
    return f"{call_id}_{signature.service}_thought_{tool_use_id(signature.text.translate(_IN_AN_ID))}"


def take_from_id(call_id: str) -> tuple[str, Signature | None]:
    """The id without what `in_id` has put there, and that."""
    found = _IN_ID.search(call_id)
    # Two searches, each from the front: one for both would start anew at every mark in a made-up id.
    if found is None or not _LETTERS.fullmatch(call_id, found.end()):
        return call_id, None
    return call_id[: found.start()], Signature(found[1], call_id[found.end() :])  # type: ignore[arg-type]  # one of the two


def signature_for(target: Target, found: Signature | None) -> str:
    """The signature as *target* gave it, "" when there is none, or one that the other service made."""
    is_its_own = found is not None and found.service == _SERVICES.get(target.provider, "gemini")
    return found.text if found is not None and is_its_own else ""
