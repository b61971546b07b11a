"""What a load needs: more of it never needs less, and a lost zone still carries it."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http_server import MAX_CONNECTIONS
from gateway.settings import OPTIONS
from gateway.sizing import (
    CONNECTIONS,
    IN_FLIGHT,
    INPUT_BYTES,
    MEASURED,
    MOST_BUSY,
    Load,
    busy_cores,
    size,
    told,
)

DOCS = Path(__file__).resolve().parents[2] / "docs" / "scaling.md"
LOADS = st.builds(
    Load,
    rps=st.floats(0.1, 200_000),
    stream_share=st.floats(0, 1),
    output_tokens=st.integers(1, 10_000),
    prompt_tokens=st.integers(0, 100_000),
    tokens_per_s=st.floats(1, 500),
)


def test_a_small_call_is_what_was_measured() -> None:
    """Without streams and prompts a load is its calls."""
    load = Load(1000, stream_share=0, prompt_tokens=0)
    assert busy_cores(load) == pytest.approx((MEASURED.call_us + MEASURED.call_control_us) / 1000)


def test_streams() -> None:
    """Ten calls a second of 8 s, half of them streamed: 40 streams, 2,000 events a second."""
    load = Load(10, stream_share=0.5, output_tokens=400, tokens_per_s=50)
    assert (load.open_streams, load.open_calls, load.events_per_s) == (40, 80, 2000)


@given(load=LOADS, cores=st.integers(1, 64), zones=st.integers(1, 5))
def test_any_fleet_carries_its_load(load: Load, cores: int, zones: int) -> None:
    """No core is busier than it may be, with a zone lost too, and zones have as many gateways each."""
    fleet = size(load, cores=cores, zones=zones)
    assert fleet.busy_ratio <= fleet.busy_ratio_without_zone <= MOST_BUSY + 1e-9
    assert fleet.replicas % zones == 0
    assert fleet.memory_mb > MEASURED.others_mb + cores * MEASURED.worker_mb - 1
    assert fleet.open_calls <= cores * CONNECTIONS * (1 + 1e-9)
    more = size(dataclasses.replace(load, rps=load.rps * 2), cores=cores, zones=zones)
    assert more.replicas >= fleet.replicas


def test_one_gateway_needs_no_redis() -> None:
    """What counts for one host counts in its own file."""
    assert size(Load(10), cores=4).redis_cores == 0
    assert "none is needed" in "\n".join(told(Load(10), size(Load(10), cores=4)))
    assert size(Load(5000), cores=4).redis_cores > 0


def test_memory_is_that_of_all_open_calls() -> None:
    """Those that are not streamed wait as long, and each holds its prompt until it ends."""
    load = Load(100, stream_share=0.25, output_tokens=1000, tokens_per_s=10, prompt_tokens=0)
    empty = MEASURED.others_mb + 4 * MEASURED.worker_mb
    words_mb = (2500 * MEASURED.open_stream_kb + 7500 * MEASURED.open_answer_kb) / 1000
    assert size(load, cores=4).memory_mb == pytest.approx(empty + words_mb)
    prompts = size(dataclasses.replace(load, prompt_tokens=2500), cores=4)
    # 10,000 calls of 10 KB.
    assert prompts.held_mb == pytest.approx(100)
    held_mb = MEASURED.held_prompt_ratio * 100
    assert prompts.memory_mb == pytest.approx(empty + words_mb + held_mb)


def test_open_calls_have_room() -> None:
    """Few calls that last long need gateways for their connections, and say what else has to be raised."""
    slow = Load(1000, stream_share=0, output_tokens=4000, tokens_per_s=50, prompt_tokens=20_000)
    fleet = size(slow, cores=4)
    assert (fleet.replicas, fleet.open_calls) == (2, 40_000)
    text = "\n".join(told(slow, fleet))
    assert "over --max-in-flight, 4,096 a worker: raise it to more than 10,000\n" in text
    assert "--max-input-bytes-in-flight, 536,870,912 a worker: raise it to more than 800,000,000\n" in text
    assert "over 28,000 connections of one address to one of a provider" in text
    assert not [line for line in told(Load(1000), size(Load(1000), cores=4)) if "over" in line]


def test_one_redis_is_not_enough_for_all() -> None:
    """All that is counted together is counted on one core, so a large fleet is several."""
    large = Load(20_000)
    text = "\n".join(told(large, size(large, cores=16)))
    assert "3 cores for ten limits" in text
    assert "one counts on one core, in a cluster too: make 3 groups, each with its own" in text
    small = Load(5_000)
    assert "groups" not in "\n".join(told(small, size(small, cores=4)))


def test_bounds_are_those_of_the_gateway() -> None:
    """The defaults of its flags, and what its server takes."""
    defaults = {option.flag: option.default for option in OPTIONS}
    assert defaults["max-in-flight"] == str(IN_FLIGHT)
    assert defaults["max-input-bytes-in-flight"] == str(INPUT_BYTES)
    assert CONNECTIONS == MAX_CONNECTIONS


def test_counting_in_redis_costs_workers_too() -> None:
    """One gateway does not; of several each call is dearer by what was measured."""
    load = Load(10_000, stream_share=0, prompt_tokens=0)
    one, several = size(load, cores=8), size(load, cores=1)
    assert (one.replicas, several.replicas > 1) == (1, True)
    assert one.busy_ratio * 8 == pytest.approx(busy_cores(load))
    dearer = 10_000 * MEASURED.counting_worker_us / 1e6
    assert several.busy_ratio * several.replicas == pytest.approx(busy_cores(load) + dearer)


@pytest.mark.parametrize(
    ("load", "cores", "zones", "named"),
    [
        (Load(0), 4, 1, "rps"),
        (Load(1, stream_share=1.5), 4, 1, "stream share"),
        (Load(1, output_tokens=0), 4, 1, "tokens"),
        (Load(1, tokens_per_s=0), 4, 1, "tokens per second"),
        (Load(float("nan")), 4, 1, "rps"),
        (Load(1), 0, 1, "cores"),
        (Load(1), 1, 0, "zones"),
    ],
    ids=str,
)
def test_what_is_no_load(load: Load, cores: int, zones: int, named: str) -> None:
    """It is named."""
    with pytest.raises(ValueError, match=f"^{named}: "):
        size(load, cores=cores, zones=zones)


def test_the_documentation_has_what_was_measured() -> None:
    """Every figure of the table, rounded as there, and the example is what the command prints."""
    text = DOCS.read_text()
    rows = dict(re.findall(r"^\| `(\w+)` \| ([\d.]+)", text, re.MULTILINE))
    assert {name: float(value) for name, value in rows.items()} == dataclasses.asdict(MEASURED)
    load = Load(2000, stream_share=0.5, output_tokens=400)
    for line in told(load, size(load, cores=4, zones=3)):
        assert f"    {line}\n" in text
