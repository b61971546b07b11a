"""Passwords that cost next to nothing, for all who are not about what a guess costs."""

from __future__ import annotations

import pytest

from gateway.control.sign_in import passwords

_QUICK_LOG_N = 4


@pytest.fixture(autouse=True)
def quick_passwords(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only in `sign_in/test_passwords.py` they have their price; 250 sessions of `test_auth.py` took 40 s."""
    if request.path.name != "test_passwords.py":
        monkeypatch.setattr(passwords, "_LOG_N", _QUICK_LOG_N)
        nobody = passwords._NOBODY.split("$")
        monkeypatch.setattr(passwords, "_NOBODY", "$".join([nobody[0], str(_QUICK_LOG_N), *nobody[2:]]))
