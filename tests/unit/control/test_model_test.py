"""`POST /api/models/test`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.config import SecretSource
from gateway.control.model_advice import Tried
from gateway.control.model_test import PATH, QUESTIONS, ModelTest
from gateway.control.operator import Role
from gateway.snapshot import compile_snapshot
from tests.unit.config.writing import ACCOUNT, CALLER, documents
from tests.unit.control.rooms import AnyModel, Rooms, access_at
from tests.unit.makers import make_caller, make_facts

KIND = "provider-account/openai"
FRESH: dict[str, Any] = {
    "name": "main",
    "auth_data": {"type": "api-key", "api_key": "sk-typed-just-now"},
    "integrations": [
        {"name": "small", "model_id": "gpt-4o-mini", "model_types": ["chat"]},
        {"name": "vectors", "model_id": "text-embedding-3-small", "model_types": ["embedding"]},
        {"name": "painter", "model_id": "dall-e-3", "model_types": ["image"]},
        {"name": "plain", "model_id": "x"},
    ],
}
STORED = """\
type: provider-account/openai
name: main
auth_data: {type: api-key, api_key: sk-stored-long-ago}
integrations:
  - {name: small, type: integration/model/openai, model_id: gpt-4o, model_types: [chat]}
"""


@pytest.fixture
def model() -> AnyModel:
    return AnyModel()


@pytest.fixture
def rooms(tmp_path: Path, model: AnyModel) -> Rooms:
    (tmp_path / "m.yaml").write_text(documents(ACCOUNT, CALLER, STORED))
    return Rooms(manifests=tmp_path, model_test=ModelTest(model))


def test_what_is_not_saved_is_called(rooms: Rooms, model: AnyModel) -> None:
    """The first model unless another is named; nothing is written."""
    before = (rooms.manifests / "m.yaml").read_text()
    fresh = {**FRESH, "name": "other"}
    answer = rooms.client().post(PATH, json={"type": KIND, "manifest": fresh})
    assert (answer.status_code, answer.json()) == (
        200,
        {
            "model": "other/small",
            "ok": True,
            "status": None,
            "latency_ms": 12.0,
            "what": "Answered",
            "advice": "",
            "answer": "OK",
            "answered_by": None,
        },
    )
    ((config, path, body),) = model.asked
    assert "other" in [account.name for account in config.provider_accounts]
    assert (path, body["model"]) == ("/v1/chat/completions", "other/small")
    assert (rooms.manifests / "m.yaml").read_text() == before
    assert [file.name for file in rooms.manifests.iterdir()] == ["m.yaml"]
    (entry,) = rooms.client().get("/api/audit").json()["entries"]
    assert (entry["action"], entry["type"], entry["name"]) == ("account.tested", KIND, "other")


@pytest.mark.parametrize(("name", "kind"), [("vectors", "embedding"), ("plain", "chat")])
def test_each_kind_is_asked_what_it_can_do(rooms: Rooms, model: AnyModel, name: str, kind: str) -> None:
    """A model that says nothing of itself is taken for one that chats."""
    rooms.client().post(PATH, json={"type": KIND, "name": "main", "manifest": FRESH, "model": name})
    ((_, path, _),) = model.asked
    assert path == QUESTIONS[kind][0]


def test_masks_stand_for_what_is_stored(rooms: Rooms, model: AnyModel) -> None:
    """And the key is in no answer."""
    masked = STORED.replace("sk-stored-long-ago", '"***"').replace("gpt-4o", "gpt-5")
    answer = rooms.client().post(PATH, json={"type": KIND, "name": "main", "yaml": masked})
    assert answer.status_code == 200, answer.text
    ((config, _, _),) = model.asked
    snapshot = compile_snapshot(config, SecretSource({}, None), version="v", is_loopback=True)
    (target,) = snapshot.routing.plan("main/small", make_facts(make_caller("main/small"))).targets
    assert dict(target.headers)["authorization"] == "Bearer sk-stored-long-ago"
    assert target.model_id == "gpt-5"
    assert "sk-" not in answer.text


def test_a_failure_has_advice(rooms: Rooms, model: AnyModel) -> None:
    """In the form of a test of telemetry."""
    model.tried = Tried(401, "", 401, "Incorrect API key provided", took_ms=80.04)
    found = rooms.client().post(PATH, json={"type": KIND, "name": "main", "manifest": FRESH}).json()
    assert (found["ok"], found["status"], found["latency_ms"]) == (False, 401, 80.0)
    assert found["what"] == "The provider refuses the key (401): Incorrect API key provided"
    assert "Copy it again" in found["advice"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "invalid_parameter"),
        ({"type": "team", "yaml": "type: team"}, "invalid_parameter"),
        ({"type": KIND}, "invalid_parameter"),
        ({"type": KIND, "manifest": FRESH, "yaml": ""}, "invalid_parameter"),
        ({"type": KIND, "manifest": FRESH, "name": 1}, "invalid_parameter"),
        ({"type": KIND, "name": "main", "manifest": FRESH, "model": "gone"}, "invalid_parameter"),
        ({"type": KIND, "manifest": {"name": "x"}}, "invalid_manifest"),
        ({"type": KIND, "manifest": FRESH}, "invalid_manifest"),  # another has that name
        ({"type": KIND, "name": "main", "manifest": FRESH, "model": "painter"}, "no_test"),
    ],
)
def test_what_cannot_be_called_is_said(
    rooms: Rooms, model: AnyModel, body: dict[str, Any], code: str
) -> None:
    """And nobody is called."""
    answer = rooms.client().post(PATH, json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, code)
    assert model.asked == []


def test_only_so_many_at_once(rooms: Rooms, model: AnyModel) -> None:
    """Each is a call that somebody pays."""
    rooms.model_test = ModelTest(model, most_at_once=0)
    answer = rooms.client().post(PATH, json={"type": KIND, "name": "main", "manifest": FRESH})
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "busy")


def test_calls_are_given_back(rooms: Rooms, model: AnyModel) -> None:
    """However each ends."""
    rooms.model_test = ModelTest(model, most_at_once=1)
    client = rooms.client()
    sent = {"type": KIND, "name": "main", "manifest": FRESH}
    assert [client.post(PATH, json=sent).status_code for _ in range(3)] == [200] * 3


def test_it_is_for_admins_on_our_own_page(rooms: Rooms, model: AnyModel, tmp_path: Path) -> None:
    """A manifest can send any secret anywhere."""
    rooms.access = access_at(folder=tmp_path / "state")
    _, viewer = rooms.access.entrance.accounts.make_token("reader", Role.VIEWER)
    sent = {"type": KIND, "name": "main", "manifest": FRESH}
    assert rooms.client(token=None).post(PATH, json=sent).status_code == 401
    assert rooms.client(token=viewer).post(PATH, json=sent).json()["error"]["code"] == "admin_only"
    foreign = rooms.client().post(PATH, json=sent, headers={"origin": "https://evil.test"})
    assert foreign.json()["error"]["code"] == "foreign_origin"
    assert model.asked == []
