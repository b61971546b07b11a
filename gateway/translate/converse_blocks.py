"""Blocks of Anthropic's Messages as blocks of Converse; chat callers may send them too.

Shapes: https://docs.claude.com/en/api/messages ,
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ContentBlock.html
"""

from __future__ import annotations

import base64
from typing import Any, Final

from gateway.endpoints.openai_reply import text_of
from gateway.translate.conversation import blocks_of
from gateway.translate.converse_media import Block, Documents, Source, inline, picture, read_url
from gateway.translate.converse_models import BedrockModel
from gateway.translate.converse_tools import converse_tool_id
from gateway.translate.converse_turns import text_blocks, with_point
from gateway.translate.foreign_json import object_of, read_arguments
from gateway.translate.pair import LeftOut
from gateway.translate.tool_names import short_name

NO_OUTPUT: Final = "(no output)"
"""What a tool gave that gave nothing: Bedrock wants something."""

FAILED: Final = "The tool failed:"
"""Before what a failed tool gave, for models that are not told otherwise."""

_AT: Final = "messages.content"


class Blocks:
    """Puts the blocks of one call into Converse's words."""

    def __init__(self, model: BedrockModel, left_out: LeftOut) -> None:
        self.documents: Final = Documents()
        self._model = model
        self._left_out = left_out

    def system(self, content: object) -> list[Block]:
        """What a system prompt says; it can be nothing but text, and what else there is is left out."""
        said: list[Block] = []
        for block in blocks_of(content):
            if block.get("type", "text") == "text":
                said += self.marked(text_blocks(text_of(block.get("text"))), block)
            else:
                self._left_out.add(f"{_AT}.{text_of(block.get('type')) or 'unknown'}")
        return said

    def user(self, content: object) -> list[Block]:
        """What the user says, results of tools among it.

        Raises:
            UnsupportedParameter: Converse has no word for a block.
        """
        return [made for block in blocks_of(content) for made in self.user_block(block)]

    def assistant(self, content: object) -> list[Block]:
        """What the model said before; what it cannot be told again is left out."""
        return [made for block in blocks_of(content) for made in self._said(block)]

    def user_block(self, block: Block) -> list[Block]:
        """One block of the user's; raises as `user`."""
        if block.get("type") == "tool_result":
            return self.marked(self._result(block), block)
        return self.marked(self._shown(block), block)

    def marked(self, blocks: list[Block], marked: dict[str, Any]) -> list[Block]:
        """*blocks* with the cache point of what they were made from."""
        mark = marked.get("cache_control")
        # OpenAI's own word says how long for all of them together.
        is_plain = mark is None and bool(marked.get("prompt_cache_breakpoint"))
        return with_point(blocks, {} if is_plain else mark, self._model)

    def thought(self, block: Block) -> list[Block]:
        """A thought of the model's own as it must come back, nothing for one that another model had."""
        if not self._model.takes_thoughts:
            return []
        if block.get("type") == "redacted_thinking":
            # Bedrock has bytes where Anthropic has text.
            secret = text_of(block.get("data")).encode("latin-1", errors="replace")
            return [{"reasoningContent": {"redactedContent": base64.b64encode(secret).decode()}}]
        signature = text_of(block.get("signature"))
        if not signature:
            return []
        thought = {"text": text_of(block.get("thinking")), "signature": signature}
        return [{"reasoningContent": {"reasoningText": thought}}]

    def tool_use(self, call_id: object, name: object, arguments: object) -> Block:
        """A call of a tool."""
        used = {
            "toolUseId": converse_tool_id(text_of(call_id)),
            "name": short_name(text_of(name)),
            "input": read_arguments(arguments),
        }
        return {"toolUse": used}

    def tool_result(self, call_id: object, content: list[Block], *, has_failed: bool) -> list[Block]:
        """What a tool gave, with the cache point that is in it behind it: it cannot stand in one."""
        points = [block for block in content if "cachePoint" in block]
        said = [block for block in content if "cachePoint" not in block] or [{"text": NO_OUTPUT}]
        result: Block = {"toolUseId": converse_tool_id(text_of(call_id)), "content": said}
        if has_failed and self._model.takes_status:
            result["status"] = "error"
        elif has_failed:
            result["content"] = [{"text": FAILED}, *said]
        return [{"toolResult": result}, *points[-1:]]

    def cite(self, made: Block, asked: dict[str, Any], at: str) -> None:
        """Have the answer cite the document that was *made*, if its block *asked* for that."""
        if object_of(asked.get("citations")).get("enabled") is not True:
            return
        if "document" in made and self._model.is_claude:
            made["document"]["citations"] = {"enabled": True}
        else:
            self._left_out.add(f"{at}.citations")

    def _said(self, block: Block) -> list[Block]:
        match block.get("type"):
            case "text":
                made = text_blocks(text_of(block.get("text")))
            case "thinking" | "redacted_thinking":
                return self.thought(block)
            case "tool_use":
                made = [self.tool_use(block.get("id"), block.get("name"), object_of(block.get("input")))]
            case "compaction":
                made = text_blocks(text_of(block.get("content")))
                if block.get("tool_changes"):
                    self._left_out.add(f"{_AT}.compaction.tool_changes")
            case kind:
                self._left_out.add(f"{_AT}.{text_of(kind) or 'unknown'}")
                return []
        return self.marked(made, block)

    def _result(self, block: Block) -> list[Block]:
        content = [
            made
            for inner in blocks_of(block.get("content"))
            for made in self.marked(self._shown(inner), inner)
        ]
        return self.tool_result(block.get("tool_use_id"), content, has_failed=block.get("is_error") is True)

    def _shown(self, block: Block) -> list[Block]:
        if block.get("transformations"):
            self._left_out.add(f"{_AT}.image.transformations")
        match block:
            case {"type": "text", "text": str(text)}:
                return text_blocks(text)
            case {"type": "tool_reference", "tool_name": str(name)}:
                # Found by a search among tools that were held back; here all of them are given.
                return [{"text": f"The tool {short_name(name)} can be used."}]
            case {"type": "image", "source": dict(source)}:
                return [picture(self._source(source, f"{_AT}.image"), f"{_AT}.image")]
            case {"type": "document", "source": dict(source)}:
                return [self._document(block, source)]
            case {"type": "search_result"}:
                return self._found(block)
        raise self._left_out.refusal(f"{_AT}.{text_of(block.get('type')) or 'unknown'}")

    def _source(self, source: Block, at: str) -> Source:
        match source:
            case {"type": "base64", "data": str(data)}:
                return inline(text_of(source.get("media_type")), data)
            case {"type": "url", "url": str(url)}:
                return read_url(url, at)
        raise self._left_out.refusal(f"{at}.{text_of(source.get('type')) or 'unknown'}")

    def _document(self, block: Block, source: Block) -> Block:
        title = text_of(block.get("title"))
        match source:
            case {"type": "text", "data": str(text)}:
                made = self.documents.text(text, title)
            case {"type": "content"}:
                texts = [block.get("text") for block in blocks_of(source.get("content"))]
                if not all(isinstance(text, str) for text in texts):
                    raise self._left_out.refusal(f"{_AT}.document.content")
                made = self.documents.pieces([text_of(text) for text in texts], title)
            case _:
                at = f"{_AT}.document"
                found = self._source(source, at)
                made = self.documents.file(found if found.kind else found._replace(kind="pdf"), title, at)
        if "document" in made and text_of(block.get("context")).strip():
            made["document"]["context"] = block["context"]
        self.cite(made, block, f"{_AT}.document")
        return made

    def _found(self, block: Block) -> list[Block]:
        """What a search found: Claude can cite it, for others it is text."""
        texts = [text_of(inner.get("text")) for inner in blocks_of(block.get("content"))]
        title, source = text_of(block.get("title")), text_of(block.get("source"))
        wants_citations = object_of(block.get("citations")).get("enabled") is True
        if not self._model.is_claude:
            if wants_citations:
                self._left_out.add(f"{_AT}.search_result.citations")
            return [{"text": "\n".join([f"{title} ({source})", *texts])}]
        found: Block = {"source": source, "title": title, "content": [{"text": text} for text in texts]}
        return [{"searchResult": {**found, "citations": {"enabled": True}} if wants_citations else found}]
