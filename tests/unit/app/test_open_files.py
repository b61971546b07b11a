"""What is said when no file descriptor is left."""

from __future__ import annotations

import pytest

from gateway.app.open_files import OpenFiles


def test_each_change_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    """However long it lasts; and nothing while all is well."""
    left = iter([True, False, False, True, True, False])
    files = OpenFiles(lambda: next(left))
    for _ in range(6):
        files.look()
    said = [(record.levelname, record.getMessage()[:22]) for record in caplog.records]
    assert said == [
        ("ERROR", "no file descriptor is "),
        ("WARNING", "file descriptors are l"),
        ("ERROR", "no file descriptor is "),
    ]


def test_this_process_has_some(caplog: pytest.LogCaptureFixture) -> None:
    """By default it looks for itself."""
    OpenFiles().look()
    assert not caplog.records
