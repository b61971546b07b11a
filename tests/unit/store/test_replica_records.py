"""What replicas tell each other can be told again as it was."""

from __future__ import annotations

from gateway.store.replica_records import Heard, Record


def test_records_are_values() -> None:
    """Two that say the same are the same, wherever they come from; who says nothing keeps it for a minute."""
    assert Record("a:circuit", 1, "open") == Record("a:circuit", 1, "open", 60.0)
    assert Heard(0.0, 0.1, False, (Record("a", 1, "x"),)) == Heard(0.0, 0.1, False, (Record("a", 1, "x"),))
