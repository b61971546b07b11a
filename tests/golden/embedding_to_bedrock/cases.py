"""Texts to be embedded by models of Bedrock, for tests/golden/test_pairs.py."""

from __future__ import annotations

from typing import Any, Final

from tests.golden.translated import Case

TITAN: Final = "amazon.titan-embed-text-v1"
TITAN_2: Final = "amazon.titan-embed-text-v2:0"
TITAN_IMAGE: Final = "amazon.titan-embed-image-v1"
COHERE_3: Final = "cohere.embed-english-v3"
COHERE: Final = "us.cohere.embed-v4:0"
NOVA: Final = "amazon.nova-2-multimodal-embeddings-v1:0"
ASKED: Final[dict[str, Any]] = {"input": "A red fox."}
SEVERAL: Final[dict[str, Any]] = {"input": ["A red fox.", "A grey wolf."]}
OF_TITAN: Final = {"embedding": [0.5, -0.25], "inputTextTokenCount": 5}
OF_NOVA: Final = {"embeddings": [{"embeddingType": "TEXT", "embedding": [0.5, -0.25]}]}
OF_COHERE: Final = {
    "id": "e-1",
    "embeddings": [[0.5, -0.25], [1, 0]],
    "texts": SEVERAL["input"],
    "response_type": "embeddings_floats",
}
BY_TYPE: Final = {**OF_COHERE, "embeddings": {"float": [[0.5, -0.25], [1, 0]]}}

CASES: Final[dict[str, Case]] = {
    "titan": Case(ASKED, TITAN, reply=OF_TITAN),
    "titan_its_own_length": Case({**ASKED, "dimensions": 1536}, TITAN),
    "titan_another_length": Case({**ASKED, "dimensions": 256}, TITAN),
    "titan_left_out": Case({**ASKED, "user": "u", "normalize": True, "input_type": "search_query"}, TITAN),
    "titan_rejected": Case({**ASKED, "user": "u"}, TITAN, unsupported="reject"),
    "titan_several": Case(SEVERAL, TITAN),
    "titan_2": Case({**ASKED, "dimensions": 256, "normalize": False}, TITAN_2, reply=OF_TITAN),
    "titan_2_packed": Case({**ASKED, "encoding_format": "base64"}, TITAN_2, reply=OF_TITAN),
    "titan_image": Case({**ASKED, "dimensions": 384}, TITAN_IMAGE, reply=OF_TITAN),
    "cohere_3": Case(SEVERAL, COHERE_3, reply=OF_COHERE),
    "cohere_3_another_length": Case({**SEVERAL, "dimensions": 256}, COHERE_3),
    "cohere": Case({**SEVERAL, "dimensions": 512, "encoding_format": "base64"}, COHERE, reply=BY_TYPE),
    "cohere_own": Case({**ASKED, "input_type": "search_query", "truncate": "LEFT", "max_tokens": 9}, COHERE),
    "cohere_tokens": Case({"input": [[1, 2]]}, COHERE),
    "nova": Case(ASKED, NOVA, reply=OF_NOVA),
    "nova_own": Case({**ASKED, "dimensions": 384, "input_type": "search_query", "truncate": "END"}, NOVA),
    "nova_purpose": Case({**ASKED, "input_type": "TEXT_RETRIEVAL"}, NOVA),
    "nova_several": Case(SEVERAL, NOVA),
    "unknown": Case(ASKED, "anthropic.claude-sonnet-4-5"),
    "no_input": Case({}, TITAN),
    "error_throttled": Case(ASKED, TITAN, reply=(429, {"message": "Too many requests"})),
    "error_invalid": Case(
        ASKED, TITAN, reply=(400, {"message": "Malformed input request: expected maxLength: 50000"})
    ),
}
