"""What a worker says of itself."""

from __future__ import annotations

from gateway.edge.lifecycle import Lifecycle


def test_life() -> None:
    """A worker starts, is ready, drains; only when ready it takes new work."""
    lifecycle = Lifecycle()
    assert (lifecycle.status, lifecycle.is_ready, lifecycle.is_draining) == ("starting", False, False)
    lifecycle.ready()
    assert (lifecycle.status, lifecycle.is_ready, lifecycle.is_draining) == ("ready", True, False)
    lifecycle.drain()
    assert (lifecycle.status, lifecycle.is_ready, lifecycle.is_draining) == ("draining", False, True)


def test_no_way_back_from_draining() -> None:
    """A signal that comes while starting is not forgotten when the start is done."""
    lifecycle = Lifecycle()
    lifecycle.drain()
    lifecycle.ready()
    assert lifecycle.status == "draining"
