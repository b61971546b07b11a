"""Who else has a manifest open."""

from __future__ import annotations

from gateway.control.editing import GONE_AFTER_S, Editors


def test_others_are_told_while_they_are_there() -> None:
    """Not oneself, not of another manifest, and not who has left."""
    now_s = 0.0
    editors = Editors(now_s=lambda: now_s)
    assert editors.note("team", "ml", "page1", "ana") == []
    assert editors.note("team", "ml", "page1", "ana") == []
    assert editors.note("team", "ml", "page2", "ben") == ["ana"]
    assert editors.note("team", "other", "page3", "cas") == []
    assert editors.note("team", "ml", "page1", "ana") == ["ben"]
    now_s = GONE_AFTER_S
    assert editors.note("team", "ml", "page1", "ana") == []


def test_there_is_a_bound() -> None:
    """Beyond it nobody is remembered, and who is goes on."""
    editors = Editors(now_s=lambda: 0.0)
    for number in range(1100):
        editors.note("team", "ml", f"page{number}", f"user{number}")
    assert len(editors.note("team", "ml", "page0", "user0")) == 999
