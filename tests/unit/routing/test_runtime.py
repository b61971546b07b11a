"""What routes use that lives longer than a configuration."""

from __future__ import annotations

import time

from gateway.model import SessionPlace
from gateway.routing.route import TargetTimes
from gateway.routing.runtime import AllWell, Runtime


def test_nothing_is_known_of_targets() -> None:
    """Where nobody looks after their health each may be asked, and none is known to be quick."""
    health = AllWell()
    assert health.skip_reason("a/b") is None
    assert health.wait_s("a/b") == 0
    assert health.times("a/b", window_s=60) == TargetTimes()
    assert list(health.first_tokens_ms("a/b", window_s=60)) == []


def test_what_a_worker_has_by_default() -> None:
    """Sessions of this process, chance that is not settled, and the time of day."""
    first, second = Runtime(), Runtime()
    place = SessionPlace(b"k" * 16, 60)
    first.sessions.keep(place, "a/b")
    assert first.sessions.find(place.key) is not None
    assert second.sessions.find(place.key) is None
    assert first.random.random() != second.random.random()
    assert abs(first.now_s() - time.time()) < 60
