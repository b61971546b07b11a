"""Names of paths."""

from __future__ import annotations

import pytest

from gateway.endpoints.path_tree import PathTree
from gateway.model import Endpoint

TEMPLATES = ("/files", "/files/{file_id}", "/files/{file_id}/content", "/work/{id}/poll", "/work/stats")


def make(template: str) -> Endpoint:
    return Endpoint(
        name="x", path=template, route="/v1" + template, operation="x", can_stream=False, reply="bytes"
    )


TREE = PathTree(TEMPLATES, make, more_areas=("admin",))


@pytest.mark.parametrize(
    ("path", "template"),
    [
        ("/files", "/files"),
        ("/files/f-1", "/files/{file_id}"),
        ("/files/f-1/content", "/files/{file_id}/content"),
        ("/files/f-1/else", "/files/{path}"),
        ("/files/", "/files/{path}"),
        ("/work", "/work/{path}"),
        ("/work/stats", "/work/stats"),
        ("/work/w/poll", "/work/{id}/poll"),
        ("/admin", "/admin/{path}"),
        ("/admin/users/u-1", "/admin/{path}"),
    ],
)
def test_find(path: str, template: str) -> None:
    """Words stay, ids do not, and what is not in the table is named after its first word."""
    found = TREE.find(path)
    assert found is not None
    assert found.path == template


@pytest.mark.parametrize("path", ["", "/", "/other", "files", "//files"])
def test_nothing(path: str) -> None:
    """A first word that is not there is no path."""
    assert TREE.find(path) is None
