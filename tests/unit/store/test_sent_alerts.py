"""Which alerts have been sent, over restarts."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.store import sent_alerts
from gateway.store.sent_alerts import FILE_NAME, SentAlerts
from tests.unit.doubles import Clock

NOW_S = 1_800_000_000.0


def test_what_was_sent_is_known_after_a_restart(tmp_path: Path) -> None:
    """Until its window has ended; of a window without end for ever."""
    path, clock = tmp_path / FILE_NAME, Clock(NOW_S)
    sent = SentAlerts(path, now_s=clock)
    assert not sent.has("a")
    sent.add({"a": NOW_S + 60, "b": None})
    assert path.stat().st_mode & 0o777 == 0o600
    again = SentAlerts(path, now_s=clock)
    assert (again.has("a"), again.has("b"), again.has("c")) == (True, True, False)
    clock.now_s += 61
    again.add({"c": None})
    assert [SentAlerts(path).has(key) for key in "abc"] == [False, True, True]


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b'{"sent": [1]}', b'{"sent": {"a": "x"}}'])
def test_a_damaged_file(tmp_path: Path, data: bytes) -> None:
    """It says nothing, and is written anew."""
    path = tmp_path / FILE_NAME
    path.write_bytes(data)
    sent = SentAlerts(path)
    assert not sent.has("a")
    sent.add({"a": None})
    assert SentAlerts(path).has("a")


def test_what_cannot_be_written(tmp_path: Path) -> None:
    """It is known as long as the process lives."""
    sent = SentAlerts(tmp_path / "gone" / FILE_NAME)
    with pytest.raises(FileNotFoundError):
        sent.add({"a": None})
    assert sent.has("a")


def test_there_is_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest go."""
    monkeypatch.setattr(sent_alerts, "MOST", 2)
    sent = SentAlerts(tmp_path / FILE_NAME)
    sent.add(dict.fromkeys("abc"))
    assert [sent.has(key) for key in "abc"] == [False, True, True]
