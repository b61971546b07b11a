"""Pages that list manifests: each begins with what its rules need, and what is put into them is escaped."""

from __future__ import annotations

import json
import re
from html import unescape
from pathlib import Path

import pytest

from gateway.config import SecretSource
from gateway.config.manifest_files import ManifestFiles
from gateway.config.manifests.known import IN_FORCE
from gateway.control.pages.controls import SECTIONS, Section
from gateway.control.pages.models import _TEMPLATES, providers
from tests.unit.config.writing import ACCOUNT, CALLER, TEAM, documents
from tests.unit.control.rooms import Rooms

EVERY = [kind for section in SECTIONS for kind in section.types]


@pytest.mark.parametrize("section", SECTIONS, ids=[section.path for section in SECTIONS])
def test_a_list(section: Section) -> None:
    """It names its types; what is used of limits and budgets is shown beside."""
    text = Rooms().client().get(section.path).text
    found = re.search(r'data-section="([^"]*)"', text)
    assert found is not None
    data = json.loads(unescape(found[1]))
    assert [kind["type"] for kind in data["types"]] == [kind.type for kind in section.types]
    assert data["has_usage"] is section.path.endswith(("rate-limits", "budgets"))


@pytest.mark.parametrize("kind", EVERY, ids=[kind.type for kind in EVERY])
def test_what_a_new_one_begins_with_is_valid(kind: object, tmp_path: Path) -> None:
    """So the first save of the first rule works; only whose team it is has to be written."""
    (tmp_path / "m.yaml").write_text(documents(ACCOUNT, CALLER, TEAM))
    files = ManifestFiles(tmp_path, strict=False, secrets=SecretSource({}, None))
    template = dict(kind.template)  # type: ignore[attr-defined]  # of a Kind
    judged = files.judge(template["type"], None, template)
    wrong = [problem.path for problem in judged.own if problem.severity == "error"]
    assert wrong == (["team_name"] if template["type"] == "team-budget-config" else [])


def test_templates_of_accounts_are_valid(tmp_path: Path) -> None:
    """But for the target of a virtual model, which nobody can know."""
    (tmp_path / "m.yaml").write_text(documents(ACCOUNT, CALLER))
    files = ManifestFiles(tmp_path, strict=False, secrets=SecretSource({}, None))
    for kind, template in _TEMPLATES.items():
        wrong = [one.path for one in files.judge(kind, None, template).own if one.severity == "error"]
        assert all(path.endswith("load_balance_targets.0.target") for path in wrong), (kind, wrong)


def test_every_provider_can_be_added() -> None:
    """Each once."""
    found = [one["type"] for one in providers()]
    assert len(found) == len(set(found))
    assert {*found, "provider-account/virtual-model"} == {
        kind for kind in IN_FORCE if kind.startswith("provider-account/")
    }


@pytest.mark.parametrize(
    "path",
    [
        "/controls/budgets/edit?type=team-budget-config",
        "/models/edit?type=provider-account/openai&name=x",
        "/configuration/manifests/edit?type=team&name=x",
        "/models",
        "/models/virtual",
        "/models/targets",
        "/models/new",
        "/configuration/history",
        "/audit",
    ],
)
def test_pages_are_there(path: str) -> None:
    """With a title of their own."""
    reply = Rooms().client().get(path)
    assert reply.status_code == 200
    assert "<h1>" in reply.text


def test_an_unknown_type() -> None:
    """Is said so, with the way back."""
    reply = Rooms().client().get("/controls/budgets/edit?type=nothing")
    assert reply.status_code == 404
    assert 'href="/controls/budgets"' in reply.text


def test_a_hostile_name() -> None:
    """Stays a text, in the title and in the data of the page."""
    name = "</script><img src=x onerror=alert(1)>\"'"
    reply = (
        Rooms().client().get("/controls/budgets/edit", params={"type": "team-budget-config", "name": name})
    )
    assert "<img" not in reply.text
    found = re.search(r'data-editor="([^"]*)"', reply.text)
    assert found is not None
    assert json.loads(unescape(found[1]))["name"] == name
