"""The configuration in Redis as files: what is there comes here, what is changed here goes there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from redis import Redis

from gateway.config import SecretSource
from gateway.config.manifest_files import ChangedMeanwhile, Invalid, ManifestFiles, NotWritable
from gateway.config.manifest_set import ManifestSet, SetUnusable, pack
from gateway.control.config_sets import ConfigSets, NothingThere
from gateway.store.config_store import ConfigAwayError, ConfigStore, Note
from tests.rig.requires import requires
from tests.rig.valkey_server import ValkeyServer

pytestmark = requires("valkey")

ACCOUNT: Final = """\
# the only one
type: provider-account/openai
name: main
auth_data: {type: api-key, api_key: env:K}
integrations:
  - {name: gpt, type: integration/model/openai, model_id: gpt-4o, model_types: [chat]}
"""
SECRETS: Final = SecretSource({"K": "k"}, None)
PATIENT_S: Final = 60.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    with ValkeyServer(tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture
def store(server: ValkeyServer) -> Iterator[ConfigStore]:
    redis: Any = Redis.from_url(server.url)
    redis.flushall()
    redis.close()
    store = ConfigStore(server.url, timeout_s=PATIENT_S)
    yield store
    store.close()


def put(store: ConfigStore, packed: bytes = b"", **files: str) -> str:
    manifests = ManifestSet({f"{name}.yaml": text for name, text in files.items()})
    return store.put(packed or pack(manifests), Note(0, manifests.digest, "v", 0, "me", "0", 1))


def files_of(sets: ConfigSets) -> ManifestFiles:
    return ManifestFiles(sets.path, strict=False, secrets=SECRETS, sent=sets)


def test_it_comes_once(store: ConfigStore, tmp_path: Path) -> None:
    """Only another set is fetched; one that came after a loss of memory is another too."""
    sets = ConfigSets(store, tmp_path)
    with pytest.raises(NothingThere):
        sets.take()
    put(store, a=ACCOUNT)
    assert sets.take()
    assert not sets.take()
    assert (sets.path / "a.yaml").read_text() == ACCOUNT
    put(store, a=ACCOUNT.replace("main", "other"))
    assert sets.take()
    here = sets.here()
    assert here is not None
    assert here.number == 2


def test_a_number_again_is_another_set(store: ConfigStore, server: ValkeyServer, tmp_path: Path) -> None:
    """A server that has forgotten all counts from one again."""
    sets = ConfigSets(store, tmp_path)
    put(store, a=ACCOUNT)
    sets.take()
    redis: Any = Redis.from_url(server.url)
    redis.flushall()
    with pytest.raises(NothingThere):
        sets.take()
    assert (sets.path / "a.yaml").is_file(), "what came last stays"
    put(store, a=ACCOUNT.replace("main", "other"))
    assert sets.take()
    assert "other" in (sets.path / "a.yaml").read_text()


@pytest.mark.parametrize(
    "packed", [b"nonsense", pack(ManifestSet({"b.yaml": ACCOUNT}))], ids=["none", "another"]
)
def test_what_cannot_be_read_is_asked_for_once(store: ConfigStore, tmp_path: Path, packed: bytes) -> None:
    """The set that is here stays, and the next good one comes."""
    sets = ConfigSets(store, tmp_path)
    put(store, a=ACCOUNT)
    sets.take()
    put(store, packed, a="type: team\nname: x\n")
    messages = []
    for _ in range(2):
        with pytest.raises(SetUnusable) as caught:
            sets.take()
        messages.append(str(caught.value))
    assert messages[0] == messages[1]
    assert messages[0].startswith("set 2 of redis://127.0.0.1:")
    assert (sets.path / "a.yaml").read_text() == ACCOUNT
    put(store, a=ACCOUNT.replace("main", "third"))
    assert sets.take()


@pytest.mark.parametrize("number", ["abc", b"\xff", "-1", "1.5"])
def test_a_head_that_is_none(store: ConfigStore, server: ValkeyServer, tmp_path: Path, number: Any) -> None:
    """What somebody else has written there is no set, and ends nothing."""
    redis: Any = Redis.from_url(server.url)
    redis.hset("{gateway:config}:head", mapping={"n": number, "d": "ab"})
    redis.close()
    with pytest.raises(SetUnusable, match="has no number"):
        ConfigSets(store, tmp_path).take()


def test_a_change_goes_to_redis(store: ConfigStore, tmp_path: Path) -> None:
    """Bytes around it stay as they were; it is here at once, and other replicas get it."""
    put(store, a=ACCOUNT)
    one, two = (ConfigSets(store, tmp_path / name) for name in ("one", "two"))
    one.take()
    saved = files_of(one).put("team", "ml", {"name": "ml", "members": ["a@b.c"]})
    assert store.notes()[0].version == saved.version
    assert store.notes()[0].manifests == 2
    assert files_of(one).find("team", "ml").body["members"] == ["a@b.c"]
    two.take()
    assert (two.path / "a.yaml").read_text() == ACCOUNT
    assert files_of(two).find("team", "ml").body["members"] == ["a@b.c"]
    files_of(two).remove("team", "ml")
    one.take()
    assert sorted(file.name for file in one.path.iterdir()) == ["a.yaml"], "an empty file is none"


def test_who_was_later_is_told(store: ConfigStore, tmp_path: Path) -> None:
    """Of two that change the same set the second changes nothing."""
    put(store, a=ACCOUNT)
    one, two = (ConfigSets(store, tmp_path / name) for name in ("one", "two"))
    one.take()
    two.take()
    files_of(one).put("team", "ml", {"name": "ml", "members": []})
    with pytest.raises(ChangedMeanwhile, match="another configuration was put meanwhile"):
        files_of(two).put("team", "other", {"name": "other", "members": []})
    two.take()
    files_of(two).put("team", "other", {"name": "other", "members": []})
    assert len(yaml.safe_load((two.path / "team.yaml").read_text().split("---")[0])) == 3


def test_a_set_that_comes_while_a_change_is_made(store: ConfigStore, tmp_path: Path) -> None:
    """The change was checked with the one before, so it is none of the new one, in whatever file."""
    put(store, a=ACCOUNT)
    sets = ConfigSets(store, tmp_path)
    sets.take()

    def edit(body: dict[str, Any]) -> dict[str, Any]:
        put(store, a=ACCOUNT, b="type: team\nname: ml\nmembers: []\n")
        sets.take()
        return body | {"base_url": "https://api.test"}

    with pytest.raises(ChangedMeanwhile, match="another configuration came meanwhile"):
        files_of(sets).change("provider-account/openai", "main", edit)
    assert (sets.path / "a.yaml").read_text() == ACCOUNT
    assert store.notes()[0].number == 2


def test_secrets_stay_out(store: ConfigStore, tmp_path: Path) -> None:
    """One that is typed is refused where files would have been written beside the manifest, and judged so."""
    put(store, a=ACCOUNT)
    sets = ConfigSets(store, tmp_path)
    sets.take()
    body = yaml.safe_load(ACCOUNT) | {"auth_data": {"type": "api-key", "api_key": "sk-canary-typed"}}
    with pytest.raises(Invalid) as caught:
        files_of(sets).put("provider-account/openai", "main", body)
    (problem,) = [each for each in caught.value.problems if each.severity.value == "error"]
    assert problem.path == "auth_data.api_key"
    judged = files_of(sets).judge("provider-account/openai", "main", body)
    assert [each.path for each in judged.own if each.severity.value == "error"] == ["auth_data.api_key"]
    assert store.notes()[0].number == 1
    assert not (sets.path / "secrets").exists()


def test_away(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Nothing is changed where Redis cannot be told, and what came last is still here."""
    with ValkeyServer(tmp_path_factory.mktemp("own")) as server:
        store = ConfigStore(server.url, timeout_s=PATIENT_S)
        put(store, a=ACCOUNT)
        sets = ConfigSets(store, tmp_path)
        sets.take()
        server.kill()
        with pytest.raises(ConfigAwayError):
            sets.take()
        with pytest.raises(NotWritable, match="does not take it"):
            files_of(sets).put("team", "ml", {"name": "ml", "members": []})
        assert [shown.name for shown in files_of(sets).all()] == ["main"]
