"""`/api/tokens`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from gateway.config.manifest_files import ChangedMeanwhile
from gateway.control import tokens
from gateway.control.json_body import BodyRefused
from tests.unit.config.writing import ACCOUNT, CALLER, documents
from tests.unit.control.rooms import Rooms


@pytest.fixture
def rooms(tmp_path: Path) -> Rooms:
    rooms = Rooms(manifests=tmp_path)
    (rooms.manifests / "m.yaml").write_text(documents(ACCOUNT, CALLER))
    return rooms


def audited(client: TestClient) -> list[tuple[str, str]]:
    entries = client.get("/api/audit").json()["entries"]
    return [(entry["action"], entry["name"]) for entry in reversed(entries)]


def test_a_life(rooms: Rooms) -> None:
    """Made, listed, rotated, revoked: the token is told once, and who asked is noted."""
    with rooms.client() as client:
        made = client.post("/api/tokens", json={"virtual_account": "app", "expires_at": "90d"})
        assert (made.status_code, made.headers["cache-control"]) == (201, "no-store")
        token, first = made.json()["token"], made.json()["id"]
        listed = client.get("/api/tokens")
        assert [one["id"] for one in listed.json()["tokens"]] == [None, first]
        assert token not in listed.text
        rotated = client.post("/api/tokens/rotate", json={"id": first, "grace_days": 1})
        assert (rotated.status_code, rotated.json()["replaces"]) == (201, first)
        second = rotated.json()["id"]
        revoked = client.post("/api/tokens/revoke", json={"id": first})
        assert revoked.json() == {"id": first, "subject": "virtualaccount:app", "state": "revoked"}
        assert [one["id"] for one in client.get("/api/tokens").json()["tokens"]] == [None, second]
        assert audited(client) == [
            ("token.created", f"app/{first}"),
            ("token.rotated", f"app/{first}"),
            ("token.revoked", f"app/{first}"),
        ]
        assert token not in client.get("/api/audit").text
        versions = [entry["version"] for entry in client.get("/api/audit").json()["entries"]]
        assert versions[1:] == [rotated.json()["version"], made.json()["version"]]
        assert len(set(versions)) == 3


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("", {}, 400, "invalid_parameter"),
        ("", {"virtual_account": "app", "pat": "x"}, 400, "invalid_parameter"),
        ("", {"virtual_account": 5}, 400, "invalid_parameter"),
        ("", {"virtual_account": "app", "expires": "1d"}, 400, "invalid_parameter"),
        ("", {"virtual_account": "app", "expires_at": "soon"}, 400, "invalid_parameter"),
        ("", {"virtual_account": "nobody"}, 404, "manifest_not_found"),
        ("/rotate", {}, 400, "invalid_parameter"),
        ("/rotate", {"id": "t", "grace_days": -1}, 400, "invalid_parameter"),
        ("/rotate", {"id": "t", "grace_days": True}, 400, "invalid_parameter"),
        ("/rotate", {"id": "t"}, 404, "token_not_found"),
        ("/revoke", {"id": "t"}, 404, "token_not_found"),
        ("/revoke", {"id": "t", "grace_days": 1}, 400, "invalid_parameter"),
    ],
)
def test_refusals(rooms: Rooms, path: str, body: dict[str, Any], status: int, code: str) -> None:
    """Say what is wrong; nothing is written or noted."""
    with rooms.client() as client:
        answer = client.post(f"/api/tokens{path}", json=body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
        assert audited(client) == []


async def test_a_file_that_was_changed_meanwhile() -> None:
    """As everywhere else: load it again and repeat."""

    def change() -> None:
        msg = "the file was changed meanwhile; load the manifest again"
        raise ChangedMeanwhile(msg)

    with pytest.raises(BodyRefused) as caught:
        await tokens._do(change)
    reply = caught.value.reply()
    assert (reply.status_code, b"changed_meanwhile" in reply.body) == (412, True)


def test_a_configuration_with_errors(rooms: Rooms) -> None:
    """It is named, with where."""
    (rooms.manifests / "z.yaml").write_text("type: unheard-of\n")
    with rooms.client() as client:
        answer = client.post("/api/tokens", json={"virtual_account": "app"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_manifest")
        assert answer.json()["error"]["problems"][0]["line"] == 1


def test_pages_of_other_sites(rooms: Rooms) -> None:
    """They make no tokens."""
    with rooms.client() as client:
        headers = {"origin": "https://evil.example"}
        answer = client.post("/api/tokens", json={"virtual_account": "app"}, headers=headers)
        assert answer.status_code == 403
