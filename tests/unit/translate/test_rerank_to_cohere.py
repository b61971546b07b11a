"""Answers of Cohere to calls that rank documents."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from gateway.translate import rerank_to_cohere
from gateway.translate.rerank_call import Ranking
from tests.rig.requires import requires
from tests.unit.makers import make_target
from tests.unit.recorded import read_recorded
from tests.unit.translate.test_rerank_call import call_of

DOCUMENTS: Final = ["a", "b", "c"]
TARGET: Final = make_target(dialect="cohere")


@requires("recordings")
def test_recorded(recordings: Path) -> None:
    """It passes as it came, and with its documents where the caller wants them."""
    (item,) = read_recorded(recordings, "cohere-rerank")
    plain = call_of(query="q", documents=DOCUMENTS)
    assert rerank_to_cohere.read(plain, item.body, started_at_ns=0)[0] == item.body
    wanted = call_of(query="q", documents=DOCUMENTS, return_documents=True)
    reply, facts = rerank_to_cohere.read(wanted, item.body, started_at_ns=0)
    told = json.loads(reply)
    assert [result.pop("document") for result in told["results"]] == [{"text": "b"}, {"text": "a"}]
    assert told == json.loads(item.body)
    assert facts.usage is not None
    assert facts.usage.search_units == 1


def test_what_cohere_has_no_word_for() -> None:
    """Its second version gives no documents back and counts no chunks."""
    call = call_of(query="q", documents=DOCUMENTS, return_documents=True, max_chunks_per_doc=3)
    body, left_out = rerank_to_cohere.write(call, TARGET)
    assert json.loads(body) == {"model": "small-1", "query": "q", "documents": DOCUMENTS}
    assert left_out == ("max_chunks_per_doc",)


def test_what_cohere_is_asked() -> None:
    """Its own words for it, and those of its fields that are wanted."""
    call = call_of(query="q", documents=DOCUMENTS, top_n=2, priority=1, max_tokens_per_doc=9)
    ranking = Ranking(call, TARGET)
    asked = rerank_to_cohere.asked(ranking, "priority")
    assert asked == {"query": "q", "documents": DOCUMENTS, "priority": 1, "top_n": 2}
    assert ranking.left_out.names == ["max_tokens_per_doc"]
