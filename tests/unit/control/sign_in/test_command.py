"""`gateway admin ...`, on a state folder."""

from __future__ import annotations

import io
import os
import pwd
import re
import time
from pathlib import Path

import pytest

from gateway.cli import main
from gateway.control.sign_in.accounts import Accounts
from gateway.control.sign_in.roles import Role
from gateway.store.audit_log import AuditLog
from tests.rig.requires import requires

PASSWORD = "correct horse battery"


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for flag in ("STATE_DIR", "CONTROL_HOST", "CONTROL_PORT"):
        monkeypatch.delenv(f"GATEWAY_{flag}", raising=False)


def run(folder: Path, *words: str) -> int:
    return main(["admin", *words, "--state-dir", str(folder)])


def test_a_link_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is a whole address, and works."""
    assert run(tmp_path, "link", "--control-port", "9000") == 0
    address = capsys.readouterr().out.splitlines()[0]
    origin, _, secret = address.partition("/first#")
    assert origin == "http://127.0.0.1:9000"
    assert Accounts(tmp_path).find_link(secret) == "admin"


@requires("root")
def test_root_makes_a_link_for_a_service(tmp_path: Path) -> None:
    """What it leaves is the service's to read and change; only root can enter systemd's folder for one."""
    os.chown(tmp_path, 12345, 12345)
    assert run(tmp_path, "link") == 0
    assert {file.name: file.stat().st_uid for file in tmp_path.iterdir()} == {
        "audit": 12345,
        "operators.json": 12345,
        "operators.json.lock": 12345,
    }
    assert {file.stat().st_uid for file in (tmp_path / "audit").iterdir()} == {12345}


def test_a_password_is_taken_from_a_pipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And is not printed."""
    monkeypatch.setattr("sys.stdin", io.StringIO(PASSWORD + "\n"))
    assert run(tmp_path, "password") == 0
    assert Accounts(tmp_path).check_password("admin", PASSWORD)
    assert PASSWORD not in capsys.readouterr().out


def test_a_password_that_is_refused_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On standard error, with an exit code."""
    monkeypatch.setattr("sys.stdin", io.StringIO("short\n"))
    assert run(tmp_path, "password") == 1
    assert "at least 12" in capsys.readouterr().err


def test_tokens(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Printed alone, so that a script can keep it; listed without the secret; revoked by their id."""
    assert run(tmp_path, "token", "ci", "--role", "admin", "--days", "3") == 0
    secret = capsys.readouterr().out.strip()
    token = Accounts(tmp_path).check_token(secret)
    assert token is not None
    assert (token.name, token.role) == ("ci", Role.ADMIN)
    assert run(tmp_path, "list") == 0
    listed = capsys.readouterr().out
    assert token.expires_at_s is not None
    until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(token.expires_at_s))
    assert listed == f"token  admin   {token.id}  ci (until {until})\n"
    assert secret not in listed
    assert run(tmp_path, "revoke", token.id) == 0
    assert Accounts(tmp_path).check_token(secret) is None
    assert run(tmp_path, "revoke", token.id) == 1


def test_what_was_done_is_in_the_audit_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As by the API, with the user of the host who did it and without any secret."""
    assert run(tmp_path, "link") == 0
    monkeypatch.setattr("sys.stdin", io.StringIO(PASSWORD + "\n"))
    assert run(tmp_path, "password") == 0
    assert run(tmp_path, "token", "ci") == 0
    link, token = re.findall(r"first#(\S+)|(gwa_\S+)", capsys.readouterr().out)
    assert run(tmp_path, "revoke", Accounts(tmp_path).tokens()[0].id) == 0
    log = AuditLog(tmp_path / "audit")
    by = {"kind": "command", "user": pwd.getpwuid(os.geteuid()).pw_name}
    assert [(entry["action"], entry["type"], entry["name"], entry["by"]) for entry in log.newest()] == [
        ("admin_token.revoked", "operator", "ci", by),
        ("admin_token.created", "operator", "ci", by),
        ("operator.password_set", "operator", "admin", by),
        ("operator.link_made", "operator", "admin", by),
        ("operator.created", "operator", "admin", by),
    ]
    noted = (tmp_path / "audit" / "audit.jsonl").read_text()
    assert not [secret for secret in (link[0], token[1], PASSWORD) if secret in noted]


def test_what_was_not_done_is_not_in_the_audit_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor what only looks."""
    monkeypatch.setattr("sys.stdin", io.StringIO("short\n"))
    Accounts(tmp_path).make_link("admin")
    assert run(tmp_path, "password") == 1
    assert run(tmp_path, "link", "--user", "nobody") == 1
    assert run(tmp_path, "token", "..") == 1
    assert run(tmp_path, "revoke", "x") == 1
    assert run(tmp_path, "list") == 0
    assert not list(AuditLog(tmp_path / "audit").newest())


def test_what_cannot_be_noted_is_done(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """A full disk keeps no admin out, who is told."""
    (tmp_path / "audit").touch()
    assert run(tmp_path, "token", "ci") == 0
    assert Accounts(tmp_path).check_token(capsys.readouterr().out.strip()) is not None
    assert "not in the audit log" in caplog.text


def test_who_has_no_password_yet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The list says so: the link that was made for it may have ended."""
    accounts = Accounts(tmp_path)
    link = accounts.make_link("admin")
    assert run(tmp_path, "list") == 0
    assert capsys.readouterr().out == "user   admin   admin (no password yet)\n"
    accounts.use_link(link, PASSWORD)
    assert run(tmp_path, "list") == 0
    assert capsys.readouterr().out == "user   admin   admin\n"


@pytest.mark.parametrize("words", [["link"], ["list"], ["token", "x"], ["revoke", "x"], ["password"]])
def test_another_folder_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    """An account in a folder that no gateway uses would help nobody."""
    assert run(tmp_path / "none", *words) == 1
    assert "--state-dir" in capsys.readouterr().err


def test_settings_that_cannot_be_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As `gateway serve` says it."""
    assert run(tmp_path, "link", "--control-port", "x") == 2
    assert "--control-port" in capsys.readouterr().err
