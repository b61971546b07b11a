"""Tokens of who is signed in to the dashboard."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path

import pytest

from gateway.errors import InvalidApiKey
from gateway.identity.dashboard_tokens import FILE_NAME, LIFE_S, Claims, DashboardKey, DashboardTokens
from gateway.model import Caller

NOW_S = 1_700_000_000.0
ADA = Caller("ada", frozenset({"a/b"}), kind="user")


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def tokens(folder: Path, *, now_s: float = NOW_S, caller: Caller | None = ADA) -> DashboardTokens:
    return DashboardTokens(DashboardKey(folder), lambda _claims, _now_s: caller, None, now_s=lambda: now_s)


def find(found: DashboardTokens, token: str) -> Caller | None:
    sent = token.encode()
    return found.find(sent, hashlib.sha256(sent).digest())


def mint(folder: Path, *, is_admin: bool = True) -> str:
    return DashboardKey(folder).mint("ada", is_admin=is_admin, now_s=NOW_S)


def test_a_worker_takes_what_control_made(tmp_path: Path) -> None:
    """Through the file alone, which nobody else may read."""
    assert find(tokens(tmp_path), mint(tmp_path)) is ADA
    assert (tmp_path / FILE_NAME).stat().st_mode & 0o777 == 0o600


def test_it_says_who_and_which_role(tmp_path: Path) -> None:
    """The caller is worked out from these."""
    key = DashboardKey(tmp_path)
    token = key.mint("ada", is_admin=False, now_s=NOW_S)
    assert key.read(token.encode()) == Claims("ada", False, NOW_S + LIFE_S)


def test_keys_for_other_purposes(tmp_path: Path) -> None:
    """The same after a restart, another for another purpose, and none that signs a token."""
    derived = DashboardKey(tmp_path).derived(b"tags")
    assert derived == DashboardKey(tmp_path).derived(b"tags")
    assert len({derived, DashboardKey(tmp_path).derived(b"more"), (tmp_path / FILE_NAME).read_bytes()}) == 3
    assert find(tokens(tmp_path), mint(tmp_path)) is ADA


def test_an_expired_one_is_refused(tmp_path: Path) -> None:
    """From the moment on that it says."""
    token = mint(tmp_path)
    assert find(tokens(tmp_path, now_s=NOW_S + LIFE_S - 1), token) is ADA
    with pytest.raises(InvalidApiKey, match="expired"):
        find(tokens(tmp_path, now_s=NOW_S + LIFE_S), token)


def test_a_viewer_without_a_personal_token_is_refused(tmp_path: Path) -> None:
    """And told why."""
    with pytest.raises(InvalidApiKey, match="viewer"):
        find(tokens(tmp_path, caller=None), mint(tmp_path, is_admin=False))


def test_a_foreign_one_is_unknown(tmp_path: Path) -> None:
    """Each gateway has a key of its own."""
    for name in ("ours", "theirs"):
        (tmp_path / name).mkdir()
        mint(tmp_path / name)
    assert find(tokens(tmp_path / "ours"), mint(tmp_path / "theirs")) is None


def forged(token: str) -> list[str]:
    head, _, signature = token.removeprefix("gwd_").partition(".")
    claims = json.loads(base64.urlsafe_b64decode(head))
    other = base64.urlsafe_b64encode(json.dumps(claims | {"sub": "root"}).encode()).decode()
    last = "0" if signature[-1] != "0" else "1"
    return [
        f"gwd_{other}.{signature}",
        f"gwd_{head}.{signature[:-1]}{last}",
        f"gwd_{head}.",
        f"gwd_{head}",
        f"gwd_.{signature}",
        "gwd_",
        "gwd_" + "a" * 5000,
        f"gwd_{head}.{signature.upper()}0",
        f"gwd_{head}.é",
    ]


def test_forged_ones_are_unknown(tmp_path: Path) -> None:
    """Whatever is changed in one."""
    token = mint(tmp_path)
    found = tokens(tmp_path)
    assert [one for one in forged(token) if find(found, one) is not None] == []
    assert find(found, token) is ADA


def test_without_a_key_nothing_is_taken(tmp_path: Path) -> None:
    """An empty key signs nothing, and neither does one that others may read."""
    token = mint(tmp_path)
    (tmp_path / FILE_NAME).chmod(0o644)
    assert find(tokens(tmp_path), token) is None
    (tmp_path / FILE_NAME).chmod(0o600)
    (tmp_path / FILE_NAME).write_bytes(b"")
    assert find(tokens(tmp_path), token) is None


def test_a_new_key_is_read_but_not_for_every_guess(tmp_path: Path) -> None:
    """Who guesses does not make a worker read the disk; a file made anew is seen a second later."""
    clock = Clock()
    worker = DashboardKey(tmp_path, monotonic_s=clock)
    assert worker.read(mint(tmp_path).encode()) is not None
    (tmp_path / FILE_NAME).unlink()
    token = mint(tmp_path).encode()
    assert worker.read(token) is None
    clock.now_s += 1.0
    assert worker.read(token) is not None


def test_other_tokens_are_passed_on(tmp_path: Path) -> None:
    """To who knows those of identity providers; without one they are unknown."""

    class Others:
        def find(self, token: bytes, digest: bytes) -> Caller | None:
            return ADA if token == b"eyJ" else None

        def find_again(self, token: bytes, digest: bytes) -> Caller | None:
            return ADA if token == b"old" else None

        def knows(self, digest: bytes) -> bool:
            return digest == b"d"

    found = DashboardTokens(DashboardKey(tmp_path), lambda _claims, _now_s: None, Others())
    assert find(found, "eyJ") is ADA
    assert found.find_again(b"old", b"") is ADA
    assert found.find_again(b"gwd_x", b"") is tokens(tmp_path).find_again(b"old", b"") is None
    assert found.knows(b"d")
    assert not tokens(tmp_path).knows(b"d")
    assert find(tokens(tmp_path), "eyJ") is None
