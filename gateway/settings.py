"""What the process is started with: flags and environment. The only reader of the environment.

`OPTIONS` is the one list of flags, from which the command line, the environment's names and the
documentation's test are made. A flag wins over its variable, `GATEWAY_<FLAG>`.
"""

from __future__ import annotations

import importlib.util
import ipaddress
import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from itertools import combinations
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from gateway.cpus import usable_cpus
from gateway.file_names import is_utf8
from gateway.tls_files import NO_FILES, TlsFiles

_PREFIX: Final = "GATEWAY_"
_TRUE: Final = frozenset({"1", "true", "yes", "on"})
_FALSE: Final = frozenset({"0", "false", "no", "off", ""})
_MAX_PORT: Final = 65_535
_MAX_DIGITS: Final = 18
# Two of them are added up, and a wait in milliseconds has 31 bits.
_MAX_SECONDS: Final = 1_000_000
# Control takes 256 connections, and a worker has two while a new one begins before the old one has ended.
_MAX_WORKERS: Final = 128
_REDIS_SCHEMES: Final = frozenset({"redis", "rediss", "unix"})
_REDIS_QUERY: Final = frozenset({"db", "ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_check_hostname"})
_REDIS_VARIABLE: Final = f"{_PREFIX}REDIS_URL"
ADMIN_TOKEN_VARIABLE: Final = f"{_PREFIX}ADMIN_TOKEN"
# Kubernetes tells pods of a Service named `gateway` so (GATEWAY_PORT=tcp://10.0.0.1:8787), unless they have
# `enableServiceLinks: false`.
_SERVICE_LINK: Final = re.compile(r"(?:tcp|udp|sctp)://")
# Others can read the command line of a process, so children get these by their environment.
_NOT_ON_COMMAND_LINE: Final = frozenset({"admin_token", "redis_url"})
_TLS_SETTINGS: Final = tuple(
    f"{plane}tls_{what}" for plane in ("", "control_") for what in ("cert", "key", "client_ca")
)
_LEAST_STORE_BYTES: Final = 10_000_000
CONFIG_IN_REDIS: Final = "redis:"
"""`--config` of who gets it from where replicas meet."""
# As paths, which keep one of two slashes.
_REDIS_URLS: Final = ("redis:/", "rediss:/")

_SET_HERE: Final = Path("config-set") / "current"
"""Where it is put, in the state folder: see `gateway.control.config_sets`."""

_LOG_FORMATS: Final = ("text", "json")
_LOG_LEVELS: Final = ("debug", "info", "warning", "error")


class SettingsError(ValueError):
    """A flag or variable cannot be used. The message names it and says what may stand there."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How this gateway runs.

    Attributes:
        config: The file or folder of manifests, as the operator named it, or where those from Redis are put.
        port: 0: any free one; likewise `control_port`.
        drain_delay_s: After SIGTERM, how long to accept calls while readiness already says no.
        drain_timeout_s: After that, how long calls in flight may take.
        max_body_bytes: A larger request is refused with 413.
        max_upload_bytes: Likewise, where the body is sent on while it comes.
        max_in_flight: Calls that one worker takes on at once.
        max_input_bytes: Of their bodies, as far as they are held, likewise.
        max_lag_s: How late a worker's event loop may be for longer; 0: as late as it likes.
        health_port: 0: any free one; None: health has no port of its own.
        state_dir: Absolute.
        secrets_dir: Where `tfy-secret://` references are looked up, None when only in the environment.
        strict: What is not in force, and secrets without a value, are errors.
        metrics_on_data_port: Whether the data plane answers `/metrics` too.
        traces_max_bytes: Of the local store, its sums among them.
        traces_max_days: Older traces are deleted from it.
        trace_link: Where a trace is in another system, with `{trace_id}` in it, None when nowhere.
        config_in_redis: The manifests come from there.
        redis_url: What replicas share is there, None when nothing is; may hold a password.
        admin_token: Opens the control API, None when nothing does but being on loopback.
        tls_cert: The certificate of the data plane, None: it speaks plain HTTP; `control_tls_cert` likewise.
        tls_key: Its key, None when that is in the same file; `control_tls_key` likewise.
        tls_client_ca: Who signs the certificates of callers, None when they need none; likewise.
    """

    config: Path
    host: str
    port: int
    control_host: str
    control_port: int
    workers: int
    drain_delay_s: float
    drain_timeout_s: float
    max_body_bytes: int
    max_upload_bytes: int
    state_dir: Path
    secrets_dir: Path | None
    strict: bool
    log_format: str
    log_level: str
    metrics_on_data_port: bool
    max_in_flight: int = 4_096
    max_input_bytes: int = 536_870_912
    max_lag_s: float = 0.05
    health_host: str = "127.0.0.1"
    health_port: int | None = None
    traces_max_bytes: int = 4_000_000_000
    traces_max_days: int = 7
    trace_link: str | None = None
    config_in_redis: bool = False
    redis_url: str | None = field(default=None, repr=False)
    admin_token: str | None = field(default=None, repr=False)
    tls_cert: Path | None = None
    tls_key: Path | None = None
    tls_client_ca: Path | None = None
    control_tls_cert: Path | None = None
    control_tls_key: Path | None = None
    control_tls_client_ca: Path | None = None

    @property
    def tls(self) -> TlsFiles:
        """The certificate of the data plane, `NO_FILES` when it speaks plain HTTP."""
        return _server_files(self.tls_cert, self.tls_key, self.tls_client_ca)

    @property
    def control_tls(self) -> TlsFiles:
        """The same of the control plane."""
        return _server_files(self.control_tls_cert, self.control_tls_key, self.control_tls_client_ca)

    def to_json(self) -> str:
        """For the command line of a child process; without what is secret, which others could read there."""
        names = [one.name for one in fields(self) if one.name not in _NOT_ON_COMMAND_LINE]
        found = {name: getattr(self, name) for name in names}
        return json.dumps(
            {name: str(value) if isinstance(value, Path) else value for name, value in found.items()}
        )

    @staticmethod
    def from_json(text: str, environ: Mapping[str, str] | None = None) -> Settings:
        """What `to_json` wrote, with what is secret from the environment."""
        found: dict[str, Any] = json.loads(text)
        secret = environment() if environ is None else environ
        for name in ("config", "state_dir", "secrets_dir", *_TLS_SETTINGS):
            found[name] = None if found[name] is None else Path(found[name])
        return Settings(
            **found, redis_url=secret.get(_REDIS_VARIABLE) or None, admin_token=_admin_token(secret)
        )

    def child_environment(self, environ: Mapping[str, str]) -> dict[str, str]:
        """The environment of a child process: *environ*, with what its command line does not say."""
        return {**environ, **({_REDIS_VARIABLE: self.redis_url} if self.redis_url else {})}


@dataclass(frozen=True, slots=True)
class Option:
    """One flag of `gateway serve`.

    Attributes:
        flag: Without the leading dashes.
        setting: The field of `Settings`.
        parse: From text; raises ValueError with what is wanted ("a whole number from 0 to 65535").
        default: As text, None when it is worked out or there is none.
        placeholder: What the help shows for the value, "" for a switch.
    """

    flag: str
    setting: str
    parse: Callable[[str], Any]
    default: str | None
    placeholder: str
    help: str

    @property
    def variable(self) -> str:
        """The environment variable that stands in for the flag."""
        return _PREFIX + self.flag.upper().replace("-", "_")

    @property
    def is_switch(self) -> bool:
        """Whether the flag stands alone (and has a `--no-` form)."""
        return not self.placeholder


def environment() -> Mapping[str, str]:
    """The environment of this process; every other module gets it from here."""
    return os.environ


def set_default(name: str, value: str) -> None:
    """Have a library that reads the environment find *value*, unless the operator has set the variable."""
    os.environ.setdefault(name, value)


def read_settings(flags: Mapping[str, str | None], environ: Mapping[str, str]) -> Settings:
    """Settings from *flags* (by `Option.flag`; None: not given), else *environ*, else the defaults.

    Raises:
        SettingsError: A value is not usable, or a required one is missing.
    """
    found = {option.setting: _read_option(option, flags.get(option.flag), environ) for option in OPTIONS}
    if found["config"] is None:
        msg = (
            "--config is missing: name the file or folder of manifests, or redis: where they were put there "
            "(or set GATEWAY_CONFIG)"
        )
        raise SettingsError(msg)
    if found["workers"] is None:
        found["workers"] = usable_cpus()
    if found["state_dir"] is None:
        found["state_dir"] = _default_state_dir(found["control_port"], environ)
    found["config_in_redis"] = str(found["config"]) == CONFIG_IN_REDIS
    if found["config_in_redis"]:
        found["config"] = found["state_dir"] / _SET_HERE
        if found["redis_url"] is None:
            msg = (
                f"--config {CONFIG_IN_REDIS} needs --redis-url (or {_REDIS_VARIABLE}), which says where it is"
            )
            raise SettingsError(msg)
    elif str(found["config"]).startswith(_REDIS_URLS):
        msg = (
            f"--config is a URL: write {CONFIG_IN_REDIS} alone, and the URL as --redis-url "
            f"(or {_REDIS_VARIABLE})"
        )
        raise SettingsError(msg)
    settings = Settings(**found, admin_token=_admin_token(environ))
    if settings.admin_token is None and not is_loopback(settings.control_host):
        msg = (
            f"--control-host {settings.control_host} can be reached from other hosts and nothing protects "
            "the control API: set GATEWAY_ADMIN_TOKEN, or bind it to 127.0.0.1"
        )
        raise SettingsError(msg)
    _check_ports(settings)
    _check_files(settings)
    if settings.redis_url is not None:
        _need_redis()
    return settings


def read_variable(setting: str, environ: Mapping[str, str]) -> Any:
    """What *setting* is without a flag, as `gateway serve` would have it.

    Raises:
        SettingsError: The value of its variable is not usable.
    """
    option = next(option for option in OPTIONS if option.setting == setting)
    return _read_option(option, None, environ)


def read_redis_url(flag: str | None, environ: Mapping[str, str]) -> str:
    """Where replicas meet, as `gateway serve` would have it.

    Raises:
        SettingsError: It is missing or not usable.
    """
    option = next(option for option in OPTIONS if option.setting == "redis_url")
    found: str | None = _read_option(option, flag, environ)
    if found is None:
        msg = f"--redis-url is missing: where the gateways meet (or set {option.variable})"
        raise SettingsError(msg)
    _need_redis()
    return found


def _need_redis() -> None:
    if importlib.util.find_spec("redis") is None:
        msg = "--redis-url needs the library redis, which is not installed: pip install 'gateway[redis]'"
        raise SettingsError(msg)


def find_shown_secret(flags: Mapping[str, str | None]) -> str | None:
    """What the command line of this process shows to everybody on this host, in words; None: nothing."""
    try:
        password = urlsplit(flags.get("redis-url") or "").password
    except ValueError:
        return None
    if password is None:
        return None
    return (
        f"--redis-url has a password in it, which others on this host can read: set {_REDIS_VARIABLE} instead"
    )


def _read_option(option: Option, flag: str | None, environ: Mapping[str, str]) -> Any:
    text, place = flag, f"--{option.flag}"
    found = environ.get(option.variable)
    if text is None and found and not is_service_link(option.variable, found):
        text, place = found, option.variable
    if text is None:
        text = option.default
    try:
        return None if text is None else option.parse(text)
    except ValueError as error:
        msg = f"{place}: expected {error}"
        raise SettingsError(msg) from error


def is_service_link(variable: str, value: str) -> bool:
    """Whether this is where a Service of Kubernetes is, which has the name of a setting by chance."""
    return variable.endswith("_PORT") and _SERVICE_LINK.match(value) is not None


def read_control_place(flags: Mapping[str, str | None], environ: Mapping[str, str]) -> tuple[str, Path]:
    """Where the control plane is from this host, and the state folder, as `gateway serve` would have them.

    Raises:
        SettingsError: A value is not usable.
    """
    found = {
        option.setting: _read_option(option, flags.get(option.flag), environ)
        for option in OPTIONS
        if option.setting in {"control_host", "control_port", "control_tls_cert", "state_dir"}
    }
    port = found["control_port"]
    origin = origin_of(reached_at(found["control_host"]), port, is_tls=found["control_tls_cert"] is not None)
    return origin, found["state_dir"] or _default_state_dir(port, environ)


def origin_of(host: str, port: int, *, is_tls: bool) -> str:
    """The URL of a server of ours, without a path."""
    return f"{'https' if is_tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"


def reached_at(host: str) -> str:
    """Where this host finds a server bound to *host*: one on all addresses is at loopback's too."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)


def _server_files(cert: Path | None, key: Path | None, client_ca: Path | None) -> TlsFiles:
    return NO_FILES if cert is None else TlsFiles(client_ca, cert, key or cert)


def is_loopback(host: str) -> bool:
    """Whether only this host can reach a server bound to *host*."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _check_ports(settings: Settings) -> None:
    """Whether each is another one: the start would take the first, and then call it a stranger's.

    Raises:
        SettingsError: Two are the same, on one address.
    """
    places = (
        ("--port", settings.host, settings.port),
        ("--control-port", settings.control_host, settings.control_port),
        ("--health-port", settings.health_host, settings.health_port),
    )
    for (flag, host, port), (other_flag, other_host, other_port) in combinations(places, 2):
        if port and port == other_port and _do_meet(host, other_host):
            msg = f"{flag} and {other_flag} are both {port}: each needs a port of its own"
            raise SettingsError(msg)


def _do_meet(host: str, other_host: str) -> bool:
    """Whether one port cannot be had at both; one on all addresses has it at each."""
    hosts = {"127.0.0.1" if host.lower() == "localhost" else host for host in (host, other_host)}
    if len(hosts) == 1 or "::" in hosts:
        return True
    return "0.0.0.0" in hosts and not any(":" in host for host in hosts)


def _check_files(settings: Settings) -> None:
    """Whether the files and folders go together.

    Raises:
        SettingsError: One is of no use, or in the way.
    """
    if not settings.config_in_redis and _would_be_read(settings.state_dir, settings.config):
        msg = (
            f"--state-dir {settings.state_dir} lies within the folder of --config, where what is kept would "
            "be read as manifests: choose another"
        )
        raise SettingsError(msg)
    for name in _TLS_SETTINGS:
        certificate = name.partition("tls_")[0] + "tls_cert"
        if getattr(settings, name) is not None and getattr(settings, certificate) is None:
            flag, wanted = name.replace("_", "-"), certificate.replace("_", "-")
            msg = f"--{flag} is of use only with --{wanted}, the certificate of that server: name it too"
            raise SettingsError(msg)


def _would_be_read(state_dir: Path, config: Path) -> bool:
    """Whether files of *state_dir* are manifests of *config*: unless a name with a leading dot is between."""
    state, manifests = state_dir.resolve(), config.resolve()
    if not state.is_relative_to(manifests):
        return False
    return not any(part.startswith(".") for part in state.relative_to(manifests).parts)


def _admin_token(environ: Mapping[str, str]) -> str | None:
    return environ.get(ADMIN_TOKEN_VARIABLE) or None


def state_dir_in(environ: Mapping[str, str]) -> Path:
    """The state folder of a gateway that is started with *environ* and no flags.

    Raises:
        SettingsError: A value is not usable.
    """
    return read_control_place({}, environ)[1]


def _default_state_dir(control_port: int, environ: Mapping[str, str]) -> Path:
    base = Path(environ.get("XDG_STATE_HOME", ""))
    # The XDG rules: a relative path there is invalid and ignored.
    if not base.is_absolute():
        base = Path(environ.get("HOME") or Path.home()) / ".local" / "state"
    return base / "gateway" / str(control_port)


def _whole_number(least: int, most: int | None = None) -> Callable[[str], int]:
    wanted = (
        f"a whole number of at least {least}" if most is None else f"a whole number from {least} to {most}"
    )

    def parse(text: str) -> int:
        # Python refuses to read thousands of digits, in words of its own.
        if (
            not (text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS)
            or int(text) < least
            or (most is not None and int(text) > most)
        ):
            raise ValueError(wanted)
        return int(text)

    return parse


def _seconds(text: str) -> float:
    wanted = f"a number of seconds from 0 to {_MAX_SECONDS}"
    try:
        seconds = float(text)
    except ValueError:
        raise ValueError(wanted) from None
    # Not a number is in no range.
    if not 0 <= seconds <= _MAX_SECONDS:
        raise ValueError(wanted)
    return seconds


def _switch(text: str) -> bool:
    if text.lower() not in _TRUE | _FALSE:
        msg = "true or false"
        raise ValueError(msg)
    return text.lower() in _TRUE


def _one_of(names: tuple[str, ...]) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in names:
            msg = f"one of {', '.join(names)}"
            raise ValueError(msg)
        return text

    return parse


def _host(text: str) -> str:
    if not text or any(character.isspace() for character in text):
        msg = "a host name or address"
        raise ValueError(msg)
    return text


def parse_path(text: str) -> Path:
    """A path from a flag or a variable.

    Raises:
        ValueError: It cannot be one; the message says what is expected.
    """
    # Paths are told in JSON, which has no bytes that are no text.
    if not text or "\x00" in text or not is_utf8(text):
        msg = "a path in UTF-8"
        raise ValueError(msg)
    try:
        path = Path(text).expanduser()
    except RuntimeError as error:
        msg = "a path, with '~' before a user that this machine knows"
        raise ValueError(msg) from error
    try:
        path.absolute()
    except OSError as error:
        msg = "a path that begins with '/', as the folder that this was started in is gone"
        raise ValueError(msg) from error
    return path


def _absolute_path(text: str) -> Path:
    return parse_path(text).absolute()


def _redis_url(text: str) -> str:
    wanted = (
        "a URL such as redis://:password@host:6379/0, rediss://host:6379/0 or unix:///path, with no other "
        f"parameters than {', '.join(sorted(_REDIS_QUERY))}"
    )
    try:
        parts = urlsplit(text)
        is_whole = parts.port != 0 and bool(parts.path if parts.scheme == "unix" else parts.hostname)
        query = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError:
        # Without what it says: that may quote the password.
        raise ValueError(wanted) from None
    database = "0" if parts.scheme == "unix" else parts.path.strip("/") or "0"
    unknown = {name for name, _ in query} - _REDIS_QUERY
    if parts.scheme not in _REDIS_SCHEMES or not is_whole or not database.isdigit() or unknown:
        raise ValueError(wanted)
    return text


def _trace_link(text: str) -> str:
    wanted = "an http or https URL with {trace_id} in it, such as https://kibana.test/app/apm/link-to/trace/{trace_id}"
    try:
        parts = urlsplit(text)
    except ValueError:
        raise ValueError(wanted) from None
    if parts.scheme not in {"http", "https"} or not parts.hostname or "{trace_id}" not in text:
        raise ValueError(wanted)
    return text


_port: Final = _whole_number(0, _MAX_PORT)

OPTIONS: Final[tuple[Option, ...]] = (
    Option("config", "config", parse_path, None, "PATH", "file or folder of manifests, or redis: (required)"),
    Option("host", "host", _host, "127.0.0.1", "HOST", "address of the data plane"),
    Option("port", "port", _port, "8787", "PORT", "port of the data plane, 0 for any free one"),
    Option("control-host", "control_host", _host, "127.0.0.1", "HOST", "address of the control plane"),
    Option(
        "control-port", "control_port", _port, "8788", "PORT", "port of the control plane, 0 for any free one"
    ),
    Option("health-host", "health_host", _host, "127.0.0.1", "HOST", "address of the health port"),
    Option(
        "health-port",
        "health_port",
        _port,
        None,
        "PORT",
        "port where only health is answered, for all workers; 0 for any free one (default: none)",
    ),
    Option(
        "workers",
        "workers",
        _whole_number(1, _MAX_WORKERS),
        None,
        "N",
        "worker processes (default: the CPUs that this process may use)",
    ),
    Option(
        "drain-delay",
        "drain_delay_s",
        _seconds,
        "0",
        "SECONDS",
        "after SIGTERM, time to go on accepting while readiness says no",
    ),
    Option(
        "drain-timeout", "drain_timeout_s", _seconds, "30", "SECONDS", "then, time for calls in flight to end"
    ),
    Option(
        "max-body-bytes",
        "max_body_bytes",
        _whole_number(1),
        "33554432",
        "BYTES",
        "largest request body; a larger one is refused with 413",
    ),
    Option(
        "max-upload-bytes",
        "max_upload_bytes",
        _whole_number(1),
        "1073741824",
        "BYTES",
        "largest body that is sent on while it comes, as files are; a larger one is refused with 413",
    ),
    Option(
        "max-in-flight",
        "max_in_flight",
        _whole_number(1, 1_000_000),
        "4096",
        "N",
        "calls that a worker takes on at once; more are refused with 503",
    ),
    Option(
        "max-input-bytes-in-flight",
        "max_input_bytes",
        _whole_number(1),
        "536870912",
        "BYTES",
        "request bodies that a worker holds at once; more are refused with 503",
    ),
    Option(
        "max-loop-lag",
        "max_lag_s",
        _seconds,
        "0.05",
        "SECONDS",
        "how late a worker's event loop may be for longer; then calls are refused with 503; 0: never",
    ),
    Option(
        "state-dir",
        "state_dir",
        _absolute_path,
        None,
        "DIR",
        "folder for what is kept; one running gateway each "
        "(default: $XDG_STATE_HOME/gateway/<control port>, else ~/.local/state/gateway/<control port>)",
    ),
    Option(
        "secrets-dir", "secrets_dir", _absolute_path, None, "DIR", "folder of the tfy-secret:// references"
    ),
    Option(
        "strict",
        "strict",
        _switch,
        "false",
        "",
        "treat what is not in force, and secrets without a value, as errors",
    ),
    Option("log-format", "log_format", _one_of(_LOG_FORMATS), "text", "FORMAT", "text or json"),
    Option("log-level", "log_level", _one_of(_LOG_LEVELS), "info", "LEVEL", "debug, info, warning or error"),
    Option(
        "metrics-on-data-port",
        "metrics_on_data_port",
        _switch,
        "false",
        "",
        "answer /metrics on the data plane too",
    ),
    Option(
        "traces-max-bytes",
        "traces_max_bytes",
        _whole_number(_LEAST_STORE_BYTES),
        "4000000000",
        "BYTES",
        "size of the local trace store; the oldest traces go first",
    ),
    Option(
        "traces-max-days",
        "traces_max_days",
        _whole_number(1, 3650),
        "7",
        "DAYS",
        "days that the local trace store keeps traces, if they fit",
    ),
    Option(
        "trace-link",
        "trace_link",
        _trace_link,
        None,
        "URL",
        "where a trace is in another system, with {trace_id} in it; pages of traces link there",
    ),
    Option(
        "tls-cert",
        "tls_cert",
        _absolute_path,
        None,
        "FILE",
        "certificate of the data plane with its chain, PEM; a replaced file is used without a restart",
    ),
    Option("tls-key", "tls_key", _absolute_path, None, "FILE", "its key, if that is not in the same file"),
    Option(
        "tls-client-ca",
        "tls_client_ca",
        _absolute_path,
        None,
        "FILE",
        "callers need a certificate that one of these authorities has signed",
    ),
    Option("control-tls-cert", "control_tls_cert", _absolute_path, None, "FILE", "of the control plane"),
    Option("control-tls-key", "control_tls_key", _absolute_path, None, "FILE", "of the control plane"),
    Option(
        "control-tls-client-ca", "control_tls_client_ca", _absolute_path, None, "FILE", "of the control plane"
    ),
    Option(
        "redis-url",
        "redis_url",
        _redis_url,
        None,
        "URL",
        "Redis or Valkey where replicas share circuits, limits, sessions and stored objects (extra redis)",
    ),
)
