"""The admin API described: as it is, and as OpenAPI wants it."""

from __future__ import annotations

import json
import re

import pytest
from starlette.routing import Route

from gateway.control.openapi import TOPICS, Operation, curl, document
from tests.unit.control.rooms import Rooms

OPERATIONS = [operation for topic in TOPICS for operation in topic.operations]


def routes() -> set[tuple[str, str]]:
    app = Rooms().client().app
    inner = app._app  # type: ignore[attr-defined]  # the guard's
    return {
        (method, route.path)
        for route in inner.routes
        if isinstance(route, Route) and route.path.startswith("/api/")
        for method in (route.methods or {"GET"}) - {"HEAD"}
    }


def test_every_route_is_described_and_no_other() -> None:
    """What is added to the API is added to the table."""
    assert {(operation.method, operation.path) for operation in OPERATIONS} == routes()


def test_who_may_is_as_the_guard_has_it() -> None:
    """Without a token only the way in answers."""
    client = Rooms().client(token=None)
    for operation in OPERATIONS:
        path = re.sub(r"\{[\w:]+\}", "x", operation.path)
        body = client.request(operation.method, path, json={}).json()
        is_open = body.get("error", {}).get("code") != "unauthorized"
        assert is_open == (operation.who in ("anybody", "caller")), operation


# The double of who calls the gateway knows nobody, and a stream does not end.
_ASKED = [one for one in OPERATIONS if one.method == "GET" and one.who != "caller" and not one.gives_events]


@pytest.mark.parametrize("operation", _ASKED, ids=lambda one: one.path)
def test_what_may_be_asked_is_what_is_described(operation: Operation) -> None:
    """Where a parameter that nobody knows is refused, the refusal lists those that are known."""
    path = re.sub(r"\{[\w:]+\}", "x", operation.path)
    error = Rooms().client().get(f"{path}?nobody-knows=1").json().get("error", {})
    known = re.search(r"there are (.*?)(?:,? and metadata\.<key>.*|, each once)?$", error.get("message", ""))
    if known:
        assert {one.name for one in operation.query} == set(known[1].split(", "))


def test_events_are_described_as_such() -> None:
    """By the type that the answer has."""
    streams = {"/api/traces/tail", "/api/playground/chat"}
    assert {one.path for one in OPERATIONS if one.gives_events} == streams
    for path in streams:
        [method] = document()["paths"][path].values()
        assert list(method["responses"]["200"]["content"]) == ["text/event-stream"]
    assert all(curl(one).startswith("curl -sN ") == one.gives_events for one in OPERATIONS)


def test_manifests_may_be_yaml() -> None:
    """A generator knows of both forms, and how a change that came between is noticed."""
    put = document()["paths"]["/api/manifests/{place}"]["put"]
    assert list(put["requestBody"]["content"]) == ["application/json", "application/yaml"]
    headers = [one["name"] for one in put["parameters"] if one["in"] == "header"]
    assert headers == ["If-Match", "If-None-Match"]


def test_it_is_a_document_of_openapi() -> None:
    """Each operation has an id of its own, and every parameter of its path."""
    shown = Rooms().client().get("/api/openapi.json").json()
    assert shown == json.loads(json.dumps(document()))
    assert shown["openapi"] == "3.1.0"
    operations = [one for methods in shown["paths"].values() for one in methods.values()]
    ids = [one["operationId"] for one in operations]
    assert len(set(ids)) == len(ids) == len(OPERATIONS)
    for path, methods in shown["paths"].items():
        for one in methods.values():
            in_path = {parameter["name"] for parameter in one["parameters"] if parameter["in"] == "path"}
            assert in_path == set(re.findall(r"\{(\w+)\}", path))
            assert one["responses"]


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: f"{one.method} {one.path}")
def test_its_command_is_one(operation: Operation) -> None:
    """With the token where one is wanted, and a body where there is one."""
    command = curl(operation)
    assert command.startswith("curl -s")
    assert ("Bearer" in command) == (operation.who != "anybody")
    if operation.body is not None:
        json.loads(command.partition("-d '")[2].partition("'")[0])
