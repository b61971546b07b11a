"""Sessions of browsers."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.control.sign_in import sessions as module
from gateway.control.sign_in.sessions import FILE_NAME, IDLE_S, LONGEST_S, Sessions, csrf_token
from tests.unit.doubles import Clock

WHO = {"kind": "user", "name": "ada"}


@pytest.fixture
def clock() -> Clock:
    return Clock(1_700_000_000.0)


@pytest.fixture
def sessions(tmp_path: Path, clock: Clock) -> Sessions:
    return Sessions(tmp_path, now_s=clock)


def test_a_session_outlives_a_restart(sessions: Sessions, tmp_path: Path, clock: Clock) -> None:
    """Its secret is nowhere but in the browser."""
    secret = sessions.begin(WHO)
    assert Sessions(tmp_path, now_s=clock).find(secret) == WHO
    assert secret not in (tmp_path / FILE_NAME).read_text()
    assert (tmp_path / FILE_NAME).stat().st_mode & 0o777 == 0o600
    assert sessions.find(secret + "x") is None


def test_it_ends_when_it_is_ended(sessions: Sessions) -> None:
    """And only that one."""
    one, other = sessions.begin(WHO), sessions.begin(WHO)
    sessions.end(one)
    assert sessions.find(one) is None
    assert sessions.find(other) == WHO


def test_it_ends_when_it_is_not_used(sessions: Sessions, clock: Clock) -> None:
    """Use keeps it, but not for ever."""
    idle, used = sessions.begin(WHO), sessions.begin(WHO)
    begun_at_s = clock.now_s
    clock.now_s += IDLE_S - 1
    sessions.note_use(used)
    clock.now_s += 1
    assert sessions.find(idle) is None
    while clock.now_s - begun_at_s < LONGEST_S:
        assert sessions.find(used) == WHO
        sessions.note_use(used)
        assert not sessions.is_use_new(used)
        clock.now_s += IDLE_S / 2
        assert sessions.is_use_new(used)
    assert sessions.find(used) is None


def test_a_use_of_none(sessions: Sessions, tmp_path: Path) -> None:
    """It is not noted."""
    assert not sessions.is_use_new("none")
    sessions.note_use("none")
    assert not (tmp_path / FILE_NAME).exists()


def test_those_that_have_ended_are_forgotten(sessions: Sessions, tmp_path: Path, clock: Clock) -> None:
    """The file does not grow."""
    for _ in range(3):
        sessions.begin(WHO)
    clock.now_s += LONGEST_S
    sessions.begin(WHO)
    assert (tmp_path / FILE_NAME).read_text().count("seen_at") == 1


def test_there_is_a_bound(sessions: Sessions, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one not seen for longest goes."""
    monkeypatch.setattr(module, "_MAX_SESSIONS", 2)
    secrets = []
    for _ in range(3):
        secrets.append(sessions.begin(WHO))
        clock.now_s += 1
    assert [sessions.find(secret) for secret in secrets] == [None, WHO, WHO]


def test_the_csrf_token_is_the_session_s_own() -> None:
    """It does not tell the secret, and another session has another."""
    assert csrf_token("a") == csrf_token("a") != csrf_token("b")
    assert "secret-of-a-session" not in csrf_token("secret-of-a-session")


def test_a_damaged_file_keeps_nobody_out(
    sessions: Sessions, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Everybody signs in again; who looks finds the file and why."""
    before = sessions.begin(WHO)
    (tmp_path / FILE_NAME).write_text('{"half')
    assert sessions.find(before) is None
    assert not sessions.is_use_new(before)
    assert not caplog.text
    after = sessions.begin(WHO)
    assert (sessions.find(before), sessions.find(after)) == (None, WHO)
    aside = tmp_path / f"{FILE_NAME}.damaged"
    assert aside.read_text() == '{"half'
    assert caplog.text.count(str(aside)) == 1
    sessions.end(after)
    assert sessions.find(after) is None


@pytest.mark.parametrize("odd", ["1", "null", "{}", '{"who": {}, "seen_at": "a", "begun_at": 1.0}'])
def test_what_is_no_session(sessions: Sessions, tmp_path: Path, odd: str) -> None:
    """It keeps nobody out either."""
    (tmp_path / FILE_NAME).write_text(f'{{"a": {odd}}}')
    secret = sessions.begin(WHO)
    assert sessions.find(secret) == WHO
    assert '"a"' not in (tmp_path / FILE_NAME).read_text()
