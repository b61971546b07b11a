"""What an answer of Converse says, for callers of any other dialect.

Shapes: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ContentBlock.html ,
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Citation.html
"""

from __future__ import annotations

import base64
import binascii
from typing import Any, Final

from gateway.endpoints.openai_reply import text_of
from gateway.translate.foreign_json import list_of, object_of

Block = dict[str, Any]

_BY_BEDROCK: Final = "server_tool_use"


def content_of(reply: dict[str, Any]) -> list[Block]:
    """The blocks of a whole reply."""
    message = object_of(object_of(reply.get("output")).get("message"))
    return [object_of(block) for block in list_of(message.get("content"))]


def text_in(block: Block) -> str | None:
    """What *block* says, cited or not; None where it is no text."""
    cited = block.get("citationsContent")
    if isinstance(cited, dict):
        return "".join(text_of(object_of(piece).get("text")) for piece in list_of(cited.get("content")))
    return text_of(block["text"]) if isinstance(block.get("text"), str) else None


def citations_in(block: Block) -> list[Any]:
    """The sources of what *block* says."""
    return list_of(object_of(block.get("citationsContent")).get("citations"))


def thought_of(reasoning: dict[str, Any]) -> Block:
    """A thought as Anthropic has it, so that it can come back in the next turn."""
    secret = reasoning.get("redactedContent")
    if secret is not None:
        return {"type": "redacted_thinking", "data": redacted_of(secret)}
    said = object_of(reasoning.get("reasoningText"))
    return signed_thought(text_of(said.get("text")), text_of(said.get("signature")))


def signed_thought(text: str, signature: str) -> Block:
    """What a model thought, with its signature if it has one."""
    thought = {"type": "thinking", "thinking": text}
    return {**thought, "signature": signature} if signature else thought


def redacted_of(secret: object) -> str:
    """A hidden thought as text: Bedrock has bytes where Anthropic has text."""
    try:
        return base64.b64decode(text_of(secret)).decode("latin-1")
    except (binascii.Error, ValueError):
        return text_of(secret)


def tool_of(block: Block) -> Block | None:
    """The call of a tool that a block, or the start of one, is; None for one that Bedrock runs itself."""
    used = object_of(block.get("toolUse"))
    return used if used and used.get("type") != _BY_BEDROCK else None


def url_of(citation: object) -> str:
    """The page of the web that is cited, "" for any other source."""
    return text_of(object_of(object_of(object_of(citation).get("location")).get("web")).get("url"))


def cited_text_of(citation: Block) -> str:
    """The words of the source."""
    return "".join(text_of(object_of(piece).get("text")) for piece in list_of(citation.get("sourceContent")))
