"""Names of Anthropic's paths, without ids, and the links in its replies."""

from __future__ import annotations

import re
from pathlib import Path

import anthropic
import pytest

from gateway.endpoints.anthropic_paths import (
    ADMINISTRATION,
    TEMPLATES,
    find_anthropic_path,
    is_long,
    own_links,
)

_WRITTEN = re.compile(r'"/v1(/[^"?]+)[^"]*"')
_ANSWERED_HERE = {"/messages", "/messages/count_tokens", "/models", "/models/{model_id}"}


@pytest.mark.parametrize(
    ("path", "template", "operation"),
    [
        ("/messages/batches", "/messages/batches", "message_batches"),
        ("/messages/batches/b_1/results", "/messages/batches/{message_batch_id}/results", "message_batches"),
        ("/files/file_1/content", "/files/{file_id}/content", "files"),
        ("/organizations/users/u", "/organizations/{path}", "organizations"),
        ("/messages/else", "/messages/{path}", "messages"),
    ],
)
def test_names(path: str, template: str, operation: str) -> None:
    """Words of the table stay, ids do not; errors are in Anthropic's words."""
    endpoint = find_anthropic_path(path)
    assert endpoint is not None
    assert (endpoint.path, endpoint.route, endpoint.operation) == (template, "/v1" + template, operation)
    assert endpoint.dialect == "anthropic"


@pytest.mark.parametrize("path", ["/chat/completions", "/models", "/batches", "/", ""])
def test_what_anthropic_does_not_have(path: str) -> None:
    """Such a path is somebody else's, or the gateway's own."""
    assert find_anthropic_path(path) is None


def test_the_sdk_has_no_other_path() -> None:
    """Each path that the installed SDK can call is in the table, and none else, but for administration."""
    root = Path(anthropic.__file__).parent / "resources"
    paths = {path for file in root.rglob("*.py") for path in _WRITTEN.findall(file.read_text())}
    named = {path for path in paths if path.split("/")[1] not in ADMINISTRATION}
    assert named - _ANSWERED_HERE == set(TEMPLATES)


def test_long() -> None:
    """Only what a batch is made with."""
    assert {path for path in TEMPLATES if (found := find_anthropic_path(path)) and is_long(found)} == {
        "/messages/batches"
    }


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            b'{"results_url": "https://api.anthropic.com/v1/messages/batches/b_1/results", "x": 1.0}',
            b'{"results_url": "/v1/messages/batches/b_1/results", "x": 1.0}',
        ),
        (
            b'{"results_url":"http://lab:8/x/messages/batches/b/results?a=1"}',
            b'{"results_url":"/v1/messages/batches/b/results?a=1"}',
        ),
        (b'{"results_url": null}', b'{"results_url": null}'),
        (b'{"results_url": "https://else/file"}', b'{"results_url": "https://else/file"}'),
        (b'{"id": "b_1"}', b'{"id": "b_1"}'),
    ],
    ids=["whole", "elsewhere", "none yet", "no results", "nothing"],
)
def test_links(body: bytes, expected: bytes) -> None:
    """The way to a batch's results is a path here, and no other byte changes."""
    assert own_links(body) == expected
