"""The admin API as a page."""

from __future__ import annotations

from gateway.control.openapi import TOPICS
from tests.unit.control.rooms import Rooms


def test_every_operation_is_on_it() -> None:
    """With a command for this address."""
    html = Rooms().client("http://127.0.0.1:8788").get("/configuration/api").text
    for topic in TOPICS:
        assert topic.title in html
        for operation in topic.operations:
            assert f">{operation.shown_path}</code>" in html
            for one in operation.headers:
                assert f"<code>{one.name}:</code>" in html
    assert ":path}" not in html, "that is a word of the router's"
    assert "http://127.0.0.1:8788/api/traces" in html
