"""Who may sign in."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.control.sign_in import accounts as module
from gateway.control.sign_in.accounts import FILE_NAME, LINK_S, AccountRefused, Accounts
from gateway.control.sign_in.passwords import hash_password
from gateway.control.sign_in.roles import Role
from tests.unit.doubles import Clock

PASSWORD = "correct horse battery"


@pytest.fixture
def clock() -> Clock:
    return Clock(1_700_000_000.0)


@pytest.fixture
def accounts(tmp_path: Path, clock: Clock) -> Accounts:
    return Accounts(tmp_path, now_s=clock)


def test_the_first_link_makes_the_first_admin(accounts: Accounts) -> None:
    """Who has no password until the link is used."""
    assert not accounts.has_admin()
    secret = accounts.make_link("admin")
    assert not accounts.has_admin()
    assert accounts.find_link(secret) == "admin"
    user = accounts.use_link(secret, PASSWORD)
    assert (user.name, user.role, user.has_password) == ("admin", Role.ADMIN, True)
    assert accounts.has_admin()
    assert accounts.check_password("admin", PASSWORD) == user
    assert accounts.check_password("admin", PASSWORD + "x") is None
    assert accounts.check_password("nobody", PASSWORD) is None


def test_a_link_works_once(accounts: Accounts) -> None:
    """Whoever finds it later has nothing."""
    secret = accounts.make_link("admin")
    accounts.use_link(secret, PASSWORD)
    with pytest.raises(AccountRefused, match="used or has expired"):
        accounts.use_link(secret, PASSWORD + "!")
    assert accounts.check_password("admin", PASSWORD)


def test_a_weak_password_does_not_use_it_up(accounts: Accounts) -> None:
    """The next try may be better."""
    secret = accounts.make_link("admin")
    with pytest.raises(AccountRefused, match="at least 12"):
        accounts.use_link(secret, "short")
    accounts.use_link(secret, PASSWORD)


def test_a_link_expires(accounts: Accounts, clock: Clock) -> None:
    """After a day."""
    secret = accounts.make_link("admin")
    clock.now_s += LINK_S - 1
    assert accounts.find_link(secret) == "admin"
    clock.now_s += 1
    assert accounts.find_link(secret) is None


def test_another_link_ends_the_one_before(accounts: Accounts) -> None:
    """Asked for because the first was lost, perhaps to somebody."""
    first, second = accounts.make_link("admin"), accounts.make_link("admin")
    assert accounts.find_link(first) is None
    assert accounts.find_link(second) == "admin"


def test_two_processes_cannot_both_use_a_link(accounts: Accounts, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second is told, though it was good when it looked."""
    secret = accounts.make_link("admin")

    def meanwhile(password: str) -> str:
        monkeypatch.undo()
        accounts.use_link(secret, "the password of the other")
        return hash_password(password)

    monkeypatch.setattr(module, "hash_password", meanwhile)
    with pytest.raises(AccountRefused, match="used or has expired"):
        accounts.use_link(secret, PASSWORD)


def test_another_password_has_another_mark(accounts: Accounts) -> None:
    """By which sessions from before end."""
    before = accounts.use_link(accounts.make_link("admin"), PASSWORD)
    accounts.set_password("admin", PASSWORD)
    after = accounts.find_user("admin")
    assert after is not None
    assert after.mark != before.mark


def test_nothing_secret_is_in_the_file_or_a_repr(accounts: Accounts, tmp_path: Path) -> None:
    """Only hashes, for the owner alone."""
    link = accounts.make_link("admin")
    user = accounts.use_link(link, PASSWORD)
    token, secret = accounts.make_token("ci", Role.VIEWER)
    text = (tmp_path / FILE_NAME).read_text() + repr((user, token))
    for hidden in (PASSWORD, link, secret):
        assert hidden not in text
    assert user.mark not in repr(user)
    assert (tmp_path / FILE_NAME).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", ["", " x", "a/b", "x" * 129, "<b>", "a\nb", ".", ".."])
def test_a_name_is_a_name(accounts: Accounts, name: str) -> None:
    """It is shown, and stands in addresses."""
    with pytest.raises(AccountRefused, match="a name has"):
        accounts.add_user(name, Role.VIEWER)
    with pytest.raises(AccountRefused, match="a name has"):
        accounts.make_token(name, Role.VIEWER)


def test_where_there_is_no_admin_others_may_go(accounts: Accounts) -> None:
    """All is done with `GATEWAY_ADMIN_TOKEN` there, and who leaves the company has to be removed too."""
    accounts.add_user("ada", Role.VIEWER)
    accounts.set_role("ada", Role.VIEWER)
    accounts.remove_user("ada")
    assert list(accounts.users()) == []


def test_the_last_admin_stays(accounts: Accounts) -> None:
    """Nobody could let anybody in."""
    accounts.make_link("admin")
    accounts.add_user("ada", Role.VIEWER)
    with pytest.raises(AccountRefused, match="last admin"):
        accounts.remove_user("admin")
    with pytest.raises(AccountRefused, match="last admin"):
        accounts.set_role("admin", Role.VIEWER)
    accounts.set_role("ada", Role.ADMIN)
    link = accounts.make_link("admin")
    accounts.remove_user("admin")
    assert accounts.find_link(link) is None
    assert [user.name for user in accounts.users()] == ["ada"]


def test_users_are_told_apart(accounts: Accounts) -> None:
    """By name."""
    accounts.add_user("ada", Role.VIEWER)
    with pytest.raises(AccountRefused, match="already"):
        accounts.add_user("ada", Role.ADMIN)
    for missing in (
        lambda: accounts.set_role("bob", Role.VIEWER),
        lambda: accounts.remove_user("bob"),
        lambda: accounts.make_link("bob"),
        lambda: accounts.set_password("bob", PASSWORD),
    ):
        with pytest.raises(AccountRefused, match="no user 'bob'"):
            missing()


def test_a_token_is_good_until_it_is_revoked_or_expires(accounts: Accounts, clock: Clock) -> None:
    """And others go on."""
    token, secret = accounts.make_token("ci", Role.ADMIN, valid_s=60.0)
    other, _ = accounts.make_token("other", Role.VIEWER)
    assert accounts.check_token(secret) == accounts.find_token(token.id) == token
    assert accounts.check_token(secret + "x") is None
    clock.now_s += 60
    assert accounts.check_token(secret) is None
    assert accounts.tokens() == [other]
    assert accounts.revoke_token(other.id) == other
    assert accounts.tokens() == []
    with pytest.raises(AccountRefused, match="no such token"):
        accounts.revoke_token(other.id)


def test_there_is_a_bound(accounts: Accounts, monkeypatch: pytest.MonkeyPatch) -> None:
    """A script gone wild fills no disk."""
    monkeypatch.setattr(module, "_MAX_TOKENS", 2)
    monkeypatch.setattr(module, "_MAX_USERS", 2)
    for number in range(2):
        accounts.make_token(f"t{number}", Role.VIEWER)
        accounts.add_user(f"u{number}", Role.VIEWER)
    with pytest.raises(AccountRefused, match="2 tokens"):
        accounts.make_token("t", Role.VIEWER)
    with pytest.raises(AccountRefused, match="2 users"):
        accounts.add_user("u", Role.VIEWER)
