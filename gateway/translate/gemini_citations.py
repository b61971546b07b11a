"""What an answer of Gemini's is based on: pages it found, and places it recited.

Google counts places in bytes and tells the text that stands there; callers want characters.

Shapes: https://ai.google.dev/api/generate-content#GroundingMetadata ,
https://ai.google.dev/api/generate-content#CitationMetadata
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from gateway.endpoints.openai_reply import count_of, text_of
from gateway.translate.foreign_json import list_of, object_of

_SOURCES: Final = ("web", "retrievedContext", "maps", "image")


class Citation(NamedTuple):
    """One source of one place.

    Attributes:
        start: First character of the place in the answer's text.
        end: The one after its last; 0 as *start* where the whole answer is meant.
        text: What stands there, "" when it is not known.
    """

    url: str
    title: str
    start: int
    end: int
    text: str


def citations_of(candidate: dict[str, Any], text: str) -> list[Citation]:
    """The sources that one answer, or its piece in a stream, names.

    Args:
        candidate: As it came.
        text: Of the whole answer.
    """
    found = dict.fromkeys(
        [*_grounded(object_of(candidate.get("groundingMetadata")), text), *_recited(candidate, text)]
    )
    return list(found)


def _grounded(metadata: dict[str, Any], text: str) -> Iterator[Citation]:
    sources = [_source(object_of(chunk)) for chunk in list_of(metadata.get("groundingChunks"))]
    used: set[int] = set()
    for support in map(object_of, list_of(metadata.get("groundingSupports"))):
        segment = object_of(support.get("segment"))
        start, end = _place(segment, text_of(segment.get("text")), text)
        for index in list_of(support.get("groundingChunkIndices")):
            at = count_of(index)
            source = sources[at] if at is not None and at < len(sources) else None
            if source is not None and at is not None:
                used.add(at)
                yield Citation(*source, start, end, text[start:end])
    for at, source in enumerate(sources):
        if source is not None and at not in used:
            yield Citation(*source, 0, 0, "")


def _recited(candidate: dict[str, Any], text: str) -> Iterator[Citation]:
    metadata = object_of(candidate.get("citationMetadata"))
    for citation in map(object_of, list_of(metadata.get("citations") or metadata.get("citationSources"))):
        url = text_of(citation.get("uri"))
        if url:
            start, end = _place(citation, "", text)
            yield Citation(url, text_of(citation.get("title")), start, end, text[start:end])


def _source(chunk: dict[str, Any]) -> tuple[str, str] | None:
    for kind in _SOURCES:
        found = object_of(chunk.get(kind))
        url = text_of(found.get("uri")) or text_of(found.get("sourceUri"))
        if url:
            return url, text_of(found.get("title"))
    return None


def _place(segment: dict[str, Any], said: str, text: str) -> tuple[int, int]:
    """Where it is in characters; 0 and 0 where that cannot be told."""
    start_bytes, end_bytes = count_of(segment.get("startIndex")) or 0, count_of(segment.get("endIndex")) or 0
    data = text.encode()
    if start_bytes < end_bytes <= len(data):
        start = len(data[:start_bytes].decode(errors="ignore"))
        end = len(data[:end_bytes].decode(errors="ignore"))
        if not said or text[start:end] == said:
            return start, end
    # Counted from the part that it is in, of which a stream shows only pieces.
    start = text.find(said) if said else -1
    return (start, start + len(said)) if start >= 0 else (0, 0)
