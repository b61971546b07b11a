"""What pairs make of calls, against golden files; `make golden` rewrites them, review the diff."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import pytest

from gateway.endpoints.catalogue import CHAT, EMBEDDING, MESSAGES, RERANK
from tests.golden.chat_to_cohere import cases as chat_to_cohere
from tests.golden.chat_to_converse import cases as chat_to_converse
from tests.golden.chat_to_gemini import cases as chat_to_gemini
from tests.golden.chat_to_messages import cases as chat_to_messages
from tests.golden.conftest import Compare
from tests.golden.converse_replies import complaints_of
from tests.golden.embedding_to_bedrock import cases as embedding_to_bedrock
from tests.golden.messages_to_chat import cases as messages_to_chat
from tests.golden.messages_to_cohere import cases as messages_to_cohere
from tests.golden.messages_to_converse import cases as messages_to_converse
from tests.golden.messages_to_gemini import cases as messages_to_gemini
from tests.golden.rerank import cases as rerank
from tests.golden.translated import translated

FOLDER: Final = Path(__file__).parent
CASES: Final = {
    f"{folder}/{name}": (endpoint, dialect, case)
    for folder, endpoint, dialect, cases in (
        ("chat_to_cohere", CHAT, "cohere", chat_to_cohere.CASES),
        ("chat_to_converse", CHAT, "converse", chat_to_converse.CASES),
        ("chat_to_gemini", CHAT, "gemini", chat_to_gemini.CASES),
        ("chat_to_messages", CHAT, "anthropic", chat_to_messages.CASES),
        ("embedding_to_bedrock", EMBEDDING, "converse", embedding_to_bedrock.CASES),
        ("messages_to_chat", MESSAGES, "openai", messages_to_chat.CASES),
        ("messages_to_cohere", MESSAGES, "cohere", messages_to_cohere.CASES),
        ("messages_to_converse", MESSAGES, "converse", messages_to_converse.CASES),
        ("messages_to_gemini", MESSAGES, "gemini", messages_to_gemini.CASES),
    )
    for name, case in cases.items()
} | {f"rerank/{name}": (RERANK, dialect, case) for name, (dialect, case) in rerank.CASES.items()}
OF_CONVERSE: Final = [name for name in CASES if "_to_converse/" in name]


@pytest.mark.parametrize("name", CASES)
def test_pair_is_golden(name: str, compare: Compare) -> None:
    """What the target is sent, and what the caller gets of its answer."""
    text = json.dumps(translated(*CASES[name]), indent=2, ensure_ascii=False) + "\n"
    compare(FOLDER / f"{name}.json", text)


def test_every_file_has_its_case() -> None:
    """A golden file that nothing compares with says nothing."""
    folders = {name.partition("/")[0] for name in CASES}
    files = (file for folder in folders for file in (FOLDER / folder).glob("*.json"))
    assert {f"{file.parent.name}/{file.stem}" for file in files} == set(CASES)


@pytest.mark.parametrize("name", OF_CONVERSE)
def test_bedrock_takes_it(name: str) -> None:
    """Each body is one by AWS's own description of the call."""
    request = json.loads((FOLDER / f"{name}.json").read_text()).get("request")
    assert request is None or complaints_of(request) == ""
