"""The pages under Access."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.control.operator import Role
from gateway.control.pages.callers import SECTIONS, TOKENS
from tests.unit.control.rooms import Rooms, access_at


@pytest.mark.parametrize("path", [TOKENS, *(section.path for section in SECTIONS)])
def test_each_is_there(path: str) -> None:
    """In the frame."""
    assert Rooms().client().get(path).status_code == 200


def test_a_viewer_makes_no_token(tmp_path: Path) -> None:
    """What makes one is not in the page."""
    access = access_at(folder=tmp_path)
    _, secret = access.entrance.accounts.make_token("reader", Role.VIEWER)
    assert 'id="add-dialog"' not in Rooms(access=access).client(token=secret).get(TOKENS).text
    assert 'id="add-dialog"' in Rooms(access=access).client().get(TOKENS).text
