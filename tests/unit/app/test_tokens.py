"""`gateway token` as it is typed."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from gateway.cli import main
from tests.rig.token_form import is_opaque_token
from tests.unit.config.writing import ACCOUNT, CALLER, documents


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "m.yaml").write_text(documents(ACCOUNT, CALLER))
    return tmp_path


def test_a_life(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A token alone is printed, so that scripts can take it; the table has ids and dates."""
    where = ["--config", str(config), "--state-dir", str(config / ".state")]
    assert main(["token", "create", "--virtual-account", "app", "--expires", "90d", *where]) == 0
    told = capsys.readouterr()
    token = told.out.removesuffix("\n")
    assert is_opaque_token(token)
    assert token not in told.err
    assert main(["token", "list", "--format", "json", *where]) == 0
    first = json.loads(capsys.readouterr().out)["tokens"][1]["id"]
    assert first in told.err
    assert main(["token", "rotate", first, "--grace-days", "1", *where]) == 0
    assert main(["token", "rotate", "--due", *where]) == 0
    assert main(["token", "revoke", first, *where]) == 0
    capsys.readouterr()
    assert main(["token", "list", *where]) == 0
    header, by_hand, second = capsys.readouterr().out.splitlines()
    assert header.split() == ["ID", "CALLER", "CREATED", "EXPIRES", "STATE"]
    assert by_hand.split() == ["-", "virtualaccount:app", "-", "never", "unknown"]
    assert first not in second
    assert second.endswith("active")
    assert hashlib.sha256(token.encode()).hexdigest() not in (config / "m.yaml").read_text()


def test_due_tokens_are_told_with_whose_they_are(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A job has to know whom to give which."""
    old = '  - {id: t1, hash: "sha256:%s", created_at: "2020-01-01T00:00:00Z"}\n' % ("a" * 64)
    account = f"type: virtual-account\nname: job\nmodels: ['lab/*']\nauto_rotate: {{}}\ntokens:\n{old}"
    (config / "job.yaml").write_text(account)
    assert main(["token", "rotate", "--due", "--config", str(config)]) == 0
    subject, _, token = capsys.readouterr().out.split()
    assert (subject, is_opaque_token(token)) == ("virtualaccount:job", True)


@pytest.mark.parametrize(
    "arguments",
    [
        ["create", "--virtual-account", "nobody"],
        ["create", "--virtual-account", "app", "--expires", "soon"],
        ["rotate", "t1"],
        ["revoke", "t1"],
    ],
)
def test_what_cannot_be_done(config: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 1, and why."""
    assert main(["token", *arguments, "--config", str(config)]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("gateway token: ")


def test_a_configuration_with_errors(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each is told."""
    (config / "z.yaml").write_text("type: unheard-of\n")
    assert main(["token", "create", "--virtual-account", "app", "--config", str(config)]) == 1
    assert "unknown type 'unheard-of'" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [["list"], ["rotate", "--due"], ["rotate", "t1"], ["revoke", "t1"], ["create", "--pat", "phone"]],
    ids=" ".join,
)
def test_what_cannot_be_read(config: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody takes a token for gone, or a job for done, whose manifest has errors or is elsewhere."""
    (config / "z.yaml").write_text("type: pat\nname: phone\nuser: a@x.io\ntokens: []\n")
    assert main(["token", *arguments, "--config", str(config)]) == 1
    assert "user_fqn" in capsys.readouterr().err
    assert main(["token", *arguments, "--config", str(config / "nowhere")]) == 1
    assert "cannot be opened" in capsys.readouterr().err
