"""The navigation."""

from __future__ import annotations

import re

import pytest

from gateway.control.pages.navigation import NAVIGATION, current_entry
from gateway.control.pages.static_files import StaticFiles
from tests.unit.control.rooms import Rooms


@pytest.mark.parametrize("entry", [entry for group in NAVIGATION for entry in group.entries], ids=str)
def test_each_line_leads_to_a_page(entry: object) -> None:
    """None to nothing, and each has a picture."""
    path, icon = getattr(entry, "path", ""), getattr(entry, "icon", "")
    client = Rooms().client()
    reply = client.get(path)
    assert reply.status_code == 200
    assert reply.headers["content-type"].startswith("text/html")
    assert f'id="{icon}"' in client.get(StaticFiles().url("icons.svg")).text
    way = reply.text[reply.text.index('class="crumbs"') :]
    assert '<a href="/">AI Gateway</a>' in way[: way.index("</nav>")], "as the documentation names the way"


def test_pages_below_belong_to_the_line_above() -> None:
    """A trace belongs to the traces."""
    found = current_entry("/controls/settings/otel")
    assert found is not None
    assert found.path == "/controls/settings"
    assert current_entry("/controls/settingsx") is None


def test_every_symbol_that_a_page_names_is_there() -> None:
    """A missing one shows nothing and says nothing."""
    client = Rooms().client()
    sprite = client.get(StaticFiles().url("icons.svg")).text
    for entry in (entry for group in NAVIGATION for entry in group.entries):
        for name in re.findall(r"icons\.svg#([a-z-]+)", client.get(entry.path).text):
            assert f'id="{name}"' in sprite
