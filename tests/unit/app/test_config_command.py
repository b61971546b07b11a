"""`gateway config`: checked, put, listed, shown, rolled back."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from typing import Any, Final

import pytest
from redis import Redis

from gateway.app.config_command import _Failed, _push, run_config_command
from gateway.cli import main, make_parser
from gateway.config import SecretSource
from gateway.store.config_store import ConfigStore
from tests.rig.requires import requires
from tests.rig.valkey_server import PASSWORD, ValkeyServer

pytestmark = requires("valkey")

ACCOUNT: Final = """\
type: provider-account/openai
name: NAME
auth_data: {type: api-key, api_key: KEY}
integrations:
  - {name: gpt, type: integration/model/openai, model_id: gpt-4o, model_types: [chat]}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    with ValkeyServer(tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture
def store(server: ValkeyServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[ConfigStore]:
    monkeypatch.setenv("GATEWAY_REDIS_URL", server.url)
    monkeypatch.setenv("SET_KEY", "canary-set-key")
    redis: Any = Redis.from_url(server.url)
    redis.flushall()
    store = ConfigStore(server.url, timeout_s=10.0)
    yield store
    store.close()


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., str]:
    """Makes one with an account."""

    def make(name: str = "main", key: str = "env:SET_KEY") -> str:
        path = tmp_path / f"{name}-{len(list(tmp_path.iterdir()))}"
        path.mkdir()
        (path / "a.yaml").write_text(ACCOUNT.replace("NAME", name).replace("KEY", key))
        return str(path)

    return make


def test_push_list_show_rollback(
    store: ConfigStore, folder: Callable[..., str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The name alone is on standard output; a rollback is a new set with what the old one had."""
    assert main(["config", "push", folder(), "--message", "first"]) == 0
    out, err = capsys.readouterr()
    assert out.strip() == store.head()
    assert "1 manifests, version " in err
    assert main(["config", "push", folder("other"), "--expect", out.strip()]) == 0
    capsys.readouterr()
    assert main(["config", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["SET", "VERSION", "AT", "MANIFESTS", "GATEWAY", "BY", "WHAT"]
    assert [line.split()[0] for line in lines[1:]] == [store.head(), out.strip()]
    assert main(["config", "show", "1"]) == 0
    assert "name: main" in capsys.readouterr().out
    assert main(["config", "rollback", "1"]) == 0
    assert store.head().startswith("3-")
    assert store.find(3) == store.find(1)
    assert main(["config", "rollback", "1"]) == 1, "it is in force already"
    capsys.readouterr()
    assert main(["config", "list", "--format", "json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert listed[0]["name"] == store.head()
    assert [(one["set"], one["what"], one["is_in_force"]) for one in listed] == [
        (3, "rollback to 1", True),
        (2, "", False),
        (1, "first", False),
    ]
    into = tmp_path / "into"
    assert main(["config", "show", "--into", str(into)]) == 0
    assert "name: main" in (into / "a.yaml").read_text()
    assert main(["config", "show", "--into", str(into)]) == 1, "it is not empty"


def test_a_set_by_its_whole_name(
    store: ConfigStore, folder: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    """As `push` prints it. With another digest it is another set: Redis has lost its memory meanwhile."""
    assert main(["config", "push", folder()]) == 0
    first = capsys.readouterr().out.strip()
    assert main(["config", "push", folder("other")]) == 0
    assert main(["config", "show", first]) == 0
    capsys.readouterr()
    for command in ("show", "rollback"):
        assert main(["config", command, "1-0123456789ab"]) == 1
        assert f" is {first}, another one" in capsys.readouterr().err
    assert main(["config", "rollback", first]) == 0
    assert store.head().startswith("3-")


def test_warnings_of_a_set(
    store: ConfigStore,
    folder: Callable[..., str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They are told as such, and in a rollback by the names of the files in the set."""
    assert main(["config", "push", folder()]) == 0
    assert main(["config", "push", folder("other")]) == 0
    capsys.readouterr()
    monkeypatch.delenv("SET_KEY")
    assert main(["config", "rollback", "1"]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "warnings:"
    assert lines[1].startswith("(the set):1: (configuration): no virtual account")
    assert lines[2].startswith("a.yaml:3: auth_data.api_key: environment variable SET_KEY is not set.")


@pytest.mark.parametrize("name", ["x", "0", "-1", "1-", "-", "\u0663", "9" * 5000])
def test_what_is_no_set(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Usage; nothing is asked for."""
    with pytest.raises(SystemExit) as caught:
        main(["config", "show", "--", name])
    assert caught.value.code == 2
    assert "expected the number of a set" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["", "7", "x", "7-", "-a", "0-a", "-"])
def test_what_cannot_be_expected(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Usage: an empty variable would else push over whatever is there, and a number alone match nothing."""
    with pytest.raises(SystemExit) as caught:
        main(["config", "push", "manifests", f"--expect={name}"])
    assert caught.value.code == 2
    assert "--expect: expected the whole name of a set" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("key", "arguments", "message"),
    [
        ("sk-canary-literal", [], "would stand in Redis"),
        ("file:keys/a", [], "is relative to a manifest"),
        ("env:NO_SUCH_KEY", ["--strict"], "NO_SUCH_KEY is not set"),
    ],
)
def test_what_is_refused(
    store: ConfigStore,
    folder: Callable[..., str],
    capsys: pytest.CaptureFixture[str],
    key: str,
    arguments: list[str],
    message: str,
) -> None:
    """With file and line; nothing is put."""
    assert main(["config", "push", folder(key=key), *arguments]) == 1
    err = capsys.readouterr().err
    assert message in err
    assert "a.yaml:3: auth_data.api_key: " in err
    assert "sk-canary-literal" not in err
    assert store.head() == ""
    assert main(["config", "push", folder(key=key), "--format", "json", *arguments]) == 1
    problems = json.loads(capsys.readouterr().out)
    assert [one["severity"] for one in problems if one["path"] == "auth_data.api_key"] == ["error"]


def test_it_is_checked_as_a_start_would(
    store: ConfigStore,
    folder: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    """`GATEWAY_STRICT` stands in for the flag, and secrets are looked up where it is said."""
    pushed = folder(key="tfy-secret://o:g:k")
    monkeypatch.setenv("GATEWAY_STRICT", "true")
    assert main(["config", "push", pushed]) == 1
    assert "tfy-secret://o:g:k" in capsys.readouterr().err
    assert store.head() == ""
    secret = tmp_path / "secrets" / "o" / "g" / "k"
    secret.parent.mkdir(parents=True)
    secret.write_text("x")
    assert main(["config", "push", pushed, "--secrets-dir", str(tmp_path / "secrets")]) == 0
    assert main(["config", "push", folder(key="env:NO_SUCH_KEY"), "--no-strict"]) == 0


class Editing(dict[str, str]):
    """An environment in which somebody edits a file whenever a variable is read."""

    def __init__(self, file: Path) -> None:
        super().__init__(SET_KEY="k")
        self._file = file

    def __getitem__(self, name: str) -> str:
        self._file.write_text(self._file.read_text().replace("env:SET_KEY", "sk-canary-typed"))
        return super().__getitem__(name)


def test_a_file_that_changes_while_it_is_checked(store: ConfigStore, folder: Callable[..., str]) -> None:
    """What is put there is what was checked, or nothing."""
    path = Path(folder())
    parsed = argparse.Namespace(path=path, strict=False, format="text", expect=None, message=None)
    with pytest.raises(_Failed, match="was changed while it was checked") as caught:
        _push(store, parsed, SecretSource(Editing(path / "a.yaml"), None))
    assert "canary" not in str(caught.value)
    assert store.head() == ""


def test_a_secret_that_is_missing_here_only_warns(
    store: ConfigStore, folder: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Who pushes need not have what gateways have."""
    assert main(["config", "push", folder(key="env:NO_SUCH_KEY")]) == 0
    assert "NO_SUCH_KEY is not set" in capsys.readouterr().err
    assert store.head()


def test_another_was_first(
    store: ConfigStore, folder: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    """`--expect` changes nothing when another set is in force."""
    assert main(["config", "push", folder(), "--expect", "0-"]) == 0
    head = store.head()
    assert main(["config", "push", folder("other"), "--expect", "0-"]) == 1
    assert f"another configuration was put meanwhile: {head}" in capsys.readouterr().err
    assert store.head() == head


def test_nothing_kept(store: ConfigStore, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither in force nor of a number."""
    assert store.head() == ""
    for arguments, message in (
        (["show"], "there is no configuration in redis://127.0.0.1:"),
        (["rollback", "3"], "set 3 is not kept"),
    ):
        assert main(["config", *arguments]) == 1
        assert message in capsys.readouterr().err


def test_without_redis(
    server: ValkeyServer,
    folder: Callable[..., str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Usage where none is named; failed, without the password, where it cannot be used."""
    monkeypatch.delenv("GATEWAY_REDIS_URL", raising=False)
    assert main(["config", "list"]) == 2
    assert "--redis-url is missing" in capsys.readouterr().err
    # Refused at once: what may pass is waited for.
    away = server.url.replace("redis://", "redis://nobody")
    assert main(["config", "push", folder(), "--redis-url", away]) == 1
    err = capsys.readouterr().err
    assert f"redis://127.0.0.1:{server.port}/0 cannot be used: " in err
    assert err.rstrip().endswith("; see that it runs and answers, or mend --redis-url")
    assert "warning: --redis-url has a password in it, which others on this host can read" in err
    assert PASSWORD not in err
    monkeypatch.setenv("GATEWAY_REDIS_URL", away)
    assert main(["config", "list"]) == 1
    assert "warning" not in capsys.readouterr().err


class Standing(StringIO):
    """Standard error of a command that has to do with a server that stands still until it is told of."""

    def __init__(self, server: ValkeyServer) -> None:
        super().__init__()
        self._server = server
        server.pause()

    def write(self, text: str) -> int:
        if "trying for" in text:
            self._server.go_on()
        return super().write(text)


def test_a_server_that_stands_still(
    folder: Callable[..., str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Is waited for, which is told; a push that it never answered may be in force all the same."""
    monkeypatch.setenv("SET_KEY", "canary-set-key")
    parsed = make_parser().parse_args(["config", "push", folder(), "--no-strict"])
    with ValkeyServer(tmp_path) as own, monkeypatch.context() as patch:
        patch.setattr("sys.stderr", said := Standing(own))
        assert run_config_command(parsed, own.url, None, timeout_s=0.5, patience_s=60.0) == 0
        assert f"gateway config: redis://127.0.0.1:{own.port}/0: " in said.getvalue()
        assert said.getvalue().count("; trying for 60 s\n") == 1
        assert capsys.readouterr().out.startswith("1-")
    with ValkeyServer(tmp_path) as own:
        own.pause()
        assert run_config_command(parsed, own.url, None, timeout_s=0.1, patience_s=0.0) == 1
        err = capsys.readouterr().err
        assert f"redis://127.0.0.1:{own.port}/0 has not said that it has it: " in err
        assert "it may be in force all the same" in err
        own.go_on()
