"""Documents to be ranked by servers of every kind, for tests/golden/test_pairs.py."""

from __future__ import annotations

import json
from typing import Any, Final

from tests.golden.translated import Case

TEXTS: Final = ["The founder of a company.", "The captain won the cup.", "They lost the final."]
ASKED: Final = {"query": "Who won?", "documents": TEXTS, "top_n": 2}
WITH_DOCUMENTS: Final = {**ASKED, "return_documents": True}
OBJECTS: Final = [{"text": "a", "id": 7}, {"title": "b", "year": 1}, "c"]
OF_COHERE: Final = {
    "id": "07734bd2",
    "results": [{"index": 1, "relevance_score": 0.999}, {"index": 0, "relevance_score": 0.32}],
    "meta": {"api_version": {"version": "2"}, "billed_units": {"search_units": 1.0}},
}
OF_JINA: Final = {
    "model": "model-1",
    "usage": {"total_tokens": 38},
    "results": [{"index": 1, "document": {"text": TEXTS[1]}, "relevance_score": 0.9, "x_new": [1]}],
}
OF_TEI: Final = json.dumps(
    [{"index": 1, "score": 0.99}, {"index": 2, "score": 0.5}, {"index": 0, "score": 0.01}]
).encode()
OF_NEMO: Final = {
    "rankings": [{"index": 1, "logit": 3.5}, {"index": 0, "logit": -1.25}, {"index": 2, "logit": -9}],
    "usage": {"prompt_tokens": 40, "total_tokens": 40},
}
OF_VERTEX: Final = {"records": [{"id": "1", "score": 0.97}, {"id": "0", "score": 0.2}]}


def tei(call: dict[str, Any], **more: Any) -> tuple[str, Case]:
    return "openai", Case(call, rerank_api="tei", **more)


def nemo(call: dict[str, Any], **more: Any) -> tuple[str, Case]:
    return "openai", Case(call, rerank_api="nemo", **more)


def vertex(call: dict[str, Any], **more: Any) -> tuple[str, Case]:
    return "gemini", Case(call, "semantic-ranker-default-004", rerank_api="vertex", **more)


def cohere(call: dict[str, Any], **more: Any) -> tuple[str, Case]:
    return "cohere", Case(call, **more)


def jina(call: dict[str, Any], **more: Any) -> tuple[str, Case]:
    return "openai", Case(call, **more)


def bedrock(model: str, call: dict[str, Any], **more: Any) -> tuple[str, Case]:
    return "converse", Case(call, model_id=model, **more)


COHERE: Final = "cohere.rerank-v3-5:0"
AMAZON: Final = "amazon.rerank-v1:0"
OF_BEDROCK: Final = {"results": OF_COHERE["results"]}

CASES: Final[dict[str, tuple[str, Case]]] = {
    "jina": jina({**WITH_DOCUMENTS, "x_new": {"a": 1}}, reply=OF_JINA),
    "jina_error": jina(ASKED, reply=(422, {"detail": "too long"})),
    "cohere": cohere({**ASKED, "max_tokens_per_doc": 100, "priority": 3}, reply=OF_COHERE),
    "cohere_documents": cohere(WITH_DOCUMENTS, reply=OF_COHERE),
    "cohere_objects": cohere({**WITH_DOCUMENTS, "documents": OBJECTS}, reply=OF_COHERE),
    "cohere_rank_fields": cohere({"query": "q", "documents": OBJECTS, "rank_fields": ["year", "title"]}),
    "cohere_left_out": cohere({**ASKED, "max_chunks_per_doc": 10, "top_n": 0, "x_new": 1}),
    "cohere_null": cohere({**ASKED, "max_chunks_per_doc": None, "top_n": None, "return_documents": False}),
    "cohere_rejected": cohere({**ASKED, "max_chunks_per_doc": 10}, unsupported="reject"),
    "cohere_picture": cohere({"query": "q", "documents": [{"image": "https://x.test/a.png"}]}),
    "cohere_no_query": cohere({"documents": TEXTS}),
    "cohere_no_documents": cohere({"query": "q", "documents": []}),
    "cohere_odd_document": cohere({"query": "q", "documents": [7]}),
    "cohere_odd_top_n": cohere({**ASKED, "top_n": -1}),
    "cohere_error": cohere(ASKED, reply=(429, {"id": "e-1", "message": "trial key: 10 calls a minute"})),
    "cohere_blocked": cohere(ASKED, reply=(498, {"message": "blocked"})),
    "bedrock_cohere": bedrock(COHERE, {**WITH_DOCUMENTS, "max_tokens_per_doc": 9}, reply=OF_BEDROCK),
    "bedrock_amazon": bedrock(AMAZON, {**ASKED, "max_tokens_per_doc": 9}, reply=OF_BEDROCK),
    "bedrock_error": bedrock(AMAZON, ASKED, reply=(429, {"message": "Too many requests"})),
    "tei": tei(ASKED, reply=OF_TEI),
    "tei_documents": tei({**WITH_DOCUMENTS, "documents": OBJECTS}, reply=OF_TEI),
    "tei_own": tei({**ASKED, "truncate": False, "raw_scores": True, "truncation_direction": "Left"}),
    "tei_left_out": tei({**ASKED, "max_tokens_per_doc": 9}),
    "tei_error": tei(ASKED, reply=(422, {"error": "`inputs` too long", "error_type": "Validation"})),
    "nemo": nemo(ASKED, reply=OF_NEMO),
    "nemo_documents": nemo({**WITH_DOCUMENTS, "truncate": "NONE"}, reply=OF_NEMO),
    "vertex": vertex(ASKED, reply=OF_VERTEX),
    "vertex_documents": vertex({**WITH_DOCUMENTS, "documents": OBJECTS}, reply=OF_VERTEX),
    "vertex_left_out": vertex({**ASKED, "max_tokens_per_doc": 9, "top_n": 0}),
    "vertex_error": vertex(
        ASKED,
        reply=(400, {"error": {"code": 400, "message": "Too many records.", "status": "INVALID_ARGUMENT"}}),
    ),
    "nemo_error": nemo(ASKED, reply=(404, {"object": "error", "message": "no such model", "code": 404})),
}
