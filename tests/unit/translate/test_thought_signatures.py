"""Signatures in ids and blocks: found again as they were, and by whom they were made."""

from __future__ import annotations

import base64
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.translate.thought_signatures import (
    Service,
    Signature,
    find_in_block,
    in_block,
    in_id,
    service_of,
    signature_for,
    take_from_id,
)
from tests.unit.makers import make_target

SERVICES = st.sampled_from(["gemini", "vertex"])
IDS = st.from_regex(r"[a-zA-Z0-9_-]{1,20}", fullmatch=True)


@given(IDS, SERVICES, st.binary(min_size=1))
def test_an_id_gives_it_back(call_id: str, service: Service, signature: bytes) -> None:
    """The same bytes in letters that Anthropic takes in an id, and the id as it was."""
    written = in_id(call_id, Signature(service, base64.b64encode(signature).decode()))
    assert re.fullmatch(r"[a-zA-Z0-9_-]+", written)
    plain, found = take_from_id(written)
    assert found is not None
    assert (plain, found.service) == (call_id, service)
    assert base64.urlsafe_b64decode(found.text + "=" * (-len(found.text) % 4)) == signature


@given(SERVICES, st.text(min_size=1))
def test_a_block_gives_it_back(service: Service, signature: str) -> None:
    """To the letter."""
    assert find_in_block(in_block(Signature(service, signature))) == Signature(service, signature)


@given(IDS)
def test_other_ids_are_left(call_id: str) -> None:
    """An id of another provider holds none."""
    assert take_from_id(call_id) == (call_id, None)


def test_a_long_id_takes_no_time() -> None:
    """Whatever a caller makes up is looked through once: this would take minutes otherwise."""
    made_up = "_gemini_thought_" * 100_000 + "!"
    assert take_from_id(made_up) == (made_up, None)


def test_a_signature_that_is_no_base64() -> None:
    """Its letters are replaced, so that the id is still one; Google refuses what it did not make anyway."""
    assert re.fullmatch(r"[a-zA-Z0-9_-]+", in_id("a", Signature("gemini", "ü.")))


@pytest.mark.parametrize("text", ["", "EqQBCgIYAhIM", "gemini-thought:", "other-thought:a"])
def test_other_blocks_have_none(text: str) -> None:
    """Anthropic's own signature means nothing to Google."""
    assert find_in_block(text) is None


def test_who_made_it() -> None:
    """Vertex dates its replies, the Gemini API does not."""
    assert service_of({"createTime": "2025-08-19T14:55:25.379701Z"}) == "vertex"
    assert service_of({"responseId": "x"}) == "gemini"


def test_only_its_own() -> None:
    """A target gets back what its own service made: the other cannot read it."""
    vertex, gemini = make_target(provider="gcp.vertex_ai"), make_target(provider="gcp.gemini")
    ours = Signature("vertex", "s")
    assert (signature_for(vertex, ours), signature_for(gemini, ours)) == ("s", "")
    assert signature_for(gemini, Signature("gemini", "s")) == "s"
    assert signature_for(gemini, None) == ""
