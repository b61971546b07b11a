"""perf/scenarios/pairs.py: whom it calls as what, and what it makes of its rounds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from perf.contenders import Contender, gateway_manifests
from perf.load import Accept
from perf.payloads import CHAT_PATH
from perf.process import Program
from perf.promises import PROMISES
from perf.scenarios.pairs import PAIRS, SETUP, STREAMS, WHOLE, Pair, figures_of, section
from perf.turns import Turns
from tests.unit.config.writing import check_text
from tests.unit.perf.making import make_round, make_streams

RELAY: Final = "messages > anthropic"
TRANSLATION: Final = "chat > anthropic"
BARE: Final = make_round(worker_cpu_us=2000.0, total_cpu_us=2000.0, streams=make_streams(1.0))
ROUND: Final = make_round(worker_cpu_us=1000.0, total_cpu_us=1500.0, streams=make_streams(1.0))
TURNS: Final = Turns({"bare stack": (BARE,), RELAY: (ROUND,), TRANSLATION: (ROUND,)})
TAKEN: Final = {WHOLE: TURNS, STREAMS: TURNS}


def test_cost_is_per_chunk_of_content() -> None:
    """Dialects have more or fewer events around the same words, which would flatter the wordy ones."""
    figures = figures_of(TAKEN)
    assert figures.median(STREAMS, RELAY, "worker_chunk_cpu_us") == pytest.approx(10.0)
    assert figures.median(STREAMS, RELAY, "total_chunk_cpu_us") == pytest.approx(15.0)
    assert figures.median(STREAMS, RELAY, "chunk_cpu_ratio") == pytest.approx(0.75)
    assert figures.find(WHOLE, RELAY, "chunk_cpu_ratio") is None


def test_section_has_both_tables_and_the_chart() -> None:
    """Whole calls, streams, and a picture of every pair."""
    shown = section(TAKEN, 2.0)
    assert shown.body.count(RELAY) == shown.body.count(f"| {TRANSLATION} ") == 2
    assert "15.0 us" in shown.body
    assert "messages &gt; anthropic" in shown.charts["pairs"]
    assert shown.failed == ()


def test_a_lost_event_fails_the_pair() -> None:
    """As in the scenario of streams."""
    broken = make_round(streams=make_streams(1.0, lost_events=1))
    turns = Turns({"bare stack": (BARE,), RELAY: (broken,)})
    assert section({WHOLE: TURNS, STREAMS: turns}, 2.0).failed == (f"streams: {RELAY}: events were lost",)


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.name)
def test_a_pair_is_the_gateway_under_its_path(pair: Pair) -> None:
    """Only who relays has to give the upstream's bytes."""
    never_started = Program.__new__(Program)
    seen = pair.on(Contender("gateway", "http://127.0.0.1:1" + CHAT_PATH, "m", never_started))
    assert (seen.url, seen.model) == ("http://127.0.0.1:1" + pair.dialect.path, pair.model)
    assert (seen.name, seen.dialect) == (pair.name, pair.dialect)
    assert (seen.accept is Accept.BYTES) is pair.is_relay


def test_the_accounts_are_in_force(tmp_path: Path) -> None:
    """Whom every pair is in front of; with prices, as the others."""
    manifests = gateway_manifests(SETUP, origin="http://127.0.0.1:1", sink="http://127.0.0.1:2/v1/traces")
    checked = check_text(tmp_path, manifests, environ={"PERF_TOKEN": "t"})
    assert (checked.problems, checked.not_in_force) == ((), ())
    assert manifests.count("cost:") == 5


def test_what_is_promised_is_measured() -> None:
    """Promises name pairs."""
    promised = {one.contender for one in PROMISES if one.scenario == "pairs"}
    assert promised == {pair.name for pair in PAIRS if pair.is_relay}


def test_tools_that_were_the_limit_are_told() -> None:
    """Streams are unpaced, so they may be."""
    busy = replace(ROUND, tools_ratio=0.97)
    (doubt,) = section({**TAKEN, STREAMS: Turns({"bare stack": (BARE,), RELAY: (busy,)})}, 2.0).doubts
    assert doubt.startswith(f"streams: {RELAY}: load generator and upstream were the bottleneck")
