"""Configurations that were in force: listed, compared, and written back."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from gateway.config import Config, SecretSource, accepted, check
from gateway.control.accepted_files import AcceptedFiles
from tests.unit.config.test_manifest_files import LIMITS, OPENAI
from tests.unit.config.writing import ACCOUNT, CALLER, documents
from tests.unit.control.rooms import Rooms

PATH = "/api/config/history"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "manifests"
    folder.mkdir()
    (folder / "m.yaml").write_text(documents(ACCOUNT, LIMITS, CALLER, OPENAI))
    return folder


@pytest.fixture
def rooms(folder: Path, tmp_path: Path) -> Rooms:
    return Rooms(manifests=folder, kept=tmp_path / "kept")


@pytest.fixture
def client(rooms: Rooms) -> TestClient:
    return rooms.client()


def accept(rooms: Rooms, before: Config | None = None) -> Config:
    """What the watch does with what is on disk."""
    config = check.check(rooms.manifests, strict=False, secrets=SecretSource({}, None)).config
    assert config is not None
    AcceptedFiles(rooms.kept).write(config.version, accepted.dump(config))
    known = (None, None) if before is None else (before.version, before.documents)
    rooms.audit.changed(known, config.version, config.documents)
    return config


def test_listed(rooms: Rooms, client: TestClient) -> None:
    """The last first, with how much it changed and who asked."""
    assert client.get(PATH).json() == {"versions": [], "why_not": None}
    first = accept(rooms)
    saved = client.put(
        "/api/manifests/team/ml",
        json={"name": "ml", "members": []},
    ).json()
    second = accept(rooms, first)
    assert saved["version"] == second.version
    now, then = client.get(PATH).json()["versions"]
    assert (now["version"], now["is_in_force"]) == (second.version, True)
    assert now["manifests"] == {"created": 1, "changed": 0, "removed": 0}
    assert [one["kind"] for one in now["by"]] == ["control_api"]
    # That it came into force was noted of the file, after who asked for it.
    assert client.get("/api/manifests/team/ml").json()["changed"]["by"]["kind"] == "control_api"
    assert (then["version"], then["is_in_force"], then["manifests"]) == (first.version, False, None)


def test_compared(rooms: Rooms, client: TestClient, folder: Path) -> None:
    """Line by line, without secrets, against what is in force or another."""
    first = accept(rooms)
    text = (folder / "m.yaml").read_text()
    (folder / "m.yaml").write_text(
        text.replace("limit_to: 10", "limit_to: 20").replace("sk-literal", "sk-other")
    )
    second = accept(rooms, first)
    reply = client.get(f"{PATH}/{first.version}")
    limits, main = reply.json()["changes"]
    assert (limits["action"], limits["paths"]) == ("changed", ["rules.0.limit_to"])
    assert "-  limit_to: 20" in limits["diff"]
    assert "+  limit_to: 10" in limits["diff"]
    assert (main["paths"], main["diff"]) == (["auth_data.api_key"], [])
    assert "sk-" not in reply.text
    again = client.get(f"{PATH}/{second.version}", params={"against": second.version}).json()
    assert again["changes"] == []
    for version in ("0123456789ab", "..%2Fx"):
        assert client.get(f"{PATH}/{version}").status_code == 404


def test_restored(rooms: Rooms, client: TestClient, folder: Path) -> None:
    """Into the files; secrets too."""
    first = accept(rooms)
    before = (folder / "m.yaml").read_text()
    (folder / "m.yaml").write_text(
        before.replace("limit_to: 10", "limit_to: 20").replace("sk-literal", "sk-other")
    )
    accept(rooms, first)
    reply = client.post("/api/config/restore", json={"version": first.version})
    assert reply.json()["version"] == first.version
    assert [one["name"] for one in reply.json()["manifests"]] == ["limits", "main"]
    assert (folder / "m.yaml").read_text() == before
    entry = client.get("/api/audit").json()["entries"][0]
    assert (entry["action"], entry["name"]) == ("config.restored", first.version)


def test_not_restored(client: TestClient) -> None:
    """Without a version that is kept."""
    assert client.post("/api/config/restore", json={"version": "0123456789ab"}).status_code == 404
    assert client.post("/api/config/restore", json={}).status_code == 400
    assert client.post("/api/config/restore", content=b"{}").status_code == 415
