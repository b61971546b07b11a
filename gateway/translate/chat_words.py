"""What a message of a chat completion, or a piece of one, says and shows of its thoughts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.endpoints.content_in_parts import thoughts_in
from gateway.endpoints.openai_reply import text_of


def shown_thoughts(said: Mapping[str, Any]) -> str:
    """What the model shows of its thoughts, by any of the names that servers have for them."""
    told = text_of(said.get("reasoning_content")) or text_of(said.get("reasoning"))
    return told or thoughts_in(said.get("content"))


def cited_pages(said: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Address and title of each page of the web that `annotations` say the text rests on."""
    annotations = said.get("annotations")
    pages = []
    for annotation in annotations if isinstance(annotations, list) else ():
        match annotation:
            case {"url_citation": {"url": str(url), **more}}:
                pages.append((text_of(url), text_of(more.get("title"))))
    return pages
