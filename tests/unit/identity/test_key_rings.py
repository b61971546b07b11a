"""Keys are renewed beside the calls, and the last good ones are kept."""

from __future__ import annotations

import asyncio
import json
import logging
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import pytest

from gateway.errors import GatewayError, UpstreamUnreachable
from gateway.identity import key_rings
from gateway.identity.key_rings import KeyRing, KeyRings
from gateway.model import Fetched
from tests.rig.signed_tokens import SigningKey, key_set
from tests.rig.until import until_async

ADDRESS = "https://login.acme.example/keys"
KEY = SigningKey("k1")
NEW = SigningKey("k2")


class FakeProvider:
    """Answers with what a test sets, and counts."""

    def __init__(self) -> None:
        self.answer: Fetched | GatewayError = Fetched(200, {}, key_set(KEY))
        self.asked: list[str] = []

    async def __call__(self, url: str, *, limit_bytes: int, timeout_s: float) -> Fetched:
        self.asked.append(url)
        if isinstance(self.answer, GatewayError):
            raise self.answer
        return self.answer


@pytest.fixture
def provider() -> FakeProvider:
    return FakeProvider()


@pytest.fixture
async def rings(tmp_path: Path, provider: FakeProvider) -> AsyncIterator[KeyRings]:
    made = KeyRings(provider, tmp_path, Random(1))
    yield made
    await made.close()


def has(ring: KeyRing, key: SigningKey) -> bool:
    return ring.keys is not None and ring.keys.find(key.kid, key.algorithm) is not None


async def test_first_keys(rings: KeyRings, provider: FakeProvider, tmp_path: Path) -> None:
    """Whoever follows an address has its keys when it goes on; the file is nobody else's."""
    ring = rings.ring(ADDRESS)
    assert rings.ring(ADDRESS) is ring
    assert (ring.keys, ring.state) == (None, "away")
    await rings.follow([ADDRESS], wait_s=5.0)
    assert has(ring, KEY)
    assert (ring.state, rings.word(), provider.asked) == ("ok", "ok", [ADDRESS])
    [file] = (tmp_path / "keys").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


async def test_a_restart_without_the_provider(
    rings: KeyRings, provider: FakeProvider, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The last good keys are there at once, and it is said, once, that they are of before."""
    await rings.follow([ADDRESS], wait_s=5.0)
    provider.answer = UpstreamUnreachable("No connection.", detail="refused")
    later = KeyRings(provider, tmp_path, Random(1))
    ring = later.ring(ADDRESS)
    assert has(ring, KEY)
    with caplog.at_level(logging.WARNING):
        await later.follow([ADDRESS], wait_s=5.0)
        await until_async(lambda: later.word() == "stale", "the failure is known")
    assert has(ring, KEY)
    [record] = caplog.records
    assert "refused; until they can, those of before are used" in record.getMessage()
    await later.close()


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (Fetched(500, {}, b"{}"), "it answered 500"),
        (Fetched(302, {"location": "http://169.254.169.254/"}, b""), "it answered 302"),
        (Fetched(200, {}, b"<html>"), "it holds no JSON"),
        (Fetched(200, {}, b'{"keys": []}'), "no key that could have signed"),
    ],
)
async def test_bad_answers(
    rings: KeyRings,
    provider: FakeProvider,
    caplog: pytest.LogCaptureFixture,
    answer: Fetched,
    why: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Change no keys; said once, asked again and again, and told when it is over."""
    monkeypatch.setattr(key_rings, "_RETRY_S", (0.01, 0.02))
    monkeypatch.setattr(key_rings, "EARLY_AFTER_S", 0.0)
    good, provider.answer = provider.answer, answer
    with caplog.at_level(logging.INFO):
        await rings.follow([ADDRESS], wait_s=5.0)
        assert rings.word() == "away"
        await until_async(lambda: len(provider.asked) > 3, "it is asked again")
        [record] = caplog.records
        assert why in record.getMessage()
        assert "its tokens are refused" in record.getMessage()
        provider.answer = good
        await until_async(lambda: rings.word() == "ok", "the keys are there")
    assert [entry.levelname for entry in caplog.records] == ["WARNING", "INFO"]
    ring = rings.ring(ADDRESS)
    provider.answer = answer
    ring.ask()
    await until_async(lambda: rings.word() == "stale", "the next failure is known")
    assert has(ring, KEY)


async def test_a_change(rings: KeyRings, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is asked for early comes early; a set that did not change stays the same object."""
    monkeypatch.setattr(key_rings, "EARLY_AFTER_S", 0.0)
    await rings.follow([ADDRESS], wait_s=5.0)
    ring = rings.ring(ADDRESS)
    before = ring.keys
    ring.ask()
    await until_async(lambda: len(provider.asked) == 2, "it is asked again")
    assert ring.keys is before
    provider.answer = Fetched(200, {}, key_set(NEW))
    ring.ask()
    await until_async(lambda: has(ring, NEW), "the new key is there")
    assert not has(ring, KEY)


async def test_early_but_not_always(provider: FakeProvider, tmp_path: Path) -> None:
    """Between two questions there is a pause, however many tokens name unknown keys."""
    now_s = 100.0
    rings = KeyRings(provider, tmp_path, Random(1), now_s=lambda: now_s)
    ring = rings.ring(ADDRESS)
    assert ring.early_after_s() == 0.0
    await ring.renew(provider)
    assert ring.early_after_s() == key_rings.EARLY_AFTER_S
    now_s += key_rings.EARLY_AFTER_S - 1
    assert ring.early_after_s() == 1.0
    now_s += 2
    assert ring.early_after_s() == 0.0


@pytest.mark.parametrize(
    ("header", "kept_for_s"),
    [
        ({}, 300.0),
        ({"cache-control": "public, max-age=900, must-revalidate"}, 900.0),
        ({"cache-control": "MAX-AGE=900"}, 900.0),
        ({"cache-control": "max-age=0"}, 60.0),
        ({"cache-control": "max-age=86400"}, 3600.0),
        ({"cache-control": "s-maxage=900"}, 300.0),
        ({"cache-control": "max-age=soon"}, 300.0),
    ],
)
async def test_how_long(
    provider: FakeProvider, tmp_path: Path, header: dict[str, str], kept_for_s: float
) -> None:
    """As the provider says, within bounds."""
    provider.answer = Fetched(200, header, key_set(KEY))
    ring = KeyRings(provider, tmp_path, Random(1)).ring(ADDRESS)
    assert await ring.renew(provider) == kept_for_s


async def test_what_is_no_longer_configured(rings: KeyRings, provider: FakeProvider) -> None:
    """Is asked no more, and its state says nothing."""
    provider.answer = UpstreamUnreachable("No connection.")
    await rings.follow([ADDRESS], wait_s=5.0)
    assert rings.word() == "away"
    await rings.follow([], wait_s=5.0)
    assert rings.word() is None


async def test_no_endless_wait(tmp_path: Path) -> None:
    """A provider that does not answer holds up nobody for longer than is said."""

    async def silent(url: str, *, limit_bytes: int, timeout_s: float) -> Fetched:
        await asyncio.Event().wait()
        raise AssertionError

    rings = KeyRings(silent, tmp_path, Random(1))
    await rings.follow([ADDRESS], wait_s=0.01)
    assert rings.word() == "away"
    await rings.close()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b'{"address": "https://login.acme.example/keys"}',
        json.dumps({"address": ADDRESS, "keys": "nothing"}).encode(),
        json.dumps({"address": "https://evil.example/keys", "keys": key_set(KEY).decode()}).encode(),
    ],
)
async def test_damaged_files(tmp_path: Path, provider: FakeProvider, content: bytes) -> None:
    """Are as good as none, as is one of another address."""
    rings = KeyRings(provider, tmp_path, Random(1))
    await rings.follow([ADDRESS], wait_s=5.0)
    await rings.close()
    await until_async(lambda: list((tmp_path / "keys").glob("*.json")), "the keys are kept")
    [file] = (tmp_path / "keys").glob("*.json")
    file.write_bytes(content)
    assert KeyRings(provider, tmp_path, Random(1)).ring(ADDRESS).keys is None


async def test_a_folder_that_cannot_be_written(
    tmp_path: Path, provider: FakeProvider, caplog: pytest.LogCaptureFixture
) -> None:
    """Costs what a restart would have had, and is said."""
    (tmp_path / "keys").write_text("in the way")
    rings = KeyRings(provider, tmp_path, Random(1))
    await rings.follow([ADDRESS], wait_s=5.0)
    assert rings.word() == "ok"
    await rings.close()
    assert "after a restart the keys of" in caplog.text
