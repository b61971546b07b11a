"""What is dear to make and no test is about: passwords that cost something, files of the pages zipped."""

from __future__ import annotations

from functools import cache
from importlib.resources.abc import Traversable

import pytest

from gateway.control.pages import static_files
from gateway.control.sign_in import passwords

_QUICK_LOG_N = 4
_read_files = static_files._read


@pytest.fixture(autouse=True)
def quick_passwords(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only in `sign_in/test_passwords.py` they have their price; 250 sessions of `test_auth.py` took 40 s."""
    if request.path.name != "test_passwords.py":
        monkeypatch.setattr(passwords, "_LOG_N", _QUICK_LOG_N)
        nobody = passwords._NOBODY.split("$")
        monkeypatch.setattr(passwords, "_NOBODY", "$".join([nobody[0], str(_QUICK_LOG_N), *nobody[2:]]))


@pytest.fixture(autouse=True)
def files_zipped_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A control plane reads and zips the files of its pages once: 15 ms for each of those made here."""
    monkeypatch.setattr(static_files, "_read", _read_once)


@cache
def _read_once(folder: Traversable, prefix: str) -> tuple[tuple[str, static_files.StaticFile], ...]:
    return tuple(_read_files(folder, prefix))
