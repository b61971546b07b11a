"""Replicas meet in a real Valkey: the newer record stands, each is heard once, and nothing waits for long."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pytest
from redis.asyncio import Redis

from gateway.store import replicas as store_replicas
from gateway.store.replica_records import Heard, Record, ReplicasAwayError
from gateway.store.replicas import TARGETS, Replicas, shown, trusting
from tests.rig.requires import requires
from tests.rig.valkey_server import PASSWORD, ClusterNode, ValkeyServer, form_cluster, home_of

pytestmark = requires("valkey")
PAGE: Final = (Path(__file__).resolve().parents[3] / "docs" / "operations.md").read_text(encoding="utf-8")
DEADLINE_S: Final = 60.0


def values(heard: Heard) -> list[str]:
    """What the records say."""
    return [record.value for record in heard.records]


class Meeting:
    """Replicas of one server, closed at the end."""

    def __init__(self, server: ValkeyServer) -> None:
        self.server = server
        self._began_s = time.monotonic()
        self._open: list[Replicas] = []

    def replica(self, url: str = "") -> Replicas:
        replicas = Replicas(url or self.server.url)
        self._open.append(replicas)
        return replicas

    @property
    def is_in_time(self) -> bool:
        """What is waited for may still come."""
        return time.monotonic() < self._began_s + DEADLINE_S

    async def close(self) -> None:
        for replicas in self._open:
            await replicas.close()


def wait_for_answers(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    for name in ("EXCHANGE_S", "_SOCKET_S"):
        monkeypatch.setattr(store_replicas, name, seconds)


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that answers may be slower than replicas wait, since tests share a machine."""
    wait_for_answers(monkeypatch, 30.0)


@pytest.fixture
async def meeting(server: ValkeyServer) -> AsyncIterator[Meeting]:
    server.restart()
    meeting = Meeting(server)
    yield meeting
    await meeting.close()


async def test_what_is_no_record(meeting: Meeting) -> None:
    """Somebody else's words are passed over, and what replicas say is heard all the same."""
    one, other = meeting.replica(), meeting.replica()
    await one.exchange([Record("a", 1, "x")])
    redis: Any = Redis.from_url(meeting.server.url)
    for place, value in enumerate((b"soon y", b"", b"2 \xff"), start=10):
        await redis.hset(f"{TARGETS}:records", f"bad{place}", value)
        await redis.zadd(f"{TARGETS}:order", {f"bad{place}": place})
    await redis.aclose()
    assert values(await other.exchange([Record("b", 2, "y")])) == ["x", "y"]


async def test_each_hears_what_is_new(meeting: Meeting) -> None:
    """Once, and who comes later all of it; what one told itself is among it."""
    first, second = meeting.replica(), meeting.replica()
    told = Record("a:circuit", 10, "open 5 6")
    heard = await first.exchange([told])
    assert (heard.is_new, heard.records) == (True, (told,))
    assert (await second.exchange([])).records == (told,)
    assert (await second.exchange([])).records == ()
    more = Record("b:pause", 11, "pause")
    assert (await second.exchange([more])).records == (more,)
    heard = await first.exchange([])
    assert (heard.is_new, heard.records) == (False, (more,))
    second.hear_all()
    assert set((await second.exchange([])).records) == {told, more}


async def test_the_newer_stands(meeting: Meeting) -> None:
    """Whoever comes first or last; what is as old as what is there is no news."""
    first, second = meeting.replica(), meeting.replica()
    await first.exchange([Record("a:circuit", 1_764_000_000_000_010, "newer")])
    await second.exchange([])
    heard = await second.exchange(
        [
            Record("a:circuit", 1_764_000_000_000_009, "older"),
            Record("a:circuit", 1_764_000_000_000_010, "same"),
        ]
    )
    assert heard.records == ()
    assert values(await meeting.replica().exchange([])) == ["newer"]
    await second.exchange([Record("a:circuit", 1_764_000_000_000_011, "newest")])
    assert values(await first.exchange([])) == ["newest"]


async def test_records_end(meeting: Meeting) -> None:
    """After their time nobody hears of them, and an older one may stand again."""
    first = meeting.replica()
    await first.exchange([Record("a:pause", 20, "gone soon", keep_s=0.05), Record("b:pause", 20, "stays")])

    async def left() -> list[str]:
        return values(await meeting.replica().exchange([]))

    while await left() != ["stays"]:
        assert meeting.is_in_time
    assert values(await first.exchange([Record("a:pause", 1, "again")])) == ["again"]


async def test_the_servers_clock(meeting: Meeting) -> None:
    """A host whose clock is slow knows by how much."""
    slow = Replicas(meeting.server.url, now_s=lambda: time.time() - 100)
    heard = await slow.exchange([])
    await slow.close()
    assert heard.ahead_s == pytest.approx(100, abs=heard.took_s / 2 + 0.01)


async def test_a_server_that_has_forgotten(meeting: Meeting) -> None:
    """After a restart without its memory it says that it is another one, and what is told then stands."""
    first, second = meeting.replica(), meeting.replica()
    await first.exchange([Record("a:circuit", 10, "open")])
    await second.exchange([])
    meeting.server.restart()

    heard = await second.exchange([Record("a:circuit", 9, "told again")])
    assert heard.is_new
    assert values(heard) == ["told again"]
    assert values(await meeting.replica().exchange([])) == ["told again"]


async def test_a_server_that_is_gone(meeting: Meeting) -> None:
    """An error that names the server and not its password; once it is back all goes on."""
    first = meeting.replica()
    await first.exchange([])
    meeting.server.kill()
    for _ in range(2):
        with pytest.raises(ReplicasAwayError) as caught:
            await first.exchange([])
        assert PASSWORD not in str(caught.value)
    meeting.server.start()
    assert (await first.exchange([])).is_new


async def test_a_server_that_answers_nothing(meeting: Meeting, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exchange ends all the same, with a connection or without; the next one is right."""
    first, second = meeting.replica(), meeting.replica()
    await first.exchange([])
    meeting.server.pause()
    try:
        wait_for_answers(monkeypatch, 0.5)
        for replicas in (first, second):
            with pytest.raises(ReplicasAwayError):
                await replicas.exchange([Record("a:circuit", 5, "maybe told")])
        wait_for_answers(monkeypatch, 30.0)
    finally:
        meeting.server.go_on()
    told = Record("b:circuit", 6, "told")
    heard = await first.exchange([told])
    assert told in heard.records


async def test_rights(meeting: Meeting) -> None:
    """What docs/operations.md says a user needs is enough, on our keys alone."""
    [needed] = re.findall(r"Its user needs (.*?) on the keys `([^`]*)`", PAGE, re.DOTALL)
    commands = [f"+{name.lower().replace(' ', '|')}" for name in re.findall("`([^`]*)`", needed[0])]
    admin: Any = Redis.from_url(meeting.server.url, protocol=2)
    await admin.execute_command(
        "ACL", "SETUSER", "narrow", "reset", "on", ">pass", f"~{needed[1]}", *commands
    )
    await admin.aclose()
    narrow = meeting.replica(f"redis://narrow:pass@127.0.0.1:{meeting.server.port}/0")
    told = Record("a:pause", 5, "x", keep_s=0.01)
    assert values(await narrow.exchange([told])) == ["x"]
    while values(await meeting.replica().exchange([])):
        assert meeting.is_in_time
    assert values(await narrow.exchange([told])) == ["x"]


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("redis://:canary-wrong-password@127.0.0.1:{port}/0", "invalid username-password pair"),
        ("redis://127.0.0.1:{port}/0", "Authentication required"),
        ("rediss://:canary-wrong-password@127.0.0.1:{port}/0", "Timeout"),
        ("redis://:canary-wrong-password@127.0.0.1:{closed}/0", "Connect"),
        ("unix:///nowhere/canary-wrong-password.sock", "No such file"),
    ],
)
async def test_what_cannot_be_used(
    meeting: Meeting, url: str, word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error says why, in one form, whatever the library calls it."""
    if word == "Timeout":
        wait_for_answers(monkeypatch, 1.0)
    replicas = meeting.replica(url.format(port=meeting.server.port, closed=1))
    with pytest.raises(ReplicasAwayError, match=word) as caught:
        await replicas.exchange([])
    assert url.startswith("unix") or "canary" not in str(caught.value)


async def test_a_cluster(tmp_path: Path) -> None:
    """Any of its nodes leads to the one that has the table, and is asked again once that is gone."""
    nodes = [ClusterNode(tmp_path / name) for name in ("one", "two", "three")]
    with nodes[0], nodes[1], nodes[2]:
        form_cluster(nodes)
        home = home_of(b"{gateway:targets}", nodes)
        asked = nodes[(home + 1) % 3]
        meeting = Meeting(asked)
        told = Record("a:circuit", 10, "open 5 6")
        first, second = meeting.replica(), meeting.replica(nodes[home].url)
        assert (await first.exchange([told])).records == (told,)
        assert (await second.exchange([])).records == (told,)
        assert (await first.exchange([])).records == ()
        nodes[home].kill()
        with pytest.raises(ReplicasAwayError):
            await first.exchange([])
        with pytest.raises(ReplicasAwayError):
            await first.exchange([])
        nodes[home].start()
        while meeting.is_in_time:
            try:
                await first.exchange([])
            except ReplicasAwayError:
                continue
            break
        assert (await first.exchange([told])).records == (told,)
        await meeting.close()


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("redis://user:canary@host:6379/2?db=3", "redis://host:6379/2"),
        ("rediss://:canary@[::1]:1/0", "rediss://[::1]:1/0"),
        ("redis://host", "redis://host"),
        ("unix://:canary@/run/valkey.sock?db=1", "unix:///run/valkey.sock"),
    ],
)
def test_how_it_is_shown(url: str, place: str) -> None:
    """Where it is, and nothing that is secret."""
    assert shown(url) == place


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("rediss://host?ssl_ca_certs=/ca.pem", "&ssl_exclude_verify_flags=VERIFY_X509_STRICT"),
        ("rediss://:ssl_ca_certs=@host?db=1", ""),
        ("rediss://host", ""),
        ("unix:///run/valkey.sock?db=1", ""),
    ],
)
def test_an_authority_that_is_named_may_write_as_it_likes(url: str, expected: str) -> None:
    """Python 3.13 and later would hold it to the letter of RFC 5280; the system's stay as that has them."""
    assert trusting(url) == url + expected
