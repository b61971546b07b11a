"""The command line: what each command prints, and how it ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import gateway
from gateway import cli
from gateway.app import child
from gateway.settings import OPTIONS, Settings
from tests.rig.otlp_sink import OtlpSink
from tests.unit.config.writing import ACCOUNT, CALLER, documents


@pytest.fixture
def manifests(tmp_path: Path) -> Path:
    folder = tmp_path / "manifests"
    folder.mkdir()
    (folder / "m.yaml").write_text(documents(ACCOUNT, CALLER))
    return folder


def test_the_version_is_quick() -> None:
    """`python -m gateway --version` loads neither the server nor the configuration."""
    code = """
import sys
from gateway.cli import main
try:
    main(["--version"])
except SystemExit as end:
    loaded = {name.partition(".")[0] for name in sys.modules}
    print(end.code, sorted(loaded & {"pydantic", "yaml", "aiohttp", "granian", "starlette"}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == f"gateway {gateway.__version__}\n0 []\n"


def test_as_a_module() -> None:
    """`python -m gateway` is the same command."""
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "--version"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, f"gateway {gateway.__version__}\n")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["sreve"],
        ["check-config", "x", "--config", "y"],
        ["check-config", "x", "--stric"],
        ["check-config", "x", "--format", "xml"],
        ["serve", "--prot", "1"],
        ["serve", "--con", "x"],
        ["otel"],
        ["otel", "test", "--format", "xml"],
        ["demo-provider", "--port", "x"],
        ["demo-provider", "--port", "70000"],
    ],
    ids=" ".join,
)
def test_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """2, and the usage; flags are not guessed from their beginnings."""
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    assert caught.value.code == cli.USAGE
    assert "usage: gateway" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "argument"),
    [
        ("check-config", "PATH"),
        ("config push", "PATH"),
        ("config show --into", "--into"),
        ("otel test --config", "--config"),
        ("otel test --secrets-dir", "--secrets-dir"),
        ("token list --config", "--config"),
        ("token list --state-dir", "--state-dir"),
    ],
)
def test_no_path(command: str, argument: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A variable that is not set is not the folder we are in."""
    with pytest.raises(SystemExit) as caught:
        cli.main([*command.split(), ""])
    assert caught.value.code == cli.USAGE
    assert f"argument {argument}: expected a path" in capsys.readouterr().err


def test_who_reads_may_leave() -> None:
    """No traceback into the terminal when `head` has had enough."""
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "schema"], stdout=writing, stderr=subprocess.PIPE, check=False
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")


def test_a_disk_that_is_full() -> None:
    """`gateway schema > schema.json` says what is the matter, in a line."""
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "gateway", "schema"], stdout=full, stderr=subprocess.PIPE, check=False
        )
    said = b"gateway: the output cannot be written: No space left on device\n"
    assert (done.returncode, done.stderr) == (1, said)


@pytest.mark.parametrize(
    "command",
    [["check-config", "redis:"], ["check-config"], ["otel", "test"], ["token", "list"]],
    ids=" ".join,
)
def test_manifests_that_are_in_redis(
    command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What works on files says how to get them, where the variable of `serve` names none."""
    monkeypatch.setenv("GATEWAY_CONFIG", "redis:")
    assert cli.main(command) == cli.USAGE
    assert "gateway config show --into DIR writes those that are in force" in capsys.readouterr().err


def test_no_standard_streams(manifests: Path) -> None:
    """The exit code is the answer to who closed them."""
    command = ["sh", "-c", 'exec "$0" -m gateway check-config "$1" <&- >&-', sys.executable, str(manifests)]
    done = subprocess.run(command, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_terminal_that_lacks_letters(manifests: Path) -> None:
    """What cannot be shown is spelled out, as on stderr."""
    (manifests / "m.yaml").rename(manifests / "\u00e9.yaml")
    (manifests / "\u00e9.yaml").write_text("type: nope\n")
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "check-config", str(manifests)],
        env={**os.environ, "PYTHONIOENCODING": "ascii:strict"},
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (1, b"")
    assert rb"\xe9.yaml:1: type: unknown type 'nope'" in done.stdout


def test_help_names_every_flag(capsys: pytest.CaptureFixture[str]) -> None:
    """With its default; and the one variable that has no flag."""
    with pytest.raises(SystemExit):
        cli.main(["serve", "--help"])
    text = capsys.readouterr().out
    assert all(f"--{option.flag}" in text for option in OPTIONS)
    assert "GATEWAY_ADMIN_TOKEN" in text
    assert "33554432" in text


def test_check_of_what_is_right(manifests: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """0, and what there is."""
    assert cli.main(["check-config", str(manifests)]) == cli.OK
    assert "is valid: 1 provider account with 1 model, 1 virtual account" in capsys.readouterr().out


def test_check_of_what_is_wrong(manifests: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """1, and every error as FILE:LINE: PATH: what. how to mend."""
    (manifests / "n.yaml").write_text("type: provider-account/openai\nname: a/b\nintegrations: 7\n")
    assert cli.main(["check-config", str(manifests)]) == cli.INVALID
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(": ")[:2] for line in lines[:2]] == [
        [f"{manifests}/n.yaml:2", "name"],
        [f"{manifests}/n.yaml:3", "integrations"],
    ]
    assert lines[-1] == "2 errors"


def test_check_strict(manifests: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is not in force is told, and refused when strict."""
    (manifests / "policy.yaml").write_text("type: policy\nname: ml\n")
    assert cli.main(["check-config", str(manifests)]) == cli.OK
    assert "not in force yet: policy\n" in capsys.readouterr().out
    assert cli.main(["check-config", str(manifests), "--strict"]) == cli.INVALID


@pytest.mark.parametrize("given", [[], ["--no-strict"], ["--strict"]], ids=["environment", "no", "yes"])
def test_check_reads_what_serve_reads(
    given: list[str], manifests: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """So that it judges what a start with the same environment would; a flag wins."""
    (manifests / "policy.yaml").write_text("type: policy\nname: ml\n")
    monkeypatch.setenv("HOME", str(manifests.parent))
    monkeypatch.setenv("GATEWAY_CONFIG", "~/manifests")
    assert cli.main(["check-config", *given]) == (cli.INVALID if given == ["--strict"] else cli.OK)
    assert str(manifests) in capsys.readouterr().out
    monkeypatch.setenv("GATEWAY_STRICT", "true")
    assert cli.main(["check-config", *given]) == (cli.OK if given == ["--no-strict"] else cli.INVALID)
    monkeypatch.setenv("GATEWAY_CONFIG", "/nowhere")
    assert cli.main(["check-config", "--config", "~/manifests", "--no-strict"]) == cli.OK
    assert cli.main(["check-config", "~/manifests", "--no-strict"]) == cli.OK


@pytest.mark.parametrize("command", ["check-config", "otel test", "token list"])
def test_a_variable_that_cannot_be_used(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Is told as `serve` tells it."""
    monkeypatch.setenv("GATEWAY_CONFIG", "~nobody-of-this-name/manifests")
    assert cli.main(command.split()) == cli.USAGE
    assert f"gateway {command.removesuffix(' list')}: GATEWAY_CONFIG: expected a path" in (
        capsys.readouterr().err
    )


def test_check_as_json(manifests: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A list of findings with six members each, an empty one when there is none."""
    assert cli.main(["check-config", str(manifests), "--format", "json"]) == cli.OK
    assert json.loads(capsys.readouterr().out) == []
    (manifests / "n.yaml").write_text("type: nothing\n")
    assert cli.main(["check-config", str(manifests), "--format", "json"]) == cli.INVALID
    [problem] = json.loads(capsys.readouterr().out)
    assert problem == {
        "file": f"{manifests}/n.yaml",
        "line": 1,
        "path": "type",
        "severity": "error",
        "message": "unknown type 'nothing'",
        "fix": "'gateway schema' lists the known types",
    }


def test_check_resolves_secrets(manifests: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the environment, and from the folder that `GATEWAY_SECRETS_DIR` names."""
    account = ACCOUNT.replace("lab", "secured") + "    auth_data: {type: bearer-auth, bearer_token: '%s'}\n"
    file = manifests / "n.yaml"
    file.write_text(account % "env:CLI_TEST_KEY")
    assert cli.main(["check-config", str(manifests), "--strict"]) == cli.INVALID
    monkeypatch.setenv("CLI_TEST_KEY", "k")
    assert cli.main(["check-config", str(manifests), "--strict"]) == cli.OK
    file.write_text(account % "tfy-secret://o:g:k")
    assert cli.main(["check-config", str(manifests), "--strict"]) == cli.INVALID
    secret = manifests.parent / "secrets/o/g/k"
    secret.parent.mkdir(parents=True)
    secret.write_text("k")
    monkeypatch.setenv("GATEWAY_SECRETS_DIR", str(manifests.parent / "secrets"))
    assert cli.main(["check-config", str(manifests), "--strict"]) == cli.OK
    monkeypatch.delenv("GATEWAY_SECRETS_DIR")
    given = ["--secrets-dir", str(manifests.parent / "secrets")]
    assert cli.main(["check-config", str(manifests), "--strict", *given]) == cli.OK


@pytest.mark.parametrize(
    "command",
    [
        "check-config",
        "config push",
        "config list",
        "config show",
        "config rollback",
        "otel test",
        "admin link",
        "admin list",
        "token create",
        "token list",
    ],
)
def test_help_tells_of_the_environment(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What has a flag of `serve` says where else it is read from."""
    with pytest.raises(SystemExit):
        cli.main([*command.split(), "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "may be set in the environment" in text


def test_manifests_are_needed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """From the flag, or from the environment as `serve`."""
    monkeypatch.delenv("GATEWAY_CONFIG", raising=False)
    for command in (["check-config"], ["otel", "test"], ["token", "list"]):
        assert cli.main(command) == cli.USAGE
        assert "--config is missing: name the file or folder of manifests (or set GATEWAY_CONFIG)" in (
            capsys.readouterr().err
        )


def test_otel_test(
    manifests: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """1 when nothing took a span, here because there is no destination."""
    assert cli.main(["otel", "test", "--config", str(manifests)]) == cli.INVALID
    assert "no destination" in capsys.readouterr().out
    monkeypatch.setenv("GATEWAY_CONFIG", str(manifests))
    assert cli.main(["otel", "test", "--format", "json"]) == cli.INVALID
    assert json.loads(capsys.readouterr().out) == {"results": []}


def test_otel_test_of_variables_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What would be the gateway's destination is tried before there is any manifest."""
    monkeypatch.delenv("GATEWAY_CONFIG", raising=False)
    assert cli.main(["otel", "test"]) == cli.USAGE
    assert capsys.readouterr().err.endswith(", or set OTEL_EXPORTER_OTLP_ENDPOINT\n")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "Authorization=ApiKey a2V5")
    assert cli.main(["otel", "test"]) == cli.INVALID
    assert "OTEL_EXPORTER_OTLP_ENDPOINT: it is not set" in capsys.readouterr().err
    with OtlpSink() as sink:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", sink.traces_url.removesuffix("/v1/traces"))
        assert cli.main(["otel", "test"]) == cli.OK
        assert [request.headers["authorization"] for request in sink.requests()] == ["ApiKey a2V5"]
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" (")[0] for line in lines] == ["environment traces: ok", "environment metrics: ok"]


def test_schema(capsys: pytest.CaptureFixture[str]) -> None:
    """A JSON Schema on standard output."""
    assert cli.main(["schema"]) == cli.OK
    assert json.loads(capsys.readouterr().out)["title"] == "Gateway manifest"


class Recorded:
    """A part that the command line hands over to."""

    def __init__(self) -> None:
        self.calls: list[tuple[object, ...]] = []

    def __call__(self, *arguments: object) -> int:
        self.calls.append(arguments)
        return 3


def stand_in(monkeypatch: pytest.MonkeyPatch, module: str, function: str) -> Recorded:
    recorded = Recorded()
    double = ModuleType(f"gateway.{module}")
    setattr(double, function, recorded)
    monkeypatch.setitem(sys.modules, f"gateway.{module}", double)
    monkeypatch.setattr(gateway, module, double, raising=False)
    return recorded


@pytest.fixture(autouse=True)
def told_to_end(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """How often a command asked to be ended by a signal; this process is not one to be."""
    told: list[str] = []
    monkeypatch.setattr(cli, "end_when_told", lambda: told.append("told"))
    return told


def test_serve(manifests: Path, monkeypatch: pytest.MonkeyPatch, told_to_end: list[str]) -> None:
    """Settings from flags and environment go to the supervisor, whose exit code is ours."""
    recorded = stand_in(monkeypatch, "supervisor", "serve")
    monkeypatch.setenv("GATEWAY_PORT", "9001")
    monkeypatch.setenv("GATEWAY_STRICT", "true")
    arguments = [
        "--config",
        str(manifests),
        "--control-port",
        "9002",
        "--no-strict",
        "--metrics-on-data-port",
    ]
    assert cli.main(["serve", *arguments]) == 3
    assert told_to_end == ["told"]
    [[settings, work]] = recorded.calls
    assert isinstance(settings, Settings)
    assert work is child
    assert (settings.config, settings.port, settings.control_port) == (manifests, 9001, 9002)
    assert (settings.strict, settings.metrics_on_data_port) == (False, True)


def test_serve_with_a_password_on_the_command_line(
    manifests: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It runs, and warns."""
    stand_in(monkeypatch, "supervisor", "serve")
    assert cli.main(["serve", "--config", str(manifests), "--redis-url", "redis://:canary@localhost"]) == 3
    said = capsys.readouterr().err
    assert "GATEWAY_REDIS_URL" in said
    assert "canary" not in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--config", "c", "--port", "x"], "gateway serve: --port: expected a whole number from 0 to 65535"),
        ([], "gateway serve: --config is missing"),
        (["--config", "c", "--control-host", "0.0.0.0"], "set GATEWAY_ADMIN_TOKEN"),
    ],
)
def test_serve_with_settings_that_cannot_be_used(
    arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """2, and one line; nothing is started."""
    recorded = stand_in(monkeypatch, "supervisor", "serve")
    for name in ("GATEWAY_CONFIG", "GATEWAY_ADMIN_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    assert cli.main(["serve", *arguments]) == cli.USAGE
    assert message in capsys.readouterr().err
    assert recorded.calls == []


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [([], ("127.0.0.1", 8789)), (["--host", "::1", "--port", "0"], ("::1", 0))],
    ids=["defaults", "flags"],
)
def test_demo_provider(
    arguments: list[str], expected: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Host and port go to the demo provider."""
    recorded = stand_in(monkeypatch, "demo_provider", "main")
    assert cli.main(["demo-provider", *arguments]) == 3
    assert recorded.calls == [expected]


def test_size(capsys: pytest.CaptureFixture[str]) -> None:
    """What a load needs, for people and for programs; what is no load is refused in words."""
    assert cli.main(["size", "--rps", "2000", "--zones", "3"]) == cli.OK
    assert "gateways    12 of 4 cores" in capsys.readouterr().out
    assert cli.main(["size", "--rps", "2000", "--zones", "3", "--format", "json"]) == cli.OK
    assert json.loads(capsys.readouterr().out)["fleet"]["replicas"] == 12
    assert cli.main(["size", "--rps", "-1"]) == cli.USAGE
    assert capsys.readouterr().err == "gateway size: rps: expected a number from 0.001 to 1e+07\n"
