"""Pages that list manifests: each begins with what its rules need, and what is put into them is escaped."""

from __future__ import annotations

import json
import re
from html import unescape

import pytest

from gateway.config.cross_checks import SINGLE
from gateway.config.manifests.known import IN_FORCE, NOT_IN_FORCE
from gateway.control.pages.controls import SECTIONS, Section
from gateway.control.pages.models import providers
from tests.unit.control.rooms import Rooms


@pytest.mark.parametrize("section", SECTIONS, ids=[section.path for section in SECTIONS])
def test_a_list(section: Section) -> None:
    """It names its types; what is used of limits and budgets is shown beside."""
    text = Rooms().client().get(section.path).text
    found = re.search(r'data-section="([^"]*)"', text)
    assert found is not None
    data = json.loads(unescape(found[1]))
    assert [kind["type"] for kind in data["types"]] == [kind.type for kind in section.types]
    assert data["has_usage"] is section.path.endswith(("rate-limits", "budgets"))


@pytest.mark.parametrize("path", [*(section.path for section in SECTIONS), "/configuration/manifests"])
def test_what_there_is_one_of_is_not_added_twice(path: str) -> None:
    """A second one would be refused; the first is edited."""
    found = re.search(r'data-section="([^"]*)"', Rooms().client().get(path).text)
    assert found is not None
    for kind in json.loads(unescape(found[1]))["types"]:
        assert kind["is_single"] is (kind["type"] in SINGLE), kind["type"]


def test_every_type_has_a_place_among_the_manifests() -> None:
    """What is not in force yet as well, which is not begun there."""
    found = re.search(r'data-section="([^"]*)"', Rooms().client().get("/configuration/manifests").text)
    assert found is not None
    kinds = {kind["type"]: kind["add"] for kind in json.loads(unescape(found[1]))["types"]}
    assert set(kinds) == {*IN_FORCE, *NOT_IN_FORCE}
    assert {kind for kind, add in kinds.items() if not add} == NOT_IN_FORCE


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
