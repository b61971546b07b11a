"""Sets of manifests in a real Valkey: the last is in force, and changes of an older one are refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from redis import Redis

from gateway.store import config_store
from gateway.store.config_store import ConfigAwayError, ConfigStore, Note, NotTheLastError, Patience
from gateway.tls_files import TlsFiles, make_server_context
from tests.rig.certificates import Authority
from tests.rig.redis_relay import RedisRelay
from tests.rig.requires import requires
from tests.rig.valkey_server import PASSWORD, ClusterNode, ValkeyServer, form_cluster, home_of

pytestmark = requires("valkey")

NOTE: Final = Note(0, "ab12", "v1", 0, "me@here", "0.1.0", 3, "why")
PATIENT_S: Final = 60.0


@pytest.fixture
def store(server: ValkeyServer) -> Iterator[ConfigStore]:
    redis: Any = Redis.from_url(server.url)
    redis.flushall()
    redis.close()
    store = ConfigStore(server.url, timeout_s=PATIENT_S)
    yield store
    store.close()


def test_nothing_there(store: ConfigStore) -> None:
    """As before the first."""
    assert (store.head(), store.find(1), store.notes()) == ("", None, [])


def test_the_last_is_in_force(store: ConfigStore) -> None:
    """Each has the next number; the bytes are as they were put, and a note says what they are."""
    assert store.put(b"\x00one\xff", NOTE) == "1-ab12"
    other = Note(0, "cd34", "v2", 0, "me", "0.1.0", 4)
    assert store.put(b"two", other, "1-ab12") == "2-cd34"
    assert store.head() == "2-cd34"
    assert (store.find(1), store.find(2), store.find(3)) == (b"\x00one\xff", b"two", None)
    last, first = store.notes()
    assert (last.number, last.version, first.number, first.by, first.what) == (2, "v2", 1, "me@here", "why")
    assert first.at_s > 1_700_000_000


def test_a_change_of_what_is_not_the_last(store: ConfigStore) -> None:
    """Is refused, and told which is; nothing is only so while there is nothing."""
    assert store.put(b"one", NOTE, "0-") == "1-ab12"
    for expected in ("0-", "1-cd34", "2-ab12"):
        with pytest.raises(NotTheLastError) as caught:
            store.put(b"two", msgspec.structs.replace(NOTE, digest="cd34"), expected)
        assert caught.value.last == "1-ab12"
    assert store.find(2) is None


def test_a_change_that_was_made_already(store: ConfigStore) -> None:
    """Whose answer was lost, and which is asked for again: once is enough."""
    store.put(b"one", NOTE)
    two = msgspec.structs.replace(NOTE, digest="cd34")
    assert store.put(b"two", two, "1-ab12") == "2-cd34"
    assert store.put(b"two", two, "1-ab12") == "2-cd34"
    assert store.head() == "2-cd34"


def test_the_oldest_go(store: ConfigStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last few are kept."""
    monkeypatch.setattr(config_store, "KEPT_SETS", 2)
    for number in range(4):
        store.put(b"%d" % number, NOTE)
    assert [note.number for note in store.notes()] == [4, 3]
    assert (store.find(2), store.find(3)) == (None, b"2")


def test_notes_of_others(store: ConfigStore, server: ValkeyServer) -> None:
    """Of a newer gateway what is known of them here; what is none is left out."""
    store.put(b"one", NOTE)
    redis: Any = Redis.from_url(server.url)
    newer = json.dumps({**msgspec.to_builtins(NOTE), "signed": True})
    redis.hset("{gateway:config}:notes", mapping={2: f"5 {newer}", 3: "garbage", 4: "5 {}", 5: "5 []"})
    redis.close()
    newest, oldest = store.notes()
    assert (newest.number, newest.at_s, newest.by, oldest.number) == (2, 5, "me@here", 1)


def test_away_and_back(tmp_path: Path, server: ValkeyServer) -> None:
    """A server that is gone is told, without the password; a new one on its port is used again."""
    with ValkeyServer(tmp_path) as own:
        store = ConfigStore(own.url, timeout_s=PATIENT_S)
        store.put(b"one", NOTE)
        own.kill()
        with pytest.raises(ConfigAwayError) as caught:
            store.head()
        assert PASSWORD not in str(caught.value)
        own.start()
        assert store.head() == ""
        store.close()
    wrong = ConfigStore(server.url.replace(PASSWORD, "canary-wrong"), timeout_s=PATIENT_S)
    with pytest.raises(ConfigAwayError) as caught:
        wrong.head()
    assert "canary-wrong" not in str(caught.value)


def test_paused(tmp_path: Path) -> None:
    """A server that answers nothing is given up."""
    with ValkeyServer(tmp_path) as own:
        store = ConfigStore(own.url, timeout_s=0.1)
        own.pause()
        with pytest.raises(ConfigAwayError):
            store.head()
        own.go_on()


@pytest.mark.parametrize("is_gone", [True, False], ids=["starts again", "stood still"])
def test_a_patient_one(tmp_path: Path, *, is_gone: bool) -> None:
    """Tries until the server can be used, and says once that it does."""
    told: list[ConfigAwayError] = []
    with ValkeyServer(tmp_path) as own:

        def tell(error: ConfigAwayError) -> None:
            told.append(error)
            (own.start if is_gone else own.go_on)()

        store = ConfigStore(own.url, timeout_s=0.5, patience=Patience(PATIENT_S, tell))
        (own.kill if is_gone else own.pause)()
        assert store.put(b"one", NOTE) == "1-ab12"
        assert [error.may_pass for error in told] == [True]
        store.close()


def test_patience_ends(tmp_path: Path) -> None:
    """With what the server last failed by."""
    told: list[ConfigAwayError] = []
    with ValkeyServer(tmp_path) as own:
        store = ConfigStore(own.url, timeout_s=0.1, patience=Patience(0.2, told.append))
        own.pause()
        with pytest.raises(ConfigAwayError) as caught:
            store.head()
        own.go_on()
        assert caught.value.may_pass
        assert len(told) == 1


def test_what_does_not_pass_is_not_waited_for(server: ValkeyServer, tmp_path: Path) -> None:
    """A password or a certificate that is wrong, a right that is missing."""
    told: list[ConfigAwayError] = []
    patience = Patience(PATIENT_S, told.append)
    redis: Any = Redis.from_url(server.url)
    redis.execute_command(
        "ACL", "SETUSER", "reader", "on", ">canary-reader", "~*", "-@all", "+client", "+hmget"
    )
    redis.close()
    context = make_server_context(TlsFiles(None, *Authority(tmp_path).write("redis")))
    with RedisRelay(server.port, tls=context) as relay:
        for url in (
            server.url.replace(PASSWORD, "canary-wrong"),
            f"rediss://:{PASSWORD}@127.0.0.1:{relay.port}/0",
            server.url.replace(f":{PASSWORD}", "reader:canary-reader"),
        ):
            store = ConfigStore(url, timeout_s=PATIENT_S, patience=patience)
            with pytest.raises(ConfigAwayError) as caught:
                store.put(b"one", NOTE)
            assert not caught.value.may_pass
            store.close()
    assert told == []


def test_a_put_that_is_asked_for_again(server: ValkeyServer, store: ConfigStore) -> None:
    """It was done and the answer lost: it is one set, whatever was to be in force before."""
    with RedisRelay(server.port) as relay:
        told: list[ConfigAwayError] = []

        def tell(error: ConfigAwayError) -> None:
            told.append(error)
            relay.delay_s = 0.0

        patient = ConfigStore(relay.url, timeout_s=0.5, patience=Patience(PATIENT_S, tell))
        assert patient.head() == ""
        relay.delay_s = PATIENT_S
        assert patient.put(b"one", NOTE) == "1-ab12"
        assert len(told) == 1
        assert patient.put(b"one", NOTE) == "2-ab12"
        patient.close()
    assert [note.number for note in store.notes()] == [2, 1]


def test_tls(server: ValkeyServer, store: ConfigStore, tmp_path: Path) -> None:
    """`rediss://`, with the server's certificate checked."""
    authority = Authority(tmp_path)
    context = make_server_context(TlsFiles(None, *authority.write("redis")))
    store.put(b"one", NOTE)
    with RedisRelay(server.port, tls=context) as relay:
        url = f"rediss://:{PASSWORD}@127.0.0.1:{relay.port}/0"
        over_tls = ConfigStore(f"{url}?ssl_ca_certs={authority.file}", timeout_s=PATIENT_S)
        assert over_tls.find(1) == b"one"
        over_tls.close()
        with pytest.raises(ConfigAwayError):
            ConfigStore(url, timeout_s=PATIENT_S).head()


def test_cluster(tmp_path: Path) -> None:
    """The node that has the sets is found, whichever is given."""
    nodes = [ClusterNode(tmp_path / f"node-{number}") for number in range(3)]
    for node in nodes:
        node.start()
    try:
        form_cluster(nodes)
        home = home_of(b"{gateway:config}:head", nodes)
        one, two = [ConfigStore(nodes[(home + step) % 3].url, timeout_s=PATIENT_S) for step in (1, 2)]
        assert one.put(b"one", NOTE) == "1-ab12"
        assert two.find(1) == b"one"
        assert two.notes()[0].number == 1
    finally:
        for node in nodes:
            node.kill()
