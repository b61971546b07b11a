"""`gateway serve` that cannot start: one clear message and its exit code, and nothing was started."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from gateway.config import SecretSource, accepted, check
from gateway.config.manifest_set import ManifestSet, SetName, put_in_force
from gateway.control.accepted_files import AcceptedFiles
from gateway.control.sign_in.accounts import Accounts
from gateway.control.sign_in.roles import Role as AccountRole
from gateway.settings import read_settings
from gateway.store.audit_log import FOLDER, AuditLog
from gateway.supervisor.start import _way_in
from gateway.supervisor.state_folder import lock_state_folder
from tests.rig.certificates import Authority
from tests.rig.requires import requires
from tests.rig.valkey_server import ValkeyServer

ROOT = Path(__file__).resolve().parents[3]
PROVIDER = """
type: provider-account/self-hosted-model
name: lab
integrations:
  - {name: m, hosted_model_name: m, url: "http://127.0.0.1:9/v1", model_server: openai-compatible}
"""
CALLER = "---\ntype: virtual-account\nname: app\ntokens: [demo-key]\nmodels: ['*']\n"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "gateway.yaml"
    file.write_text(PROVIDER + CALLER)
    return file


def _serve(
    config: Path, *options: str, environ: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gateway", "serve", "--config", str(config), "--port", "0"]
    state = ["--state-dir", str(config.parent / "state"), "--control-port", "0"]
    return subprocess.run(
        [*command, *state, *options],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_every_error_of_the_configuration_is_told(config: Path) -> None:
    """Exit 1; the operator mends everything in one go."""
    config.write_text(PROVIDER.replace("url", "ulr") + CALLER.replace("tokens: [demo-key]", "tokens: 7"))
    done = _serve(config)
    assert done.returncode == 1
    assert "integrations.0.url" in done.stderr
    assert "tokens" in done.stderr
    assert "Traceback" not in done.stderr


def test_configuration_without_a_provider_is_refused(config: Path) -> None:
    """Exit 1: with no model to call there is nothing to run."""
    config.write_text(CALLER)
    done = _serve(config)
    assert done.returncode == 1
    assert "no provider account" in done.stderr


@pytest.mark.parametrize("option", ["--port", "--control-port"])
def test_taken_port_is_told(config: Path, option: str) -> None:
    """Exit 3, and the message names the option that helps."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = _serve(config, option, str(taken.getsockname()[1]))
    assert done.returncode == 3
    assert f"choose another port with {option} (" in done.stderr


def test_state_folder_in_use_is_told(config: Path) -> None:
    """Exit 4, and the message names the process that has it."""
    lock = lock_state_folder(config.parent / "state")
    done = _serve(config)
    lock.close()
    assert done.returncode == 4
    assert "is in use by the gateway with process id" in done.stderr


def test_accepted_configuration_is_kept_for_the_children(config: Path) -> None:
    """What the children load is there before they start, readable by nobody else."""
    state = config.parent / "state"
    (state / "config").mkdir(parents=True)
    (state / "config" / "accepted").mkdir()  # in the way, so that the start ends right there
    done = _serve(config)
    assert done.returncode == 4
    assert "cannot be written" in done.stderr
    (kept,) = (state / "config").glob("*.json")
    assert kept.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("host", "warns"),
    [pytest.param("0.0.0.0", True, id="open"), pytest.param("127.0.0.1", False, id="local")],
)
def test_demo_key_on_an_open_host_is_warned_of(config: Path, host: str, *, warns: bool) -> None:
    """The quickstart's token does not work away from loopback, and the start says so."""
    lock = lock_state_folder(config.parent / "state")  # ends the start after its warnings
    done = _serve(config, "--host", host)
    lock.close()
    assert ("demo-key is known to everybody" in done.stderr) is warns


def test_misspelt_variables_are_warned_of(config: Path) -> None:
    """Once, by the supervisor alone, and the start goes on; of Services of Kubernetes nothing is said."""
    services = {"GATEWAY_SERVICE_HOST": "10.0.0.1", "GATEWAY_HEALTH_PORT": "tcp://10.0.0.1:8786"}
    lock = lock_state_folder(config.parent / "state")  # ends the start after its warnings
    done = _serve(config, environ={**os.environ, **services, "GATEWAY_WORKES": "1"})
    lock.close()
    assert done.returncode == 4
    assert done.stderr.count("GATEWAY_WORKES is no setting of the gateway") == 1
    assert "Did you mean 'GATEWAY_WORKERS'?" in done.stderr
    assert done.stderr.count("is no setting") == 1


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ("127.0.0.1", ""),
        ("0.0.0.0", ""),
        ("::1", " --control-host ::1"),
        ("10.1.2.3", " --control-host 10.1.2.3"),
    ],
)
def test_the_command_that_makes_a_link(tmp_path: Path, host: str, said: str) -> None:
    """It names the address where the control plane listens, or its link would lead to where nobody does."""
    flags = {"config": "/m", "state-dir": str(tmp_path), "control-host": host}
    settings = read_settings(flags, {"GATEWAY_ADMIN_TOKEN": "t"})
    [line] = _way_in(settings)
    assert line.endswith(f": gateway admin link --state-dir {tmp_path}{said} --control-port 8788")


def test_the_first_link_is_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever sees the terminal of a first start may become the admin: the audit log has that, no secret."""
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    settings = read_settings({"config": "/m", "state-dir": str(tmp_path)}, {})
    [line] = _way_in(settings)
    secret = line.partition("/first#")[2]
    noted = list(AuditLog(tmp_path / FOLDER).newest())
    assert [(one["action"], one["name"], one["by"]["kind"]) for one in noted] == [
        ("operator.link_made", "admin", "command"),
        ("operator.created", "admin", "command"),
    ]
    assert secret
    assert secret not in str(noted)


def test_the_first_link_is_that_of_the_admin_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An operator with a token may have made one, or viewers alone: neither ends the gateway as it starts."""
    settings = read_settings({"config": "/m", "state-dir": str(tmp_path)}, {"GATEWAY_ADMIN_TOKEN": "t"})
    Accounts(tmp_path).add_user("bob", AccountRole.VIEWER)
    with monkeypatch.context() as terminal:
        terminal.setattr("sys.stdout.isatty", lambda: True)
        assert list(_way_in(settings)) == []
        assert "there is no user 'admin'" in caplog.text
        Accounts(tmp_path).add_user("ada", AccountRole.ADMIN)
        [line] = _way_in(settings)
    assert Accounts(tmp_path).find_link(line.partition("/first#")[2]) == "ada"
    [line] = _way_in(settings)
    assert ": gateway admin link --user ada --state-dir " in line


def test_missing_virtual_account_is_warned_of(config: Path) -> None:
    """Without a virtual account every call is refused, and the start says so."""
    config.write_text(PROVIDER)
    lock = lock_state_folder(config.parent / "state")
    done = _serve(config)
    lock.close()
    assert "so every call is refused with 401" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_stop_while_it_starts_is_a_clean_one(config: Path, number: signal.Signals) -> None:
    """Exit 0, without a word of an error: a deployment that is withdrawn at once has not failed."""
    idle = "---\ntype: virtual-account\nname: idle-{}\ntokens: []\n"
    config.write_text(PROVIDER + CALLER + "".join(idle.format(number) for number in range(100)))
    command = [sys.executable, "-m", "gateway", "serve", "--config", str(config), "--port", "0"]
    command += ["--state-dir", str(config.parent / "state"), "--control-port", "0"]
    # Nobody reads its warnings, so it stands still in the middle of them until it is told to stop.
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, pipesize=4096) as process:
        try:
            assert process.stderr is not None
            assert select.select([process.stderr], [], [], 60)[0], "it says nothing"
            process.send_signal(number)
            _, stderr = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 0, stderr
    assert "Traceback" not in stderr


_WORK_THAT_SWALLOWS = """
import os, signal, sys
from gateway.process import end_when_told
from gateway.settings import read_settings
from gateway.supervisor import serve

class Work:
    def load(self):
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        except SystemExit:
            print("swallowed")

    def run(self, role, settings, ready_fd, parent_pid):
        os.kill(parent_pid, signal.SIGKILL)
        return 0

end_when_told()
flags = dict(zip(sys.argv[1::2], sys.argv[2::2]))
sys.exit(serve(read_settings(flags, {}), Work()))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is imported ahead")
def test_stop_while_it_imports_is_a_clean_one(config: Path) -> None:
    """An import has places where no error comes out, which a stop must not be lost in."""
    flags = {"config": config, "state-dir": config.parent / "state", "port": 0, "control-port": 0}
    words = [str(word) for flag in flags.items() for word in flag]
    done = subprocess.run(
        [sys.executable, "-c", _WORK_THAT_SWALLOWS, *words],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


AWAY = "redis://:canary-start-password@127.0.0.1:1/0"
KEYLESS = "---\ntype: virtual-account\nname: other\ntokens: [env:NO_SUCH_START_KEY]\nmodels: ['*']\n"


def test_nobody_reads_what_it_says(config: Path) -> None:
    """What serves goes on, and its end is a clean one."""
    command = [sys.executable, "-m", "gateway", "serve", "--config", str(config), "--port", "0"]
    options = ["--workers", "1", "--state-dir", str(config.parent / "state"), "--control-port", "0"]
    with (
        Path("/dev/full").open("w") as full,
        subprocess.Popen(
            [*command, *options], cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True
        ) as serving,
    ):
        assert serving.stderr is not None
        said = next((line for line in serving.stderr if "standard output" in line), "")
        serving.terminate()
        serving.stderr.read()
    assert "standard output cannot be written: No space left on device" in said
    assert serving.returncode == 0


def _serve_from_redis(config: Path, *options: str, at: str = AWAY) -> subprocess.CompletedProcess[str]:
    return _serve(config, "--redis-url", at, "--config", "redis:", *options)


def _come_from_redis(config: Path, text: str) -> None:
    """As if *text* had come before."""
    put_in_force(config.parent / "state" / "config-set", ManifestSet({"a.yaml": text}), SetName(1, "ab"))


@requires("valkey")
def test_nothing_came_from_redis(config: Path, tmp_path: Path) -> None:
    """Exit 5, and the message says what to do while it cannot be used; the password is not told."""
    with ValkeyServer(tmp_path) as server:
        done = _serve_from_redis(config, at=server.url.replace("redis://:", "redis://:not-"))
    assert done.returncode == 5
    assert f"no configuration from redis://127.0.0.1:{server.port}/0: " in done.stderr
    assert done.stderr.rstrip().endswith("; start it, or mend --redis-url")
    assert "trying" not in done.stderr
    assert "canary" not in done.stderr


@requires("valkey")
def test_a_first_start_waits_for_redis(config: Path, tmp_path: Path) -> None:
    """One that stands still, and says so; what it gets then is what it would have got at once."""
    command = [sys.executable, "-m", "gateway", "serve", "--config", "redis:", "--port", "0"]
    state = ["--state-dir", str(tmp_path / "state"), "--control-port", "0"]
    with ValkeyServer(tmp_path) as server:
        server.pause()
        environ = {**os.environ, "GATEWAY_REDIS_URL": server.url}
        with subprocess.Popen(
            [*command, *state], cwd=ROOT, env=environ, stderr=subprocess.PIPE, text=True
        ) as starting:
            assert starting.stderr is not None
            first = starting.stderr.readline()
            server.go_on()
            last = starting.stderr.read()
    assert "; trying for 15 s, as no configuration came from there before" in first
    assert starting.returncode == 5
    assert last.rstrip().endswith("; put one there with gateway config push PATH")


@requires("valkey")
def test_nothing_was_put_into_redis(config: Path, tmp_path: Path) -> None:
    """Exit 5; what is missing is a push."""
    with ValkeyServer(tmp_path) as server:
        done = _serve_from_redis(config, at=server.url)
    assert done.returncode == 5
    assert done.stderr.rstrip().endswith("; put one there with gateway config push PATH")


def test_what_came_last_is_started_with(config: Path) -> None:
    """While Redis is away; that the port is taken is found out after the configuration is."""
    _come_from_redis(config, PROVIDER + CALLER)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = _serve_from_redis(config, "--port", str(taken.getsockname()[1]))
    assert done.returncode == 3
    assert "the start goes by the configuration that came last" in done.stderr


def test_what_was_accepted_last_is_started_with(config: Path) -> None:
    """Where what came last is refused here; without anything accepted the start is refused, for now."""
    _come_from_redis(config, PROVIDER + KEYLESS)
    done = _serve_from_redis(config, "--strict")
    assert done.returncode == 5
    assert "NO_SUCH_START_KEY is not set" in done.stderr
    before = check.check(config, strict=False, secrets=SecretSource({}, None)).config
    assert before is not None
    AcceptedFiles(config.parent / "state" / "config").write(f"{before.version}+2", accepted.dump(before))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = _serve_from_redis(config, "--strict", "--port", str(taken.getsockname()[1]))
    assert done.returncode == 3
    assert f"the configuration in Redis is refused, version {before.version}+2 is in force" in done.stderr


@pytest.mark.parametrize("plane", ["", "control-"])
def test_certificate_that_cannot_be_used(config: Path, plane: str) -> None:
    """Exit 1, by the flags that name it and what goes with it."""
    done = _serve(config, f"--{plane}tls-cert", str(config))
    assert done.returncode == 1
    expected = f"gateway: --{plane}tls-cert is no certificate in PEM, or --{plane}tls-key no key: {config}"
    assert expected in done.stderr


def test_an_open_control_plane_without_tls_is_warned_of(config: Path, tmp_path: Path) -> None:
    """The warning goes away with a certificate."""
    cert, key = Authority(tmp_path).write("control")
    open_to_all = ("--control-host", "0.0.0.0")
    tls = ("--control-tls-cert", str(cert), "--control-tls-key", str(key))
    # Stopped by a port that is taken, before anything starts.
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = ("--port", str(taken.getsockname()[1]))
        environ = {**os.environ, "GATEWAY_ADMIN_TOKEN": "t"}
        assert (
            "passwords and tokens can be read" in _serve(config, *open_to_all, *port, environ=environ).stderr
        )
        assert "can be read" not in _serve(config, *open_to_all, *tls, *port, environ=environ).stderr
