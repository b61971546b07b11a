"""The audit room: what is noted, and how it is shown."""

from __future__ import annotations

import logging
import os
import pwd
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest

from gateway.config import Document
from gateway.control import audit
from gateway.control.audit import AuditTrail
from gateway.control.sign_in.refusals import OTHERS, Refusal
from gateway.control.targets import TargetsSource
from gateway.routing.health import Health
from gateway.store.audit_log import AuditLog
from gateway.store.target_board import board_in_memory
from tests.unit.control.rooms import Rooms

NOW_NS = 1_700_000_000_000_000_000


def make_trail(folder: Path) -> AuditTrail:
    return AuditTrail(AuditLog(folder / "audit"), now_ns=lambda: NOW_NS)


def account(model: str, file: Path = Path("absent.yaml"), name: str = "app") -> Document:
    body = {"type": "virtual-account", "name": name, "tokens": ["literal-token"], "models": [model]}
    return Document("virtual-account", name, body, file, 1)


def entries(trail: AuditTrail, **filters: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = trail.page(1000, None, filters)["entries"]
    return found


def test_a_try_is_no_change(tmp_path: Path) -> None:
    """Who has only called a model of an account has not changed the account."""
    trail = make_trail(tmp_path)
    trail.asked("account.tested", "provider-account/openai", "main", "127.0.0.1", "ben")
    assert trail.last("provider-account/openai", "main") is None
    trail.asked("manifest.saved", "provider-account/openai", "main", "127.0.0.1", "ada", version="v2")
    trail.asked("account.tested", "provider-account/openai", "main", "127.0.0.1", "ben")
    changed = trail.last("provider-account/openai", "main")
    assert changed is not None
    assert (changed["action"], changed["by"]["operator"]) == ("manifest.saved", "ada")


def test_a_change(tmp_path: Path) -> None:
    """Before and after, who owns the file, and both versions."""
    file = tmp_path / "m.yaml"
    file.touch()
    trail = make_trail(tmp_path)
    trail.changed(("v1", [account("a", file)]), "v2", [account("b", file)])
    accepted, changed = entries(trail)
    assert accepted == {
        "id": 2,
        "at": "2023-11-14T22:13:20.000000Z",
        "action": "config.accepted",
        "version": {"before": "v1", "after": "v2"},
        "manifests": {"created": 0, "changed": 1, "removed": 0},
    }
    owner = pwd.getpwuid(os.getuid()).pw_name
    assert changed["by"] == {"kind": "file", "file": str(file), "owner": owner}
    assert (changed["action"], changed["type"], changed["name"], changed["paths"]) == (
        "manifest.changed",
        "virtual-account",
        "app",
        ["models.0"],
    )
    assert [changed[side]["models"] for side in ("before", "after")] == [["a"], ["b"]]
    assert "literal-token" not in (tmp_path / "audit" / "audit.jsonl").read_text()


def test_a_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user of the host that it runs as, by number where the host has no name for them."""
    trail = make_trail(tmp_path)
    for number in (os.geteuid(), 54_321):
        monkeypatch.setattr(os, "geteuid", lambda number=number: number)
        trail.commanded("admin_token.created", "operator", "ci")
    unnamed, named = entries(trail, type="operator")
    assert named["by"] == {"kind": "command", "user": pwd.getpwuid(os.getuid()).pw_name}
    assert unnamed == {
        "id": 2,
        "at": "2023-11-14T22:13:20.000000Z",
        "action": "admin_token.created",
        "by": {"kind": "command", "user": "54321"},
        "type": "operator",
        "name": "ci",
    }


def test_many_manifests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bound on what is noted one by one; all are counted."""
    monkeypatch.setattr(audit, "MAX_CHANGES", 2)
    trail = make_trail(tmp_path)
    trail.changed(("v1", []), "v2", [account("a", name=f"n{number}") for number in range(5)])
    assert [entry["action"] for entry in entries(trail)] == ["config.accepted", *["manifest.created"] * 2]
    assert entries(trail)[0]["manifests"]["created"] == 5


@pytest.mark.parametrize(
    ("known", "actions", "count"),
    [
        pytest.param(
            [account("a")],
            ["config.accepted", "manifest.changed"],
            {"created": 0, "changed": 1, "removed": 0},
            id="kept",
        ),
        pytest.param(None, ["config.accepted"], None, id="not kept any more"),
    ],
)
def test_what_changed_meanwhile(
    tmp_path: Path, known: Sequence[Document] | None, actions: list[str], count: dict[str, int] | None
) -> None:
    """At the start it is noted once, against what was noted last."""
    trail = make_trail(tmp_path)
    asked: list[str] = []

    def find(version: str) -> Sequence[Document] | None:
        asked.append(version)
        return known

    trail.begun("v1", [account("a")], find)
    trail.begun("v1", [account("a")], find)
    assert (asked, len(entries(trail))) == ([], 1)
    trail.begun("v2", [account("b")], find)
    assert asked == ["v1"]
    assert [entry["action"] for entry in entries(trail)[:-1]] == actions
    assert entries(trail)[0]["manifests"] == count


def test_what_cannot_be_noted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What was done is done; the log of the process says that it is not noted."""
    (tmp_path / "audit").touch()
    trail = make_trail(tmp_path)
    with caplog.at_level(logging.ERROR):
        trail.begun("v1", [], lambda _: None)
        trail.changed(("v1", []), "v2", [])
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == [
        "the audit log cannot be read",
        "a change is not in the audit log",
    ]
    answer = Rooms(audit=trail).client().get("/api/audit")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "store_unavailable")


def test_pages(tmp_path: Path) -> None:
    """Newest first, each entry once; filters are exact."""
    trail = make_trail(tmp_path)
    for number in range(5):
        trail.changed((f"v{number}", []), f"v{number + 1}", [account("a", name=f"n{number}")])
    client = Rooms(audit=trail).client()
    seen, cursor = [], ""
    while True:
        page = client.get(f"/api/audit?limit=3{cursor}").json()
        seen += [entry["id"] for entry in page["entries"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert seen == list(range(10, 0, -1))
    [entry] = client.get("/api/audit?action=manifest.created&name=n3&type=virtual-account").json()["entries"]
    assert entry["name"] == "n3"


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=1001", "limit=x", "cursor=-1", "cursor=a", "limit=", "typ=team", "operator=ada"],
)
def test_bad_parameters(query: str) -> None:
    """Said with their name."""
    answer = Rooms().client().get(f"/api/audit?{query}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_parameter")
    assert query.partition("=")[0] in answer.json()["error"]["message"]


def test_what_the_api_is_asked(tmp_path: Path) -> None:
    """Who drained a target, once: draining it again changes nothing."""
    health = Health(board_in_memory(), now_s=lambda: 1.0, random=Random(1))
    trail = make_trail(tmp_path)
    client = Rooms(audit=trail, targets=TargetsSource(lambda: ["a/b"], health)).client()
    for path in ("drain", "drain", "undrain", "undrain"):
        client.post(f"/api/targets/{path}", json={"target": "a/b"})
    found = entries(trail, type="target", name="a/b")
    assert [entry["action"] for entry in found] == ["target.undrained", "target.drained"]
    assert found[0]["by"] == {"kind": "control_api", "address": "testclient", "operator": "environment"}


def test_who_was_not_let_in(tmp_path: Path) -> None:
    """With how often; nothing to tell is no entry."""
    trail = make_trail(tmp_path)
    trail.refused([])
    trail.refused([Refusal("sign_in.failed", "192.0.2.1", "ada", 7), Refusal("token.locked", OTHERS, "", 2)])
    second, first = entries(trail)
    assert (first["action"], first["name"], first["count"]) == ("sign_in.failed", "ada", 7)
    assert first["by"] == {"kind": "control_api", "address": "192.0.2.1"}
    assert (second["action"], second["name"], second["count"]) == ("token.locked", "", 2)
