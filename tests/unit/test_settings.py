"""Flags, environment and defaults; the one reader of the environment."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from gateway.control.config_sets import ConfigSets
from gateway.settings import (
    OPTIONS,
    Settings,
    SettingsError,
    environment,
    find_shown_secret,
    is_loopback,
    read_control_place,
    read_settings,
    state_dir_in,
)
from gateway.store.config_store import ConfigStore
from gateway.tls_files import NO_FILES, TlsFiles

HOME = {"HOME": "/home/op"}
REQUIRED = {"config": "manifests", "workers": "3"}


def read(flags: dict[str, str | None] | None = None, environ: dict[str, str] | None = None) -> Settings:
    return read_settings({**REQUIRED, **(flags or {})}, {**HOME, **(environ or {})})


def test_defaults() -> None:
    """As the interface promises them."""
    assert read() == Settings(
        config=Path("manifests"),
        host="127.0.0.1",
        port=8787,
        control_host="127.0.0.1",
        control_port=8788,
        workers=3,
        drain_delay_s=0.0,
        drain_timeout_s=30.0,
        max_body_bytes=33_554_432,
        max_upload_bytes=1_073_741_824,
        state_dir=Path("/home/op/.local/state/gateway/8788"),
        secrets_dir=None,
        strict=False,
        log_format="text",
        log_level="info",
        metrics_on_data_port=False,
        max_in_flight=4_096,
        max_input_bytes=536_870_912,
        max_lag_s=0.05,
        health_host="127.0.0.1",
        health_port=None,
        redis_url=None,
        admin_token=None,
    )


def test_workers_default_to_usable_cpus() -> None:
    """At least one."""
    settings = read_settings({"config": "c"}, HOME)
    assert 1 <= settings.workers <= (os.cpu_count() or 1)


EXAMPLES: dict[str, tuple[str, object]] = {
    "config": ("c/d", Path("c/d")),
    "host": ("0.0.0.0", "0.0.0.0"),
    "port": ("0", 0),
    "control-host": ("localhost", "localhost"),
    "control-port": ("65535", 65_535),
    "health-host": ("::", "::"),
    "health-port": ("0", 0),
    "workers": ("128", 128),
    "drain-delay": ("2.5", 2.5),
    "drain-timeout": ("0", 0.0),
    "max-body-bytes": ("1", 1),
    "max-upload-bytes": ("1", 1),
    "max-in-flight": ("1", 1),
    "max-input-bytes-in-flight": ("1", 1),
    "max-loop-lag": ("0", 0.0),
    "state-dir": ("/var/lib/gateway", Path("/var/lib/gateway")),
    "secrets-dir": ("/run/secrets", Path("/run/secrets")),
    "strict": ("true", True),
    "log-format": ("json", "json"),
    "log-level": ("debug", "debug"),
    "metrics-on-data-port": ("1", True),
    "traces-max-bytes": ("10000000", 10_000_000),
    "traces-max-days": ("30", 30),
    "trace-link": ("https://kibana.test/trace/{trace_id}", "https://kibana.test/trace/{trace_id}"),
    "redis-url": ("redis://host:6379/0", "redis://host:6379/0"),
    **{
        f"{plane}tls-{what}": ("/etc/tls/x.pem", Path("/etc/tls/x.pem"))
        for plane in ("", "control-")
        for what in ("cert", "key", "client-ca")
    },
}


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.flag)
def test_each_flag_and_its_variable(option: object) -> None:
    """Either sets it; the flag wins; an empty variable is not set."""
    [found] = [one for one in OPTIONS if one is option]
    text, expected = EXAMPLES[found.flag]
    default = getattr(read_settings({"config": "c", "workers": "1"}, HOME), found.setting)
    base: dict[str, str | None] = {"config": "c", "workers": "1"}
    if "tls" in found.flag and not found.flag.endswith("cert"):
        base[found.flag.partition("tls")[0] + "tls-cert"] = "/etc/tls/cert.pem"
    without = {flag: value for flag, value in base.items() if flag != found.flag}
    assert getattr(read_settings({**base, found.flag: text}, HOME), found.setting) == expected
    assert getattr(read_settings(without, {**HOME, found.variable: text}), found.setting) == expected
    assert (
        getattr(read_settings({**base, found.flag: text}, {**HOME, found.variable: "?"}), found.setting)
        == expected
    )
    assert getattr(read_settings(base, {**HOME, found.variable: ""}), found.setting) == default


def test_variables_are_named_after_flags() -> None:
    """GATEWAY_<FLAG>."""
    names = {option.flag: option.variable for option in OPTIONS}
    assert names["max-body-bytes"] == "GATEWAY_MAX_BODY_BYTES"
    assert names["port"] == "GATEWAY_PORT"


@pytest.mark.parametrize(
    ("flag", "text", "message"),
    [
        ("port", "65536", "--port: expected a whole number from 0 to 65535"),
        ("port", "-1", "--port: expected a whole number"),
        ("port", "8787.0", "--port: expected a whole number"),
        ("control-port", "٣", "--control-port: expected a whole number"),
        ("workers", "0", "--workers: expected a whole number from 1 to 128"),
        ("workers", "many", "--workers: expected a whole number"),
        ("drain-delay", "-1", "--drain-delay: expected a number of seconds from 0 to 1000000"),
        ("drain-timeout", "inf", "--drain-timeout: expected a number of seconds"),
        ("drain-timeout", "nan", "--drain-timeout: expected a number of seconds"),
        ("drain-timeout", "1e7", "--drain-timeout: expected a number of seconds"),
        ("port", "9" * 5000, "--port: expected a whole number from 0 to 65535"),
        ("state-dir", "a\udcff", "--state-dir: expected a path in UTF-8"),
        ("drain-timeout", "1m", "--drain-timeout: expected a number of seconds"),
        ("max-body-bytes", "32MB", "--max-body-bytes: expected a whole number of at least 1"),
        ("strict", "maybe", "--strict: expected true or false"),
        ("log-format", "xml", "--log-format: expected one of text, json"),
        ("log-level", "INFO", "--log-level: expected one of debug, info, warning, error"),
        ("host", "a b", "--host: expected a host name or address"),
        ("config", "", "--config: expected a path"),
        ("state-dir", "a\0b", "--state-dir: expected a path"),
        ("trace-link", "javascript:alert('{trace_id}')", "--trace-link: expected an http or https URL"),
        ("trace-link", "https://kibana.test/trace/", "--trace-link: expected an http or https URL"),
        ("trace-link", "https:///{trace_id}", "--trace-link: expected an http or https URL"),
        ("trace-link", "https://[{trace_id}", "--trace-link: expected an http or https URL"),
        ("redis-url", "http://host", "--redis-url: expected a URL such as redis://"),
        ("redis-url", "host:6379", "--redis-url: expected a URL such as redis://"),
        ("redis-url", "redis:///0", "--redis-url: expected a URL such as redis://"),
        ("redis-url", "redis://host:0", "--redis-url: expected a URL such as redis://"),
        ("redis-url", "redis://host:x", "--redis-url: expected a URL such as redis://"),
        ("redis-url", "redis://host/name", "--redis-url: expected a URL such as redis://"),
        ("redis-url", "redis://host?db", "--redis-url: expected a URL such as redis://"),
        ("redis-url", "redis://host?max_connections=1", "--redis-url: expected a URL such as redis://"),
        ("redis-url", "redis://[host", "--redis-url: expected a URL such as redis://"),
        ("redis-url", "unix:", "--redis-url: expected a URL such as redis://"),
    ],
)
def test_what_cannot_be_used(flag: str, text: str, message: str) -> None:
    """The message names the flag and what may stand there."""
    with pytest.raises(SettingsError, match=re.escape(message)):
        read({flag: text})


@pytest.mark.parametrize(
    "url",
    [
        "redis://:canary@host",
        "rediss://user:canary@[::1]:6380/3?ssl_ca_certs=/ca.pem",
        "unix:///run/valkey.sock?db=1",
    ],
)
def test_redis_urls(url: str) -> None:
    """As the library takes them; children get them in their environment, where others cannot read them."""
    settings = read({"redis-url": url}, {"GATEWAY_REDIS_URL": "redis://elsewhere"})
    assert settings.redis_url == url
    assert "canary" not in repr(settings) + settings.to_json()
    environ = settings.child_environment({"PATH": "/bin", "GATEWAY_REDIS_URL": "redis://elsewhere"})
    assert environ == {"PATH": "/bin", "GATEWAY_REDIS_URL": url}
    assert Settings.from_json(settings.to_json(), environ) == settings
    assert read().child_environment({"PATH": "/bin"}) == {"PATH": "/bin"}


def test_config_in_redis(tmp_path: Path) -> None:
    """It is put into the state folder, for children too; where Redis is has to be said."""
    given: dict[str, str | None] = {
        "config": "redis:",
        "redis-url": "redis://host",
        "state-dir": str(tmp_path),
    }
    settings = read(given)
    assert (settings.config_in_redis, settings.config) == (True, tmp_path / "config-set" / "current")
    child = Settings.from_json(settings.to_json(), {"GATEWAY_REDIS_URL": "redis://host"})
    assert child == settings
    assert ConfigSets(ConfigStore("redis://host"), settings.config.parent).path == settings.config
    with pytest.raises(SettingsError, match=r"--config redis: needs --redis-url \(or GATEWAY_REDIS_URL\)"):
        read({"config": "redis:"})


@pytest.mark.parametrize("url", ["redis://:secret@host:6379/0", "rediss://:secret@host"])
def test_a_url_of_redis_as_configuration(url: str) -> None:
    """It belongs elsewhere, and is not shown: there may be a password in it."""
    with pytest.raises(SettingsError, match="write redis: alone, and the URL as --redis-url") as caught:
        read({"config": url})
    assert "secret" not in str(caught.value)


def test_what_is_wrong_with_a_redis_url_quotes_no_password() -> None:
    """The message goes to a log."""
    with pytest.raises(SettingsError) as caught:
        read({}, {"GATEWAY_REDIS_URL": "redis://:canary@host:x"})
    assert "canary" not in str(caught.value)
    assert caught.value.__cause__ is not None
    assert "canary" not in str(caught.value.__cause__)


def test_redis_needs_its_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks for it without the extra is told at once how to get it."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(SettingsError, match=r"pip install 'gateway\[redis\]'"):
        read({"redis-url": "redis://host"})
    assert read().redis_url is None


def test_a_variable_that_cannot_be_used_is_named() -> None:
    """Not the flag, which nobody gave."""
    with pytest.raises(SettingsError, match=r"^GATEWAY_PORT: expected a whole number"):
        read({}, {"GATEWAY_PORT": "x"})


def test_the_configuration_is_required() -> None:
    """Without it there is nothing to run."""
    with pytest.raises(SettingsError, match=r"--config is missing.*GATEWAY_CONFIG"):
        read_settings({"workers": "1"}, HOME)


def test_the_place_of_the_control_plane() -> None:
    """Commands beside a running gateway name it as the gateway does: over TLS if it has a certificate."""
    assert read_control_place({}, HOME)[0] == "http://127.0.0.1:8788"
    assert read_control_place({"control-host": "::1", "control-port": "1"}, HOME)[0] == "http://[::1]:1"
    assert read_control_place({}, {**HOME, "GATEWAY_CONTROL_TLS_CERT": "/c"})[0] == "https://127.0.0.1:8788"


@pytest.mark.parametrize(
    ("host", "origin"), [("0.0.0.0", "http://127.0.0.1:8788"), ("::", "http://[::1]:8788")]
)
def test_on_all_addresses_the_control_plane_is_on_loopback_too(host: str, origin: str) -> None:
    """A link is to be opened: no browser asks 0.0.0.0, as which a container has it."""
    assert read_control_place({}, {**HOME, "GATEWAY_CONTROL_HOST": host})[0] == origin


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"XDG_STATE_HOME": "/state"}, "/state/gateway/9000"),
        ({"XDG_STATE_HOME": "relative"}, "/home/op/.local/state/gateway/9000"),
        ({"XDG_STATE_HOME": ""}, "/home/op/.local/state/gateway/9000"),
    ],
)
def test_the_state_folder(environ: dict[str, str], expected: str) -> None:
    """One for each control port, by the XDG rules."""
    assert read({"control-port": "9000"}, environ).state_dir == Path(expected)


def test_folders_are_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Children may run elsewhere; what the operator named is kept for messages."""
    monkeypatch.chdir(tmp_path)
    settings = read({"state-dir": "state", "secrets-dir": "secrets"})
    assert (settings.state_dir, settings.secrets_dir) == (tmp_path / "state", tmp_path / "secrets")
    assert settings.config == Path("manifests")


def test_a_folder_that_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when a new release took its place: what is relative to it is nowhere, what is whole is used."""
    folder = tmp_path / "release"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()
    for flag in ("config", "state-dir", "secrets-dir"):
        with pytest.raises(SettingsError, match=f"--{flag}: expected a path that begins with '/'"):
            read({"config": "/m", "state-dir": "/s", flag: "relative"})
    assert read({"config": "/m", "state-dir": "/s"}).config == Path("/m")


def test_the_home_folder_of_nobody() -> None:
    """A slip in the name of the user is told as one."""
    with pytest.raises(SettingsError, match="--config: expected a path, with '~' before a user"):
        read({"config": "~no-such-user/manifests"})


def test_the_home_folder_is_understood() -> None:
    """Variables are not expanded by a shell."""
    assert read({"config": "~/c"}).config == Path("~/c").expanduser()


@pytest.mark.parametrize(
    ("state", "is_refused"),
    [
        ("manifests/state", True),
        ("manifests", True),
        ("manifests/.state", False),
        ("state", False),
        ("link", True),
    ],
)
def test_no_state_among_manifests(tmp_path: Path, state: str, *, is_refused: bool) -> None:
    """What is kept there would be read as manifests, and refused at the next start or change."""
    (tmp_path / "manifests").mkdir()
    (tmp_path / "link").symlink_to("manifests/state")
    flags: dict[str, str | None] = {
        "config": str(tmp_path / "manifests"),
        "state-dir": str(tmp_path / state),
    }
    if is_refused:
        with pytest.raises(SettingsError, match=r"--state-dir .* lies within the folder of --config"):
            read(flags)
    else:
        assert read(flags).state_dir == tmp_path / state


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"port": "9000", "control-port": "9000"}, "--port and --control-port are both 9000: each needs"),
        ({"health-port": "8787"}, "--port and --health-port are both 8787"),
        ({"health-port": "8788"}, "--control-port and --health-port are both 8788"),
        ({"host": "0.0.0.0", "health-port": "8787"}, "--port and --health-port are both 8787"),
        ({"host": "::", "health-port": "8787"}, "--port and --health-port are both 8787"),
        ({"host": "localhost", "health-port": "8787"}, "--port and --health-port are both 8787"),
    ],
)
def test_a_port_that_is_given_twice(flags: dict[str, str], said: str) -> None:
    """It is told of before one of them is taken, and so would be called another program's."""
    with pytest.raises(SettingsError, match=said):
        read_settings({"config": "/m", **flags}, {})


def test_ports_that_may_be_the_same() -> None:
    """Of any free one, and of another address."""
    read_settings({"config": "/m", "port": "0", "control-port": "0", "health-port": "0"}, {})
    read_settings({"config": "/m", "port": "8788", "host": "127.0.0.2"}, {})
    read_settings({"config": "/m", "port": "8788", "host": "0.0.0.0", "control-host": "::1"}, {})


def test_an_open_control_plane_needs_a_token() -> None:
    """On any host but loopback, or the start refuses; an empty token is none."""
    for environ in ({}, {"GATEWAY_ADMIN_TOKEN": ""}):
        with pytest.raises(SettingsError, match=r"set GATEWAY_ADMIN_TOKEN, or bind it to 127\.0\.0\.1"):
            read({"control-host": "0.0.0.0"}, environ)
    assert read({"control-host": "0.0.0.0"}, {"GATEWAY_ADMIN_TOKEN": "canary"}).admin_token == "canary"
    assert read({"control-host": "::1"}).admin_token is None


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.1.2.3", True),
        ("::1", True),
        ("localhost", True),
        ("LocalHost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.1", False),
        ("example.com", False),
        ("localhost.evil.example", False),
    ],
)
def test_loopback(host: str, *, expected: bool) -> None:
    """Only what no other host can reach."""
    assert is_loopback(host) is expected


@pytest.mark.parametrize(
    ("url", "is_shown"),
    [
        ("redis://:canary@host", True),
        ("rediss://user:canary@host:1/0", True),
        ("redis://user@host", False),
        ("redis://host", False),
        (None, False),
        ("redis://[", False),
    ],
)
def test_a_password_on_the_command_line(url: str | None, *, is_shown: bool) -> None:
    """It is warned of, by the variable that hides it and without being said again."""
    warning = find_shown_secret({"redis-url": url})
    assert (warning is not None) is is_shown
    if warning is not None:
        assert "GATEWAY_REDIS_URL" in warning
        assert "canary" not in warning


def test_settings_reach_children_without_the_token() -> None:
    """The command line of a process is for everyone to read; the environment is not."""
    settings = read({"secrets-dir": "/run/secrets", "strict": "true"}, {"GATEWAY_ADMIN_TOKEN": "canary"})
    text = settings.to_json()
    assert "canary" not in text
    assert "canary" not in repr(settings)
    assert json.loads(text)["secrets_dir"] == "/run/secrets"
    assert Settings.from_json(text, {"GATEWAY_ADMIN_TOKEN": "canary"}) == settings
    assert Settings.from_json(text, {}).admin_token is None


@pytest.mark.parametrize("plane", ["", "control-"])
@pytest.mark.parametrize("what", ["key", "client-ca"])
def test_no_tls_without_a_certificate(plane: str, what: str) -> None:
    """What belongs to a certificate is refused without one, by the flag that is missing."""
    with pytest.raises(SettingsError, match=f"--{plane}tls-{what} is of use only with --{plane}tls-cert"):
        read({f"{plane}tls-{what}": "/etc/tls/x.pem"})


def test_certificates() -> None:
    """The key may be in the file of the certificate; what children get is the same."""
    settings = read(
        {"tls-cert": "/c", "control-tls-cert": "/d", "control-tls-key": "/k", "tls-client-ca": "/a"}
    )
    assert settings.tls == TlsFiles(Path("/a"), Path("/c"), Path("/c"))
    assert settings.control_tls == TlsFiles(None, Path("/d"), Path("/k"))
    assert Settings.from_json(settings.to_json(), {}) == settings
    assert read().tls == read().control_tls == NO_FILES


def test_settings_without_folders_reach_children() -> None:
    """None stays None."""
    assert Settings.from_json(read().to_json(), {}) == read()


@pytest.mark.parametrize("variable", ["GATEWAY_PORT", "GATEWAY_CONTROL_PORT", "GATEWAY_HEALTH_PORT"])
def test_where_a_service_of_kubernetes_is(variable: str) -> None:
    """A Service called `gateway` gives each pod a variable of this name: it is no port to listen on."""
    assert read(environ={variable: "tcp://10.0.0.1:8787"}) == read()
    with pytest.raises(SettingsError, match="a whole number"):
        read(environ={variable: "10.0.0.1:8787"})


def test_a_flag_that_is_no_port() -> None:
    """Nobody but an operator writes flags."""
    with pytest.raises(SettingsError, match="--port: expected a whole number"):
        read({"port": "tcp://10.0.0.1:8787"})


def test_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """That of this process, as it is when it is asked for."""
    monkeypatch.setenv("GATEWAY_TEST_ONLY", "x")
    assert environment()["GATEWAY_TEST_ONLY"] == "x"


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"HOME": "/home/op"}, "/home/op/.local/state/gateway/8788"),
        ({"HOME": "/home/op", "GATEWAY_CONTROL_PORT": "9000"}, "/home/op/.local/state/gateway/9000"),
        ({"HOME": "/home/op", "GATEWAY_STATE_DIR": "/var/lib/gateway"}, "/var/lib/gateway"),
    ],
)
def test_state_folder_of_a_command(environ: dict[str, str], expected: str) -> None:
    """That of a gateway which is started in the same environment."""
    assert state_dir_in(environ) == Path(expected)


def test_no_state_folder_of_a_command() -> None:
    """Where no gateway would start either; a folder of another one would be worse."""
    with pytest.raises(SettingsError, match="GATEWAY_CONTROL_PORT"):
        state_dir_in({"HOME": "/home/op", "GATEWAY_CONTROL_PORT": "port"})
