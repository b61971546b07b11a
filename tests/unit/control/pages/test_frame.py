"""The frame: what a page may load, and that nothing put into it becomes markup."""

from __future__ import annotations

import re

import pytest
from starlette.requests import Request

from gateway.control.operator import Operator, Role, put_operator
from gateway.control.pages.frame import Crumb, Frame
from gateway.control.pages.static_files import StaticFiles
from tests.unit.control.rooms import Rooms

PAGE = "/controls/settings/otel"
EVIL = "\"'><script>alert(1)</script>"


def request(path: str = "/", cookie: str = "", operator: Operator | None = None) -> Request:
    scope = {"type": "http", "path": path, "headers": [(b"cookie", cookie.encode())], "query_string": b""}
    if operator is not None:
        put_operator(scope, operator)
    return Request(scope)


def shown(**changes: object) -> str:
    asked = request(**{"operator": Operator("ada", Role.ADMIN, "the-token"), **changes})  # type: ignore[arg-type]
    return bytes(Frame(StaticFiles(), replica="r1").page(asked, "otel.html", "A page").body).decode()


def test_a_page_may_load_our_files_only() -> None:
    """No other origin, nothing inline, no frame around it."""
    reply = Rooms().client().get(PAGE)
    policy = reply.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    assert "http" not in policy
    assert "frame-ancestors 'none'" in policy
    assert reply.headers["x-frame-options"] == "DENY"
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["referrer-policy"] == "no-referrer"
    assert reply.headers["cross-origin-opener-policy"] == "same-origin"
    assert reply.headers["cache-control"] == "no-store"


def test_nothing_inline_and_nothing_foreign() -> None:
    """The policy would block it, and the page would break."""
    client = Rooms().client()
    html = client.get(PAGE).text
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=", html)
    assert set(re.findall(r"<script[^>]*>(.*?)</script>", html, re.DOTALL)) == {""}
    for url in re.findall(r'(?:src|href)="([^"#]+)', html):
        assert url.startswith("/")
        assert client.get(url).status_code == 200


def test_what_is_put_in_is_escaped() -> None:
    """A name, a title, a replica: none can close a tag."""
    evil = Operator(EVIL, Role.VIEWER, EVIL)
    frame = Frame(StaticFiles(), replica=EVIL)
    html = bytes(frame.page(request(operator=evil), "otel.html", EVIL, Crumb(EVIL, EVIL)).body).decode()
    assert "<script>alert" not in html
    assert "'&gt;&lt;script&gt;" in html or "&#39;&gt;&lt;script&gt;" in html


def test_it_says_who_is_signed_in_and_which_replica_it_shows() -> None:
    """A dashboard shows its own replica."""
    html = shown()
    assert "ada" in html
    assert "r1</span>" in html
    assert '<meta name="csrf-token" content="the-token">' in html


@pytest.mark.parametrize(
    ("cookie", "theme"),
    [
        ("", "auto"),
        ("gateway-theme=dark", "dark"),
        ("gateway-theme=light", "light"),
        ("gateway-theme=x", "auto"),
    ],
)
def test_the_theme_is_in_the_page(cookie: str, theme: str) -> None:
    """So that nothing flashes before the scripts run."""
    assert f'data-theme="{theme}"' in shown(cookie=cookie)


def test_the_navigation_marks_where_one_is() -> None:
    """Once."""
    html = shown(path=PAGE)
    assert html.count('aria-current="true"') == 1
    assert 'href="/controls/settings" aria-current="true"' in html
