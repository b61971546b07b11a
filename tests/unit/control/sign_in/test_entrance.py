"""Who somebody is, by what they bring."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gateway.control.operator import Operator
from gateway.control.sign_in.entrance import Entrance, TooManyTries, WrongSecret
from gateway.control.sign_in.roles import Role
from tests.rig.until import until_async

PASSWORD = "correct horse battery"
ADDRESS = "192.0.2.1"
RANDOM = "5b1f0c9a7e3d48261fa0c4b7d9e2638a"


@pytest.fixture
def entrance(tmp_path: Path) -> Entrance:
    return Entrance(tmp_path, "of-the-environment")


async def test_a_password_begins_a_session(entrance: Entrance) -> None:
    """As who one is now: a change of the role is in force at once."""
    secret = await entrance.with_link(entrance.accounts.make_link("admin"), PASSWORD, ADDRESS)
    operator = entrance.by_session(secret)
    assert operator is not None
    assert (operator.name, operator.role) == ("admin", Role.ADMIN)
    assert operator.csrf_token
    entrance.accounts.add_user("ada", Role.ADMIN)
    entrance.accounts.set_role("admin", Role.VIEWER)
    second = await entrance.with_password("admin", PASSWORD, ADDRESS)
    for one in (secret, second):
        found = entrance.by_session(one)
        assert found is not None
        assert found.role is Role.VIEWER


@pytest.mark.parametrize(("user", "password"), [("admin", "wrong"), ("nobody", PASSWORD), ("", "")])
async def test_what_is_wrong_is_not_said(entrance: Entrance, user: str, password: str) -> None:
    """The name or the password."""
    entrance.accounts.use_link(entrance.accounts.make_link("admin"), PASSWORD)
    with pytest.raises(WrongSecret):
        await entrance.with_password(user, password, ADDRESS)


async def test_sessions_end_with_what_they_were_begun_by(entrance: Entrance, tmp_path: Path) -> None:
    """Another password, a revoked token, another token in the environment, a removed user."""
    await entrance.with_link(entrance.accounts.make_link("admin"), PASSWORD, ADDRESS)
    entrance.accounts.add_user("ada", Role.VIEWER)
    by_link = await entrance.with_link(entrance.accounts.make_link("ada"), PASSWORD, ADDRESS)
    by_password = await entrance.with_password("admin", PASSWORD, ADDRESS)
    token, text = entrance.accounts.make_token("ci", Role.VIEWER)
    by_token = await entrance.with_token(text, ADDRESS)
    by_environment = await entrance.with_token("of-the-environment", ADDRESS)
    assert all(map(entrance.by_session, (by_link, by_password, by_token, by_environment)))

    fresh = await entrance.change_password("admin", PASSWORD, PASSWORD + "!", ADDRESS)
    entrance.accounts.remove_user("ada")
    entrance.accounts.revoke_token(token.id)
    assert not any(map(entrance.by_session, (by_link, by_password, by_token)))
    assert entrance.by_session(fresh)
    assert entrance.by_session(by_environment) is not None
    assert Entrance(tmp_path, "another").by_session(by_environment) is None
    assert Entrance(tmp_path, None).by_session(by_environment) is None
    entrance.sign_out(fresh)
    assert entrance.by_session(fresh) is None


def test_tokens_are_operators(entrance: Entrance) -> None:
    """That of the environment is an admin."""
    _, text = entrance.accounts.make_token("ci", Role.VIEWER)
    assert entrance.by_bearer(text, ADDRESS) == Operator("ci", Role.VIEWER)
    assert entrance.by_bearer("of-the-environment", ADDRESS) == Operator("environment", Role.ADMIN)
    assert entrance.by_bearer("other", ADDRESS) is None
    assert entrance.by_bearer("\udcff", ADDRESS) is None


def test_nobody_keeps_a_program_out(tmp_path: Path) -> None:
    """By sending wrong tokens from its address; the environment's, which may be short, has to wait there."""
    entrance = Entrance(tmp_path, "of-the-environment", tick_s=lambda: 0.0)
    made, text = entrance.accounts.make_token("ci", Role.VIEWER)
    for _ in range(31):
        assert entrance.by_bearer("guess", ADDRESS) is None
    for wrong in ("guess", "of-the-environment", "gwa_guess", text + "x"):
        with pytest.raises(TooManyTries):
            entrance.by_bearer(wrong, ADDRESS)
    assert entrance.by_bearer(text, ADDRESS) == Operator("ci", Role.VIEWER)
    # Whoever is in already stays, and is counted among no guesses.
    noted = entrance._bearers.wait_s(ADDRESS)
    assert [entrance.is_token(each) for each in (text, "of-the-environment", "guess", "")] == [
        True,
        True,
        False,
        False,
    ]
    assert entrance._bearers.wait_s(ADDRESS) == noted
    entrance.accounts.revoke_token(made.id)
    assert not entrance.is_token(text)
    with pytest.raises(TooManyTries):
        entrance.by_bearer(text, ADDRESS)


@pytest.mark.parametrize(
    ("token", "passes"),
    [
        pytest.param(RANDOM, True, id="random"),
        pytest.param(RANDOM.upper(), True, id="capitals"),
        pytest.param(RANDOM[:31], False, id="short"),
        pytest.param("correct-horse-battery-staple-of-our-company", False, id="phrase"),
        pytest.param("gwa_" + RANDOM[:8], False, id="like one made here"),
        pytest.param("deadbeef" * 8, False, id="few digits"),
    ],
)
async def test_nobody_keeps_a_random_token_of_the_environment_out(
    tmp_path: Path, token: str, *, passes: bool
) -> None:
    """Trying does not find it, so it waits for no strangers at its address; what may be guessed does."""
    entrance = Entrance(tmp_path, token, tick_s=lambda: 0.0)
    for _ in range(31):
        assert entrance.by_bearer("guess", ADDRESS) is None
    for _ in range(6):
        with pytest.raises(WrongSecret):
            await entrance.with_token("guess", ADDRESS)
    if passes:
        assert entrance.by_bearer(token, ADDRESS) == Operator("environment", Role.ADMIN)
        session = await entrance.with_token(token, ADDRESS)
        assert entrance.by_session(session) is not None
    else:
        with pytest.raises(TooManyTries):
            entrance.by_bearer(token, ADDRESS)
        with pytest.raises(TooManyTries):
            await entrance.with_token(token, ADDRESS)
    for wrong in (token + "0", token[:-1]):
        with pytest.raises(TooManyTries):
            entrance.by_bearer(wrong, ADDRESS)
        with pytest.raises(TooManyTries):
            await entrance.with_token(wrong, ADDRESS)


async def test_who_guesses_has_to_wait(tmp_path: Path) -> None:
    """Also with the right one then; somebody else has not."""
    now_s = 0.0
    entrance = Entrance(tmp_path, "of-the-environment", tick_s=lambda: now_s)
    for _ in range(6):
        with pytest.raises(WrongSecret):
            await entrance.with_token("guess", ADDRESS)
    with pytest.raises(TooManyTries) as raised:
        await entrance.with_token("of-the-environment", ADDRESS)
    assert raised.value.wait_s == 2.0
    await entrance.with_token("of-the-environment", "192.0.2.2")
    now_s = 2.0
    await entrance.with_token("of-the-environment", ADDRESS)


async def test_a_viewer_does_not_guess_faster_than_others(tmp_path: Path) -> None:
    """Nor by signing in as themselves before they would have to wait."""
    entrance = Entrance(tmp_path, "of-the-environment", tick_s=lambda: 0.0)
    entrance.accounts.make_link("admin")
    _, own = entrance.accounts.make_token("eve", Role.VIEWER)
    for _ in range(6):
        with pytest.raises(WrongSecret):
            await entrance.with_password("admin", "guess", ADDRESS)
        if entrance._guesses.wait_s(ADDRESS) == 0:
            await entrance.with_token(own, ADDRESS)
    with pytest.raises(TooManyTries):
        await entrance.with_password("admin", "guess", ADDRESS)


async def test_nor_does_one_with_a_token_guess_at_others(tmp_path: Path) -> None:
    """A token of the environment may be short."""
    entrance = Entrance(tmp_path, "of-the-environment", tick_s=lambda: 0.0)
    _, own = entrance.accounts.make_token("eve", Role.VIEWER)
    for _ in range(6):
        with pytest.raises(WrongSecret):
            await entrance.with_token("guess", ADDRESS)
        assert entrance.by_session(await entrance.with_token(own, ADDRESS)) is not None
    with pytest.raises(TooManyTries):
        await entrance.with_token("guess", ADDRESS)


async def test_few_passwords_are_tried_at_once(entrance: Entrance) -> None:
    """Each takes memory and a core: the rest is refused at once."""
    async with entrance._one_by_one:
        tries = [
            asyncio.ensure_future(entrance.with_password("admin", "guess", f"10.0.0.{number}"))
            for number in range(40)
        ]
        await until_async(lambda: sum(each.done() for each in tries) == 32, "the rest is refused")
    results = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(isinstance(result, TooManyTries) for result in results) == 32
    assert sum(isinstance(result, WrongSecret) for result in results) == 8


async def test_guesses_sent_together_are_counted_one_by_one(entrance: Entrance) -> None:
    """Who sends many at once has no more of them."""
    tries = [entrance.with_token("guess", ADDRESS) for _ in range(8)]
    results = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(isinstance(result, WrongSecret) for result in results) == 6
