"""The pages as files: what they may load, and that they hold nothing to hide."""

from __future__ import annotations

import re

import pytest

from gateway.control.auth import Access
from tests.unit.control.rooms import Rooms

PAGE = "/settings/otel"


@pytest.mark.parametrize(
    ("path", "media_type"),
    [(PAGE, "text/html"), (f"{PAGE}.css", "text/css"), (f"{PAGE}.js", "text/javascript")],
)
def test_files(path: str, media_type: str) -> None:
    """With their type and a policy that lets nothing in from elsewhere."""
    reply = Rooms().client().get(path)
    assert reply.status_code == 200
    assert reply.headers["content-type"] == f"{media_type}; charset=utf-8"
    policy = reply.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy


def test_nothing_inline_and_nothing_foreign() -> None:
    """The policy would block it, and the page would break."""
    client = Rooms().client()
    html = client.get(PAGE).text
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=", html)
    assert re.findall(r"<script[^>]*>(.*?)</script>", html, re.DOTALL) == [""]
    for path in (PAGE, f"{PAGE}.css", f"{PAGE}.js"):
        text = client.get(path).text
        assert not re.search(r"(?:src|href)=.https?:|url\(|@import|innerHTML|eval\(", text)


def test_the_shell_is_open_where_the_api_asks_for_a_token() -> None:
    """It has no data; its script asks for the token."""
    client = Rooms(access=Access("0.0.0.0", "secret")).client("http://gateway.example:8788")
    assert client.get(PAGE).status_code == 200
    for path in ("/api/config/otel", "/api/telemetry"):
        assert client.get(path).status_code == 401
        assert client.get(path, headers={"authorization": "Bearer secret"}).status_code == 200
    assert client.put("/api/config/otel", json={}).status_code == 401


def test_every_control_has_a_label() -> None:
    """Readers of the page may not see it."""
    html = Rooms().client().get(PAGE).text
    ids = re.findall(r"<(?:input|select)[^>]*\sid=\"([a-z-]+)\"", html)
    assert ids
    for name in ids:
        assert f'for="{name}"' in html or f'<label class="switch"><input id="{name}"' in html
