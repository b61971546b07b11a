"""A destination's manifest over HTTP: read masked, written back whole, refused with every reason."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from gateway.config import SecretSource, check
from tests.unit.config.writing import ACCOUNT, CALLER, documents
from tests.unit.control.rooms import Rooms

PATH = "/api/config/otel"
TRACES = "otel_traces_exporter_config"
ELASTIC = """\
# where traces go
type: gateway-otel-config
name: elastic
otel_traces_exporter_config:
  type: http
  endpoint: https://p.ingest.eu.aws.elastic.cloud/v1/traces
  headers: {Authorization: ApiKey Y2FuYXJ5OnNlY3JldA==, x-team: env:TEAM}
# the end
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "m.yaml").write_text(documents(ACCOUNT, ELASTIC, CALLER))
    return tmp_path


@pytest.fixture
def client(folder: Path) -> TestClient:
    return Rooms(manifests=folder).client()


def body(name: str = "new", **exporter: Any) -> dict[str, Any]:
    exporter = {"type": "http", "endpoint": "https://collector.example/v1/traces"} | exporter
    return {"type": "gateway-otel-config", "name": name, TRACES: exporter}


def problems(folder: Path) -> list[str]:
    found = check.check(folder, strict=False, secrets=SecretSource({"TEAM": "ml"}, None)).problems
    return [str(problem) for problem in found]


def test_a_manifest_is_shown_without_its_secrets(client: TestClient) -> None:
    """The mask stands for a literal, a reference is shown."""
    reply = client.get(PATH)
    assert reply.status_code == 200
    assert reply.json()["name"] == "elastic"
    assert reply.json()[TRACES]["headers"] == {"Authorization": "***", "x-team": "env:TEAM"}
    assert "Y2FuYXJ5" not in reply.text
    assert client.get(PATH, params={"name": "elastic"}).json() == reply.json()


def test_the_history_knows_who_saved(folder: Path) -> None:
    """The version stands in the audit log, as it does for every other manifest."""
    client = Rooms(manifests=folder).client()
    version = client.put(PATH, json=body("elastic"), params={"name": "elastic"}).json()["version"]
    [entry] = client.get("/api/audit?action=manifest.saved").json()["entries"]
    assert (entry["version"], entry["by"]["operator"]) == (version, "environment")


def test_without_a_manifest_there_is_an_empty_one(tmp_path: Path) -> None:
    """So that the first one can be written."""
    (tmp_path / "m.yaml").write_text(documents(ACCOUNT, CALLER))
    client = Rooms(manifests=tmp_path).client()
    reply = client.get(PATH)
    assert reply.json() == {"type": "gateway-otel-config", "name": "default"}
    saved = client.put(PATH, json=body("default"), headers={"If-Match": reply.headers["etag"]})
    assert saved.status_code == 200
    assert saved.json()["file"] == str(tmp_path / "gateway-otel-config.yaml")
    assert (tmp_path / "m.yaml").read_text() == documents(ACCOUNT, CALLER)
    assert problems(tmp_path) == []
    assert client.get(PATH).json() == body("default")


def test_an_unknown_name(client: TestClient) -> None:
    """Is no empty manifest."""
    assert client.get(PATH, params={"name": "x"}).json()["error"]["code"] == "manifest_not_found"
    assert client.put(PATH, params={"name": "x"}, json=body("x")).status_code == 404


def test_the_mask_keeps_the_secret_and_moves_it_to_a_file(client: TestClient, folder: Path) -> None:
    """Everything else in the file stays, the manifest can be committed."""
    shown = client.get(PATH).json()
    shown[TRACES]["encoding"] = "json"
    reply = client.put(PATH, json=shown)
    assert reply.status_code == 200
    secret = folder / "secrets" / "elastic-traces-authorization"
    assert secret.read_text() == "Y2FuYXJ5OnNlY3JldA==\n"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert stat.S_IMODE(secret.parent.stat().st_mode) == 0o700
    text = (folder / "m.yaml").read_text()
    assert text.startswith(documents(ACCOUNT, "# where traces go\n"))
    assert text.endswith("# the end\n---\n" + CALLER)
    assert "Y2FuYXJ5" not in text
    expected = "ApiKey file:secrets/elastic-traces-authorization"
    assert reply.json()["manifest"][TRACES]["headers"]["Authorization"] == expected
    assert not [problem for problem in problems(folder) if "itself stands" in problem]
    assert client.put(PATH, json=client.get(PATH).json()).status_code == 200
    assert secret.read_text() == "Y2FuYXJ5OnNlY3JldA==\n"


def test_the_version_is_that_of_what_was_written(client: TestClient, folder: Path) -> None:
    """By it a page knows when it is in force."""
    version = client.put(PATH, json=body()).json()["version"]
    config = check.check(folder, strict=False, secrets=SecretSource({}, None)).config
    assert config is not None
    assert config.version == version


def test_all_problems_at_once(client: TestClient, folder: Path) -> None:
    """And nothing is written."""
    before = (folder / "m.yaml").read_text()
    wrong = body(type="http", endpoint="nowhere", encoding="xml")
    reply = client.put(PATH, json=wrong)
    assert reply.status_code == 400
    error = reply.json()["error"]
    assert error["code"] == "invalid_manifest"
    assert {problem["path"] for problem in error["problems"]} == {f"{TRACES}.endpoint", f"{TRACES}.encoding"}
    assert (folder / "m.yaml").read_text() == before
    assert not (folder / "secrets").exists()


@pytest.mark.parametrize(
    "wrong",
    [
        {"type": "virtual-account", "name": "x"},
        body("local"),
        body(headers={"a": "***"}),
        body(headers={"a": "env:1bad"}),
        body(headers=["a"]),
        {"name": 7},
    ],
    ids=["type", "reserved", "mask", "reference", "list", "name"],
)
def test_what_is_no_destination(client: TestClient, wrong: dict[str, Any]) -> None:
    """400, in the same words as check-config's."""
    reply = client.put(PATH, json=wrong)
    assert reply.status_code == 400
    assert reply.json()["error"]["problems"]


@pytest.mark.parametrize("content", [b"", b" ", b"{}"])
def test_an_empty_body_changes_nothing(client: TestClient, folder: Path, content: bytes) -> None:
    """It would write an empty manifest over what is there."""
    before = (folder / "m.yaml").read_text()
    headers = {"Content-Type": "application/json"}
    for params in ({}, {"name": "elastic"}):
        reply = client.put(PATH, params=params, content=content, headers=headers)
        assert (reply.status_code, reply.json()["error"]["code"]) == (400, "invalid_json")
    assert [path.name for path in folder.iterdir()] == ["m.yaml"]
    assert (folder / "m.yaml").read_text() == before


def test_a_mask_gets_the_scheme_that_it_lacked(client: TestClient, folder: Path) -> None:
    """As the advice asks for, without the key being typed again."""
    (folder / "m.yaml").write_text(documents(ACCOUNT, ELASTIC.replace("ApiKey Y2", "Y2"), CALLER))
    shown = client.get(PATH).json()
    shown[TRACES]["headers"]["Authorization"] = "ApiKey ***"
    saved = client.put(PATH, json=shown).json()["manifest"][TRACES]["headers"]
    assert saved["Authorization"] == "ApiKey file:secrets/elastic-traces-authorization"
    assert (folder / "secrets/elastic-traces-authorization").read_text() == "Y2FuYXJ5OnNlY3JldA==\n"


def test_a_secret_in_the_endpoint_is_masked_and_kept(client: TestClient, folder: Path) -> None:
    """As one in a header is."""
    (folder / "m.yaml").write_text(
        documents(ACCOUNT, ELASTIC.replace("/traces", "/traces?key=canary"), CALLER)
    )
    reply = client.get(PATH)
    assert "canary" not in reply.text
    saved = client.put(PATH, json=reply.json())
    assert (saved.status_code, "canary" in saved.text) == (200, False)
    assert "v1/traces?key=canary" in (folder / "m.yaml").read_text()


def test_a_name_is_taken_once(client: TestClient) -> None:
    """Renaming over another manifest would lose one."""
    assert client.put(PATH, json=body("second")).status_code == 200
    reply = client.put(PATH, params={"name": "second"}, json=body("elastic"))
    assert reply.status_code == 400
    assert client.put(PATH, params={"name": "second"}, json=body("third")).status_code == 200
    assert client.get(PATH, params={"name": "second"}).status_code == 404


def test_warnings_come_with_the_answer(client: TestClient) -> None:
    """A field that does nothing is written all the same."""
    reply = client.put(PATH, json={**body(), "colour": "blue"})
    assert [warning["path"] for warning in reply.json()["warnings"]] == ["colour"]


@pytest.mark.parametrize("waiting", [0, 5])
def test_what_is_lost_with_a_destination_is_said(folder: Path, waiting: int) -> None:
    """When it is renamed or has no exporter any more, and spans wait for it; no other change says so."""
    client = Rooms(manifests=folder, waiting={"elastic": waiting, "renamed": waiting}).client()
    same = client.put(PATH, json=client.get(PATH).json()).json()
    renamed = client.put(PATH, params={"name": "elastic"}, json=body("renamed")).json()
    ended = client.put(PATH, json={"name": "renamed"}).json()
    told = [
        [warning["path"] for warning in saved["warnings"] if "5 spans that wait" in warning["message"]]
        for saved in (same, renamed, ended)
    ]
    assert told == ([[], ["name"], [TRACES]] if waiting else [[], [], []])


@pytest.mark.parametrize(("name", "told"), [("new", ["name"]), ("environment", [])])
def test_what_is_lost_with_the_variables_destination_is_said(
    tmp_path: Path, name: str, told: list[str]
) -> None:
    """The first manifest takes its place, unless it goes on under its name; the second ends nothing."""
    (tmp_path / "m.yaml").write_text(documents(ACCOUNT, CALLER))
    client = Rooms(manifests=tmp_path, waiting={"environment": 5}).client()
    first, second = client.put(PATH, json=body(name)).json(), client.put(PATH, json=body("second")).json()
    lost = [
        [one["path"] for one in saved["warnings"] if "5 spans" in one["message"]] for saved in (first, second)
    ]
    assert lost == [told, []]


def test_a_manifest_needs_no_name(tmp_path: Path) -> None:
    """It has the name that it would have in a file, also in what is told of the change."""
    (tmp_path / "m.yaml").write_text(documents(ACCOUNT, CALLER))
    client = Rooms(manifests=tmp_path).client()
    nameless = {key: value for key, value in body().items() if key != "name"}
    assert client.put(PATH, json=nameless).status_code == 200
    assert client.get(PATH).json() == nameless
    assert client.get(PATH, params={"name": "default"}).json() == nameless
    [entry] = client.get("/api/audit?action=manifest.saved").json()["entries"]
    assert (entry["type"], entry["name"]) == ("gateway-otel-config", "default")
    assert problems(tmp_path) == []


def test_a_new_one_takes_the_place_of_none(client: TestClient, folder: Path) -> None:
    """With If-None-Match, by which the page adds one."""
    before = (folder / "m.yaml").read_text()
    reply = client.put(PATH, json=body("elastic"), headers={"If-None-Match": "*"})
    assert (reply.status_code, reply.json()["error"]["code"]) == (412, "changed_meanwhile")
    assert (folder / "m.yaml").read_text() == before
    assert client.put(PATH, json=body("another"), headers={"If-None-Match": "*"}).status_code == 200


def test_a_change_of_somebody_else_is_not_lost(client: TestClient, folder: Path) -> None:
    """With If-Match; without it the last one wins."""
    tag = client.get(PATH).headers["etag"]
    text = (folder / "m.yaml").read_text()
    (folder / "m.yaml").write_text(text.replace("p.ingest", "other.ingest"))
    reply = client.put(PATH, json=body("elastic"), headers={"If-Match": tag})
    assert (reply.status_code, reply.json()["error"]["code"]) == (412, "changed_meanwhile")
    assert client.put(PATH, json=body("elastic"), headers={"If-Match": "*"}).status_code == 200


def test_a_folder_that_cannot_be_written(folder: Path) -> None:
    """409, with what to do; no half of a change is left."""
    (folder / "secrets").write_text("a file where the folder should be")
    before = (folder / "m.yaml").read_text()
    reply = Rooms(manifests=folder).client().put(PATH, json=body("elastic", headers={"a": "literal"}))
    assert (reply.status_code, reply.json()["error"]["code"]) == (409, "not_writable")
    assert "at its source" in reply.json()["error"]["message"]
    assert (folder / "m.yaml").read_text() == before


def test_one_file_as_configuration(tmp_path: Path) -> None:
    """A new manifest is added to it; links and modes stay."""
    real = tmp_path / "real" / "m.yaml"
    real.parent.mkdir()
    real.write_text(documents(ACCOUNT, CALLER))
    real.chmod(0o640)
    link = tmp_path / "m.yaml"
    link.symlink_to(real)
    client = Rooms(manifests=link).client()
    assert client.put(PATH, json=body("a", headers={"k": "v"})).status_code == 200
    assert link.is_symlink()
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    assert real.read_text().startswith(documents(ACCOUNT, CALLER))
    assert (tmp_path / "secrets" / "a-traces-k").read_text() == "v\n"
    assert client.get(PATH).json()[TRACES]["headers"] == {"k": "file:secrets/a-traces-k"}


def test_a_json_file(tmp_path: Path) -> None:
    """Is written as JSON."""
    (tmp_path / "a.yaml").write_text(documents(ACCOUNT, CALLER))
    (tmp_path / "o.json").write_text(json.dumps([body("a"), body("b")]))
    client = Rooms(manifests=tmp_path).client()
    assert client.put(PATH, json=body("b", encoding="json")).status_code == 200
    assert json.loads((tmp_path / "o.json").read_text()) == [body("a"), body("b", encoding="json")]


def test_a_configuration_that_is_broken_elsewhere(client: TestClient, folder: Path) -> None:
    """The whole would be refused, so this is too, with the reason."""
    (folder / "z.yaml").write_text("a: [")
    reply = client.put(PATH, json=body())
    assert reply.status_code == 400
    assert reply.json()["error"]["problems"][0]["file"].endswith("z.yaml")
