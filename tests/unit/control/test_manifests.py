"""Manifests over HTTP: read masked, checked as they are typed, written, and refused with every reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from gateway.control.operator import Role
from tests.unit.config.test_manifest_files import KIND, LIMITS, OPENAI
from tests.unit.config.writing import ACCOUNT, CALLER, documents
from tests.unit.control.rooms import Rooms, access_at, assert_few_wait, posted_at_once

PATH = f"/api/manifests/{KIND}/limits"
YAML = {"Content-Type": "application/yaml"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "m.yaml").write_text(documents(ACCOUNT, LIMITS, CALLER))
    return tmp_path


@pytest.fixture
def client(folder: Path) -> TestClient:
    return Rooms(manifests=folder).client()


def test_all_and_some(client: TestClient) -> None:
    """By type and name; without secrets."""
    found = client.get("/api/manifests").json()
    assert [one["name"] for one in found["manifests"]] == ["limits", "lab", "app"]
    assert found["is_writable"] is True
    (one,) = client.get("/api/manifests", params={"type": "virtual-account"}).json()["manifests"]
    assert one["manifest"]["tokens"] == ["***"]
    assert client.get("/api/manifests", params={"name": "x"}).json()["manifests"] == []
    for query in ("typ=team", "type=team&type=pat"):
        refused = client.get(f"/api/manifests?{query}")
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, "invalid_parameter")


def test_one_by_its_path(client: TestClient) -> None:
    """Types have slashes, and names may."""
    reply = client.get(PATH)
    assert reply.json()["yaml"] == LIMITS
    assert reply.headers["etag"] == f'"{reply.json()["etag"]}"'
    assert client.get("/api/manifests/provider-account/self-hosted-model/lab").json()["name"] == "lab"
    client.put("/api/manifests/team/a%2Fb", json={"name": "a/b", "members": []})
    assert client.get("/api/manifests/team/a%2Fb").json()["manifest"]["name"] == "a/b"
    for path in ("team/x", "unheard-of/x", "team", "team/"):
        assert client.get(f"/api/manifests/{path}").json()["error"]["code"] == "manifest_not_found"


def test_two_admins(client: TestClient, folder: Path) -> None:
    """The second is told who, when and what there is now."""
    tag = client.get(PATH).headers["etag"]
    first = client.put(PATH, content=LIMITS.replace("10", "11"), headers={**YAML, "If-Match": tag})
    assert first.status_code == 200
    assert "limit_to: 11" in (folder / "m.yaml").read_text()
    second = client.put(PATH, content=LIMITS.replace("10", "12"), headers={**YAML, "If-Match": tag})
    assert second.status_code == 412
    error = second.json()["error"]
    assert error["changed"]["action"] == "manifest.saved"
    assert error["changed"]["by"]["address"] == "testclient"
    assert error["now"]["manifest"]["rules"][0]["limit_to"] == 11
    assert client.get(PATH).json()["changed"] == error["changed"]
    assert client.delete(PATH, headers={"If-Match": tag}).status_code == 412
    created = client.put(PATH, content=LIMITS, headers={**YAML, "If-None-Match": "*"})
    assert created.status_code == 412
    new = client.put(PATH, content=LIMITS, headers={**YAML, "If-Match": first.headers["etag"]})
    assert new.json()["yaml"] == LIMITS


def test_deleting(client: TestClient, folder: Path) -> None:
    """And it is noted."""
    reply = client.delete(PATH)
    assert reply.status_code == 200
    assert reply.json()["version"]
    assert (folder / "m.yaml").read_text() == documents(ACCOUNT, CALLER)
    (entry,) = client.get("/api/audit").json()["entries"]
    assert (entry["action"], entry["version"]) == ("manifest.deleted", reply.json()["version"])
    assert client.delete(PATH).status_code == 404


@pytest.mark.parametrize(
    ("headers", "content", "status", "code"),
    [
        ({"Content-Type": "text/plain"}, b"a: b", 415, "unsupported_media_type"),
        ({**YAML, "Origin": "https://evil.example"}, b"a: b", 403, "foreign_origin"),
        (YAML, b"\xff", 400, "invalid_parameter"),
        (YAML, b"type: [", 400, "invalid_manifest"),
        ({"Content-Type": "application/json"}, b"{}", 400, "invalid_json"),
        (YAML, b"a" * 300_000, 413, "body_too_large"),
    ],
)
def test_refused(client: TestClient, headers: dict[str, str], content: bytes, status: int, code: str) -> None:
    """And nothing is written."""
    reply = client.put(PATH, headers=headers, content=content)
    assert (reply.status_code, reply.json()["error"]["code"]) == (status, code)
    assert client.get(PATH).json()["yaml"] == LIMITS


def test_a_foreign_page_deletes_nothing(client: TestClient) -> None:
    """Although deleting has no body to look at."""
    assert client.delete(PATH, headers={"Origin": "https://evil.example"}).status_code == 403


def validated(client: TestClient, **asked: Any) -> dict[str, Any]:
    found: dict[str, Any] = client.post("/api/manifests/validate", json=asked).json()
    return found


async def test_validating_is_done_one_at_a_time(client: TestClient) -> None:
    """Whoever may sign in may ask for it, and it takes long: few wait, others are told to come again."""
    asked = {"type": KIND, "name": "limits", "yaml": LIMITS}
    assert_few_wait(await posted_at_once(client, "/api/manifests/validate", asked, 60))
    assert validated(client, **asked)["is_valid"]


@pytest.mark.parametrize("name", ["99999999999999999999999", "-9223372036854775809", "0x1ffffffffffffffff"])
def test_a_number_that_no_answer_can_carry_is_a_fault_of_the_text(client: TestClient, name: str) -> None:
    """And not one of ours: the page shows what is wrong with it while it is typed."""
    found = validated(client, type="team", name=None, yaml=f"type: team\nname: {name}\n")
    assert not found["is_valid"]
    assert [(one["line"], one["message"]) for one in found["problems"]] == [
        (2, "a whole number beyond 64 bits")
    ]


def test_validating_a_text(client: TestClient, folder: Path) -> None:
    """Line and column of each problem; nothing is written."""
    before = (folder / "m.yaml").read_bytes()
    wrong = LIMITS.replace("limit_to: 10", "limit_to: ten").replace("unit: requests", "units: requests")
    found = validated(client, type=KIND, name="limits", yaml=wrong)
    assert found["is_valid"] is False
    places = {(one["line"], one["column"], one["path"]) for one in found["problems"]}
    assert places == {(8, 5, "rules.0.limit_to"), (9, 5, "rules.0.units"), (6, 5, "rules.0.unit")}
    assert found["elsewhere"] == []
    assert found["manifest"]["rules"][0]["limit_to"] == "ten"
    syntax = validated(client, type=KIND, name="limits", yaml="type: x\nname: [a\n")
    assert (syntax["problems"][0]["line"], syntax["manifest"]) == (2, None)
    assert (folder / "m.yaml").read_bytes() == before


def test_validating_a_form(client: TestClient) -> None:
    """The text beside it changes with it, comments kept."""
    body = client.get(PATH).json()["manifest"]
    body["rules"][0]["limit_to"] = 77
    found = validated(client, type=KIND, name="limits", yaml=LIMITS, manifest=body)
    assert found["yaml"] == LIMITS.replace("10", "77")
    assert (found["is_valid"], found["problems"]) == (True, [])
    new = validated(client, type="team", manifest={"type": "team", "name": "x", "members": []})
    assert new["yaml"] == "type: team\nname: x\nmembers: []\n"


def test_validating_with_a_mask(client: TestClient, folder: Path) -> None:
    """It stands for what is stored, and what is stored is not shown."""
    (folder / "o.yaml").write_text(OPENAI)
    path = "/api/manifests/provider-account/openai/main"
    text = client.get(path).json()["yaml"]
    reply = client.post(
        "/api/manifests/validate", json={"type": "provider-account/openai", "name": "main", "yaml": text}
    )
    assert reply.json()["is_valid"] is True
    assert "sk-literal" not in reply.text
    renamed = client.post("/api/manifests/validate", json={"type": "provider-account/openai", "yaml": text})
    assert "mask" in renamed.json()["problems"][0]["message"]


@pytest.mark.parametrize(
    "asked", [{}, {"type": "team"}, {"type": 1, "yaml": "a"}, {"type": "team", "yaml": 1}]
)
def test_what_is_no_question(client: TestClient, asked: dict[str, Any]) -> None:
    """400."""
    assert client.post("/api/manifests/validate", json=asked).status_code == 400


def test_elsewhere(client: TestClient, folder: Path) -> None:
    """What the change breaks in another manifest."""
    (folder / "o.yaml").write_text("type: team\nname: [\n")
    found = validated(client, type=KIND, name="limits", yaml=LIMITS)
    assert (found["is_valid"], found["problems"]) == (False, [])
    assert found["elsewhere"][0]["file"] == str(folder / "o.yaml")


def test_read_only(client: TestClient, folder: Path) -> None:
    """Is said before, and by 409."""
    data = folder / "..2026"
    data.mkdir()
    (folder / "m.yaml").rename(data / "m.yaml")
    (folder / "m.yaml").symlink_to("..2026/m.yaml")
    reply = client.put(PATH, content=LIMITS.replace("10", "11"), headers=YAML)
    assert (reply.status_code, reply.json()["error"]["code"]) == (409, "not_writable")
    one_file = Rooms(manifests=folder / "m.yaml").client().get("/api/manifests").json()
    assert (one_file["is_writable"], "ConfigMap" in one_file["why_not"]) == (False, True)


def test_schema(client: TestClient) -> None:
    """Of a type; its help is that of the fields."""
    schema = client.get(f"/api/schema/{KIND}").json()
    assert schema["properties"]["rules"]["description"]
    unknown = client.get("/api/schema/unheard-of")
    assert unknown.status_code == 404
    assert "no such type" in unknown.json()["error"]["message"]


def test_a_viewer_may_have_it_checked(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """It changes nothing; but asks about no secret or file that the configuration does not name."""
    access = access_at(folder=tmp_path_factory.mktemp("state"))
    _, secret = access.entrance.accounts.make_token("reader", Role.VIEWER)
    client = Rooms(manifests=folder, access=access).client(token=secret)
    asked = {"type": KIND, "name": "limits", "yaml": LIMITS.replace("10", "eleven")}
    reply = client.post("/api/manifests/validate", json=asked)
    assert (reply.status_code, reply.json()["is_valid"]) == (200, False)
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    probe = {"type": "virtual-account", "manifest": {"name": "x", "tokens": ["file:/etc/passwd"]}}
    for body in (probe, {"type": "virtual-account", "yaml": "name: x\ntokens: ['env:HOME']\n"}):
        reply = client.post("/api/manifests/validate", json=body)
        assert (reply.status_code, reply.json()["error"]["code"]) == (403, "admin_only")
    assert client.put(PATH, content=LIMITS, headers=YAML).status_code == 403
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before
