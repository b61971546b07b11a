"""Names of tools that are too long for OpenAI."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from gateway.endpoints.catalogue import MESSAGES
from gateway.endpoints.openai_call import parse_call
from gateway.translate.tool_names import MAX_CHARACTERS, LongNames, short_name

NAMES = st.text("abcdefgh_-", min_size=1, max_size=128)


def names_of(*tools: object) -> LongNames:
    body = json.dumps({"model": "a/b", "tools": list(tools)}).encode()
    return LongNames(parse_call(MESSAGES, body, model=None, account=None))


@given(st.lists(NAMES, unique=True, max_size=5))
def test_there_and_back(names: list[str]) -> None:
    """Each is short enough, none is another's, and the caller gets its own back."""
    short = [short_name(name) for name in names]
    assert all(len(name) <= MAX_CHARACTERS for name in short)
    assert len(set(short)) == len(names)
    known = names_of(*({"name": name} for name in names))
    assert [known.of(name) for name in short] == names


def test_stable() -> None:
    """The same in each turn and each process, or a model would not know its own calls again."""
    assert short_name("a" * 65) == "a" * 51 + "_635361c48bb9"
    assert short_name("a" * 64) == "a" * 64


def test_a_name_that_nobody_gave() -> None:
    """What the model made up stays what it is."""
    assert names_of({"name": "x"}, 7, {"type": "web_search"}).of("y" * 64) == "y" * 64
    assert names_of().of("short") == "short"
