"""The accepted set carries a configuration to other processes unchanged, or not at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gateway.config import SecretSource, accepted, check
from tests.unit.config.writing import ACCOUNT, CALLER, accepted_config, check_text


def test_what_is_dumped_is_loaded(tmp_path: Path) -> None:
    """The same documents, version and manifests, wherever the reader runs."""
    account = ACCOUNT + "    auth_data: {type: bearer-auth, bearer_token: file:token}\n"
    (tmp_path / "token").write_text("t")
    config = accepted_config(check_text(tmp_path, account, CALLER, "type: policy\nname: ml\n"))
    loaded = accepted.load(accepted.dump(config))
    again = accepted_config(check.check_documents(loaded, strict=False, secrets=SecretSource({})))
    assert again.version == config.version
    assert again.provider_accounts == config.provider_accounts
    assert again.virtual_accounts == config.virtual_accounts
    assert [d.type for d in again.documents] == [d.type for d in config.documents]
    assert again.provider_accounts[0].source == config.provider_accounts[0].source
    assert again.referenced_files() == (tmp_path / "token",)


def test_relative_files_become_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """References stay where the manifest is when the reader runs in another folder."""
    monkeypatch.chdir(tmp_path)
    Path("m.yaml").write_text(ACCOUNT)
    config = accepted_config(check.check(Path("m.yaml"), strict=False, secrets=SecretSource({})))
    dumped = accepted.dump(config)
    monkeypatch.chdir("/")
    [document] = accepted.load(dumped)
    assert document.file == tmp_path / "m.yaml"


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\xff", id="not text"),
        pytest.param(b'{"format": 1, "version": "x", "docu', id="torn"),
        pytest.param(b"[]", id="list"),
        pytest.param(b'{"format": 1, "version": "x"}', id="no documents"),
        pytest.param(b'{"format": 1, "version": "x", "documents": [{"type": "t"}]}', id="half a document"),
        pytest.param(b'{"format": 3, "version": "x", "documents": []}', id="another format"),
        pytest.param(b'{"format": 2, "version": "x", "documents": []}', id="no sum"),
        pytest.param(b'{"format": 1, "version": "x", "documents": []}', id="another version"),
    ],
)
def test_what_is_not_an_accepted_set(data: bytes) -> None:
    """A torn, foreign or changed file is one error."""
    with pytest.raises(accepted.NotAccepted):
        accepted.load(data)


def test_a_changed_document_is_refused(tmp_path: Path) -> None:
    """The version is that of the content."""
    dumped = json.loads(accepted.dump(accepted_config(check_text(tmp_path, ACCOUNT))))
    dumped["documents"][0]["body"]["integrations"][0]["url"] = "http://evil.example/v1"
    with pytest.raises(accepted.NotAccepted, match="not what its version says"):
        accepted.load(json.dumps(dumped).encode())


def test_the_former_format_is_read(tmp_path: Path) -> None:
    """Of a state folder that an earlier gateway left; what was changed in it is refused as well."""
    config = accepted_config(check_text(tmp_path, ACCOUNT, CALLER))
    dumped = json.loads(accepted.dump(config))
    del dumped["sum"]
    former = {**dumped, "format": 1}
    assert accepted.load(json.dumps(former).encode()) == accepted.load(accepted.dump(config))
    former["documents"][0]["line"] = 9
    former["documents"][0]["name"] = "other"
    with pytest.raises(accepted.NotAccepted, match="not what its version says"):
        accepted.load(json.dumps(former).encode())


def test_another_version_is_refused(tmp_path: Path) -> None:
    """The sum is of the version too."""
    dumped = accepted.dump(accepted_config(check_text(tmp_path, ACCOUNT)))
    version = json.loads(dumped)["version"].encode()
    with pytest.raises(accepted.NotAccepted, match="not what its version says"):
        accepted.load(dumped.replace(version, b"0" * len(version)))


def test_a_refusal_shows_nothing_of_the_content() -> None:
    """The file may hold literal secrets."""
    with pytest.raises(accepted.NotAccepted) as caught:
        accepted.load(b'{"canary')
    assert "canary" not in str(caught.value)
    assert caught.value.__cause__ is None
