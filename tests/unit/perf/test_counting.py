"""perf/counting.py: what is measured has been counted."""

from __future__ import annotations

from pathlib import Path

import pytest
from redis import Redis

from perf.counting import RULES, charges_of_a_call, measure_here, measure_there
from tests.rig.requires import requires
from tests.rig.valkey_server import ValkeyServer


def test_what_a_call_is_charged_for() -> None:
    """Ten rate limits and a budget, each with a counter of its own."""
    charges = charges_of_a_call()
    assert len({charge.key for charge in charges}) == RULES + 1
    assert [charge.window_s for charge in charges].count(0) == 1


def test_on_a_host() -> None:
    """Times are times, and no counter is lost."""
    found = dict(measure_here(1, 500))
    assert isinstance(found["host: CPU for a call, us"], float)
    assert found["host: of 500 counters lost"] == "0"


@requires("valkey")
async def test_in_a_server(tmp_path: Path) -> None:
    """It is left as empty as it was; one that is not empty is left alone."""
    with ValkeyServer(tmp_path) as server, Redis.from_url(server.url, protocol=2) as redis:
        found = dict(await measure_there(server.url, 1, 500))
        assert all(isinstance(figure, float) and figure >= 0 for figure in found.values())
        assert redis.dbsize() == 0
        redis.set("mine", "1")
        with pytest.raises(SystemExit, match="not empty"):
            await measure_there(server.url, 1, 500)
        assert redis.get("mine") == b"1"
