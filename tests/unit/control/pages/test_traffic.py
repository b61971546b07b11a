"""Monitor, Traces and the page of a trace. In a browser: tests/browser/test_traffic_pages.py."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.control.pages.traffic import Places
from tests.unit.control.rooms import Rooms

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.mark.parametrize("path", ["/monitor", "/traces", f"/traces/{TRACE_ID}"])
def test_pages_know_where_the_gateway_is(path: str) -> None:
    """For the command that they show."""
    rooms = Rooms()
    services = replace(rooms.services(), places=Places("http://gw.test:1"))
    reply = rooms.client(services=services).get(path)
    assert reply.status_code == 200
    assert 'data-gateway="http://gw.test:1"' in reply.text


def test_a_trace_elsewhere_is_linked_to() -> None:
    """Where the operator said; nothing of it becomes markup."""
    rooms = Rooms()
    services = replace(rooms.services(), places=Places(trace_link='https://k.test/{trace_id}?"><b>'))
    text = rooms.client(services=services).get(f"/traces/{TRACE_ID.upper()}").text
    assert f'href="https://k.test/{TRACE_ID}?&#34;&gt;&lt;b&gt;"' in text
    assert "Open in your tracing system" not in rooms.client().get(f"/traces/{TRACE_ID}").text


@pytest.mark.parametrize("text", ["0", "x" * 32, "%3Cb%3E"])
def test_what_is_no_trace_id(text: str) -> None:
    """A page says so."""
    reply = Rooms().client().get(f"/traces/{text}")
    assert reply.status_code == 404
    assert "That is no trace id" in reply.text


@pytest.mark.parametrize(
    "path", ["/monitor", "/traces", f"/traces/{TRACE_ID}", "/api/metrics/query", "/api/traces/tail"]
)
def test_nobody_reads_without_signing_in(path: str) -> None:
    """Neither pages nor what they ask for."""
    reply = Rooms().client(token=None).get(path, follow_redirects=False)
    assert reply.status_code in {302, 303, 307, 401}
