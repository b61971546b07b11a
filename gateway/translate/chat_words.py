"""What a message of a chat completion, or a piece of one, says and shows of its thoughts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.endpoints.openai_reply import text_of


def text_in(content: object) -> str:
    """The text of `content`; servers that think in parts answer in parts."""
    if isinstance(content, list):
        return "".join([text_of(part.get("text")) for part in content if isinstance(part, dict)])
    return text_of(content)


def thoughts_in(said: Mapping[str, Any]) -> str:
    """What the model shows of its thoughts, by any of the names that servers have for them.

    Mistral has them as parts of `content`, of parts again:
    https://docs.mistral.ai/studio-api/conversations/reasoning
    """
    thoughts = text_of(said.get("reasoning_content")) or text_of(said.get("reasoning"))
    content = said.get("content")
    if thoughts or not isinstance(content, list):
        return thoughts
    return "".join([text_in(part.get("thinking")) for part in content if isinstance(part, dict)])


def cited_pages(said: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Address and title of each page of the web that `annotations` say the text rests on."""
    annotations = said.get("annotations")
    pages = []
    for annotation in annotations if isinstance(annotations, list) else ():
        match annotation:
            case {"url_citation": {"url": str(url), **more}}:
                pages.append((text_of(url), text_of(more.get("title"))))
    return pages
