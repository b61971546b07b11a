"""Who may sign in, as a page."""

from __future__ import annotations

from pathlib import Path

from gateway.control.operator import Role
from tests.unit.control.rooms import Rooms, access_at

PAGE = "/access/dashboard"
PASSWORD = "correct horse battery"


def test_a_viewer_gets_no_more_than_their_own_password(tmp_path: Path) -> None:
    """The rest is not hidden by a style: it is not there."""
    access = access_at(folder=tmp_path)
    accounts = access.entrance.accounts
    accounts.add_user("reader", Role.VIEWER)
    accounts.use_link(accounts.make_link("reader"), PASSWORD)
    client = Rooms(access=access).client(token=None)
    assert client.post("/api/sign-in", json={"user": "reader", "password": PASSWORD}).status_code == 200
    viewer = client.get(PAGE).text
    admin = Rooms(access=access).client().get(PAGE).text
    for part in ('id="users"', 'id="tokens"', 'id="add-dialog"'):
        assert part in admin
        assert part not in viewer
    assert 'id="password-form"' in viewer


def test_who_came_with_a_token_has_no_password(tmp_path: Path) -> None:
    """So there is none to change."""
    access = access_at(folder=tmp_path)
    _, secret = access.entrance.accounts.make_token("reader", Role.VIEWER)
    client = Rooms(access=access).client(token=None)
    assert client.post("/api/sign-in", json={"token": secret}).status_code == 200
    assert 'id="password-form"' not in client.get(PAGE).text


def test_no_account_is_in_the_page_itself(tmp_path: Path) -> None:
    """The script asks for them, and the API says who may."""
    access = access_at(folder=tmp_path)
    access.entrance.accounts.add_user("ada-lovelace", Role.VIEWER)
    assert "ada-lovelace" not in Rooms(access=access).client().get(PAGE).text
