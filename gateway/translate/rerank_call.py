"""A call that ranks documents, read for servers that do not take it as it is, and what they answer put back.

Callers write it as Cohere and Jina have it: `query`, `documents`, `top_n`, `return_documents`; documents are
texts, or objects as in Cohere's first version.

Shapes: https://docs.cohere.com/reference/rerank , https://docs.cohere.com/v1/reference/rerank
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Final

from gateway.endpoints.openai_content import decode_leniently, find_object
from gateway.endpoints.openai_events import ObjectFacts
from gateway.endpoints.openai_reply import text_of
from gateway.errors import InvalidBody, UpstreamBadReply
from gateway.model import Call, Target, Usage
from gateway.translate.foreign_json import list_of, object_of, read_fields, write_reply, write_text
from gateway.translate.pair import LeftOut, Refusal

_NO_WORDS: Final = "The provider answered with an error."
_READ_HERE: Final = frozenset({"model", "query", "documents", "top_n", "return_documents", "rank_fields"})


class Ranking:
    """What one call asks for.

    Attributes:
        query: What is looked for.
        documents: The texts that are ranked.
        top_n: How many results are wanted, None for all.
        left_out: Takes the names of what the target cannot do.
    """

    def __init__(self, call: Call, target: Target) -> None:
        """Read *call*.

        Raises:
            InvalidBody: It has no query or no documents that could be read.
            UnsupportedParameter: A document is a picture.
        """
        self._fields = read_fields(call)
        self.left_out = LeftOut(target)
        query, documents = self._fields.get("query"), self._fields.get("documents")
        if not isinstance(query, str):
            raise InvalidBody('"query" must be a text.', param="query")
        if not isinstance(documents, list) or not documents:
            raise InvalidBody('"documents" must be a list of at least one text.', param="documents")
        self.query = query
        chosen = [name for name in list_of(self._fields.get("rank_fields")) if isinstance(name, str)]
        self.documents = [self._text(document, chosen) for document in documents]
        self.top_n = _top_n(self._fields.get("top_n"))

    def take(self, *names: str) -> dict[str, Any]:
        """The fields among *names* that the call has; all others that nobody reads are left out.

        Raises:
            UnsupportedParameter: The operator wants such calls refused.
        """
        for name in self._fields:
            if name not in _READ_HERE and name not in names:
                self.left_out.add(name)
        return {name: self._fields[name] for name in names if name in self._fields}

    def _text(self, document: object, chosen: list[str]) -> str:
        match document:
            case str(text):
                return text
            case dict() if any(name in document for name in chosen):
                return write_text({name: document[name] for name in chosen if name in document})
            case {"text": str(text)}:
                return text
            case {"image": _}:
                raise self.left_out.refusal("documents.image")
            case dict():
                # JSON is YAML, which is how Cohere wants what has fields.
                return write_text(document)
        raise InvalidBody('Each of "documents" must be a text or an object.', param="documents")


def _top_n(value: object) -> int | None:
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise InvalidBody('"top_n" must be a positive whole number.', param="top_n")
    # As vLLM has it, 0 stands for all.
    return value or None


def wants_documents(call: Call) -> bool:
    """Whether the documents are to come back with their ranks."""
    return _member(call, "return_documents") is True


def with_documents(call: Call, results: Iterable[object]) -> list[dict[str, Any]]:
    """The *results*, with their documents where *call* asks for these."""
    said = [object_of(result) for result in results]
    if not wants_documents(call):
        return said
    documents = list_of(_member(call, "documents"))
    return [{**result, **_document(documents, result.get("index"))} for result in said]


def _member(call: Call, name: str) -> object:
    """One field of a call that has been read before; the documents may be megabytes."""
    raw = call.fields.get(name)
    return None if raw is None else decode_leniently(raw)


def _document(documents: list[Any], index: object) -> dict[str, Any]:
    if not isinstance(index, int) or not 0 <= index < len(documents):
        return {}
    document = documents[index]
    return {"document": {"text": document} if isinstance(document, str) else document}


def write_ranks(
    call: Call, scores: Iterable[tuple[object, object]], usage: Usage | None
) -> tuple[bytes, ObjectFacts]:
    """A reply in the caller's words, of index and score as the server gave them.

    Raises:
        UpstreamBadReply: One of them is none.
    """
    ranked: list[tuple[int, float]] = []
    for index, score in scores:
        if not isinstance(index, int) or not isinstance(score, int | float) or not math.isfinite(score):
            raise UpstreamBadReply("The provider's reply ranks something that is no document.")
        ranked.append((index, float(score)))
    ranked.sort(key=lambda pair: -pair[1])
    results: list[object] = [
        {"index": index, "relevance_score": score}
        for index, score in ranked[: _top_n(_member(call, "top_n"))]
    ]
    reply: dict[str, Any] = {"model": call.model, "results": with_documents(call, results)}
    if usage is not None:
        reply["usage"] = {"prompt_tokens": usage.input_tokens, "total_tokens": usage.input_tokens}
    return write_reply(reply), ObjectFacts("", "", (), usage)


def read_error(status: int, body: bytes) -> Refusal | None:
    """The error of a model server in OpenAI's shape, under the same status: each has its own words for it."""
    found = find_object(body)
    if found is None:
        return None
    told = next((found[name] for name in ("error", "message", "detail") if found.get(name)), "")
    error = {
        "message": text_of(told) or text_of(object_of(told).get("message")) or _NO_WORDS,
        "type": text_of(found.get("error_type")) or text_of(found.get("type")) or "api_error",
        "param": None,
        "code": None,
    }
    return Refusal(status, write_reply({"error": error}))


def likelihood(logit: float) -> float:
    """A logit as a score between 0 and 1, as Cohere's and Jina's are."""
    if logit < 0:
        return math.exp(logit) / (1 + math.exp(logit))
    return 1 / (1 + math.exp(-logit))
