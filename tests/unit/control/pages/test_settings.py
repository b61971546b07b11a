"""The tabs of the settings."""

from __future__ import annotations

import re

import pytest

from tests.unit.control.rooms import Rooms

PAGE = "/controls/settings/otel"


@pytest.mark.parametrize("path", ["/controls/settings", "/settings/otel"])
def test_other_addresses_lead_to_the_page(path: str) -> None:
    """The one before, which is in bookmarks, and that of the navigation."""
    reply = Rooms().client().get(path, follow_redirects=False)
    assert reply.status_code == 307
    assert reply.headers["location"] == PAGE


def test_the_page_is_where_the_walk_looks_for_it() -> None:
    """AI Gateway > Controls > Settings > OTEL Config."""
    html = Rooms().client().get(PAGE).text
    way = html[html.index('class="crumbs"') : html.index("</nav>")]
    assert re.findall(r">([^<>\n]+)</(?:a|span)>", way) == [
        *("AI Gateway", "Controls", "Settings", "OTEL Config"),
    ]


def test_every_control_has_a_label() -> None:
    """Readers of the page may not see it."""
    html = Rooms().client().get(PAGE).text
    form = html[html.index("<form id=") : html.index("</form>", html.index("<form id="))]
    ids = re.findall(r"<(?:input|select)[^>]*\sid=\"([a-z-]+)\"", form)
    assert ids
    for name in ids:
        assert f'for="{name}"' in form or re.search(
            rf'<label class="(?:switch|check)"><input[^>]* id="{name}"', form
        )
