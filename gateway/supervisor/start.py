"""`gateway serve`: what can be wrong is found before the first child starts, then the family runs."""

from __future__ import annotations

import dataclasses
import logging
import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Final, Protocol

from gateway import log
from gateway.config import Config, SecretMissing, SecretSource, accepted, check, summary
from gateway.config.manifest_set import SetUnusable, name_of_current
from gateway.config.manifests.access_token import PersonalAccessToken
from gateway.config.manifests.issued_token import reference_of
from gateway.config.manifests.virtual_account import VirtualAccount
from gateway.control.accepted_files import AcceptedFiles
from gateway.control.sign_in.accounts import FIRST_USER, AccountRefused, Accounts
from gateway.control.sign_in.command import make_link
from gateway.identity.tokens import DEMO_TOKEN_SHA256
from gateway.process import allow_many_files, discard_output, keep_no_core
from gateway.server_tls import HeldTls
from gateway.settings import Settings, environment, is_loopback, origin_of, reached_at
from gateway.supervisor.cannot_start import (
    CannotStart,
    CertificateUnusable,
    ConfigRefused,
    NoConfigYet,
    StateFolderInUse,
)
from gateway.supervisor.child import Begin, Child, Role
from gateway.supervisor.family import DrainBounds, Family
from gateway.supervisor.ports import reserve
from gateway.supervisor.process import Forked, Process, can_be_copied, run_program
from gateway.supervisor.state_folder import lock_state_folder
from gateway.supervisor.unknown_variables import warnings_of
from gateway.tls_files import NO_FILES, TlsFileError

_AT_LOOPBACK: Final = ("127.0.0.1", "localhost", "0.0.0.0")
_TLS_FLAGS: Final = {"cert_file": "cert", "key_file": "key", "ca_file": "client-ca"}

_log = logging.getLogger(__name__)


class ChildWork(Protocol):
    """What children do: `gateway.app.child`."""

    def load(self) -> None:
        """Import it ahead."""

    def run(self, role: str, settings: Settings, ready_fd: int, parent_pid: int) -> int:
        """Do it, to the exit code."""


def serve(settings: Settings, work: ChildWork) -> int:
    """Run the gateway until it is told to stop.

    Returns:
        The exit code of `gateway serve`.
    """
    log.configure(log_format=settings.log_format, level=settings.log_level, process="supervisor")
    keep_no_core()
    allow_many_files()
    try:
        _serve(settings, work)
    except CannotStart as reason:
        print(f"gateway: {reason}", file=sys.stderr)  # noqa: T201, the operator's answer, whatever the log level
        return reason.exit_code
    return 0


def _serve(settings: Settings, work: ChildWork) -> None:
    with ExitStack() as held:
        if settings.config_in_redis:
            # Before the check, which is of what is fetched; so it is ours before.
            held.callback(lock_state_folder(settings.state_dir).close)
            _fetch_config(settings)
        config = _check_config(settings)
        for warning in warnings_of(environment(), config.documents):
            _log.warning("%s", warning)
        _check_certificates(settings)
        data = reserve(settings.host, settings.port, flag="--port")
        held.callback(data.close)
        control = reserve(settings.control_host, settings.control_port, flag="--control-port")
        held.callback(control.close)
        health_port = settings.health_port
        if health_port is not None:
            health = reserve(settings.health_host, health_port, flag="--health-port")
            held.callback(health.close)
            health_port = health.port
        if not settings.config_in_redis:
            held.callback(lock_state_folder(settings.state_dir).close)
        settings = dataclasses.replace(
            settings, port=data.port, control_port=control.port, health_port=health_port
        )
        _keep_accepted(settings, config)
        begin = _way_to_begin(settings, work)
        roles = [Role.CONTROL, *[Role.WORKER] * settings.workers]
        Family(
            [Child(role, begin) for role in roles],
            bounds=DrainBounds(settings.drain_delay_s, settings.drain_timeout_s),
            on_ready=lambda: _say_ready(settings, config),
        ).run()


def _fetch_config(settings: Settings) -> None:
    """Bring the configuration that is in Redis. Where it cannot be had, the start goes by what is here.

    A first start has nothing here: it waits a little for a server that is started beside it, or stands still.
    """
    # They need a library that comes with an extra.
    from gateway.control.config_sets import ConfigSets, NothingThere  # noqa: PLC0415 - see above
    from gateway.store.config_store import (  # noqa: PLC0415 - see above
        PATIENCE_S,
        PATIENT_TIMEOUT_S,
        ConfigAwayError,
        ConfigStore,
        Patience,
    )

    def tell(error: ConfigAwayError) -> None:
        told = "%s: %s; trying for %g s, as no configuration came from there before"
        _log.warning(told, store.place, error, PATIENCE_S)

    url = settings.redis_url or ""
    if name_of_current(settings.config.parent) is None:
        store = ConfigStore(url, timeout_s=PATIENT_TIMEOUT_S, patience=Patience(PATIENCE_S, tell))
    else:
        store = ConfigStore(url)
    sets = ConfigSets(store, settings.config.parent)
    try:
        sets.take()
    except (ConfigAwayError, NothingThere, SetUnusable, OSError) as error:
        if sets.here() is None:
            is_away = isinstance(error, ConfigAwayError)
            fix = (
                "start it, or mend --redis-url" if is_away else "put one there with gateway config push PATH"
            )
            raise NoConfigYet(f"no configuration from {store.place}: {error}; {fix}") from error
        _log.warning("%s: %s; the start goes by the configuration that came last", store.place, error)
    finally:
        store.close()


def _check_config(settings: Settings) -> Config:
    """The configuration to start with; its warnings are logged.

    Raises:
        ConfigRefused: It has errors; the message holds every one.
        NoConfigYet: The same, of one that is in Redis, where another may be put.
    """
    secrets = SecretSource(environment(), settings.secrets_dir)
    checked = check.check(settings.config, strict=settings.strict, secrets=secrets)
    if checked.config is None:
        found = summary.report(checked)
        refusal = f"the configuration in {settings.config} cannot be used:\n{found}"
        if not settings.config_in_redis:
            raise ConfigRefused(refusal)
        kept = _accepted_before(settings, secrets)
        if kept is None:
            raise NoConfigYet(refusal)
        # Whoever put it there looks at all replicas; one that ends and does not come back is of no use.
        _log.error("the configuration in Redis is refused, version %s is in force:\n%s", kept.version, found)
        return kept
    for problem in checked.problems:
        _log.warning("%s", problem)
    if not is_loopback(settings.host) and _takes_demo_key(checked.config, secrets):
        _log.warning(
            "the token demo-key is known to everybody and is refused while the data plane listens on %s; "
            "give whoever has it a token of its own",
            settings.host,
        )
    if not is_loopback(settings.control_host) and settings.control_tls == NO_FILES:
        _log.warning(
            "the control plane listens on %s: without TLS (--control-tls-cert, or a proxy in front of it) "
            "passwords and tokens can be read on the way",
            settings.control_host,
        )
    return checked.config


def _accepted_before(settings: Settings, secrets: SecretSource) -> Config | None:
    """The configuration that was accepted last here, None where there is none that can still be used."""
    files = AcceptedFiles(settings.state_dir / "config")
    version = files.version()
    documents = None if version is None else files.documents(version)
    if version is None or documents is None:
        return None
    config = check.check_documents(documents, strict=False, secrets=secrets).config
    return None if config is None else dataclasses.replace(config, version=version)


def _check_certificates(settings: Settings) -> None:
    for files, prefix in ((settings.tls, "--tls"), (settings.control_tls, "--control-tls")):
        if files == NO_FILES:
            continue
        try:
            HeldTls(files).close()
        except TlsFileError as error:
            text = f"tls.{error.field} {error.what}"
            for field, flag in _TLS_FLAGS.items():
                text = text.replace(f"tls.{field}", f"{prefix}-{flag}")
            raise CertificateUnusable(f"{text}: {getattr(files, error.field)}") from error


def _takes_demo_key(config: Config, secrets: SecretSource) -> bool:
    callers: list[VirtualAccount | PersonalAccessToken] = [*config.virtual_accounts, *config.access_tokens]
    for caller in callers:
        for token in caller.tokens:
            try:
                if secrets.token_sha256(reference_of(token), caller.source.folder) == DEMO_TOKEN_SHA256:
                    return True
            except SecretMissing:
                continue  # reported by the check already
    return False


def _keep_accepted(settings: Settings, config: Config) -> None:
    files = AcceptedFiles(settings.state_dir / "config")
    try:
        files.write(config.version, accepted.dump(config))
    except OSError as error:
        raise StateFolderInUse(
            f"state folder {settings.state_dir} cannot be written: {error.strerror}; mend it, or choose "
            "another with --state-dir (GATEWAY_STATE_DIR)"
        ) from error


def _way_to_begin(settings: Settings, work: ChildWork) -> Begin:
    """How to begin a child: where this process can be copied as that, as it has imported for it then."""
    own_pid = os.getpid()

    def copy(role: Role, ready_fd: int) -> Process:
        if not can_be_copied():
            return program(role, ready_fd)
        return Forked(lambda: work.run(role.value, settings, ready_fd, own_pid), ready_fd)

    def program(role: Role, ready_fd: int) -> Process:
        words = ("gateway.app", role.value, settings.to_json(), str(ready_fd), str(own_pid))
        environ = settings.child_environment(environment())
        return run_program((sys.executable, "-m", *words), ready_fd, environ=environ)

    if not can_be_copied():
        return program
    work.load()
    return copy


def _say_ready(settings: Settings, config: Config) -> None:
    data = origin_of(settings.host, settings.port, is_tls=settings.tls != NO_FILES)
    control = origin_of(settings.control_host, settings.control_port, is_tls=settings.control_tls != NO_FILES)
    workers = f"{settings.workers} worker{'' if settings.workers == 1 else 's'}"
    lines = (
        f"configuration {settings.config} (version {config.version}), {workers}",
        *_way_in(settings),
        *_health_of(settings),
        # Read by programs, so it keeps its form and comes last.
        f"gateway ready: data plane {data}, control plane {control}",
    )
    try:
        print("\n".join(lines), flush=True)  # noqa: T201, this is what the command prints
    except OSError as error:
        # Whoever read it is gone, or the disk is full: no reason to end what serves.
        discard_output()
        _log.warning("standard output cannot be written: %s", error.strerror)


def _way_in(settings: Settings) -> Iterator[str]:
    """How to sign in for the first time, while no admin has a password.

    The link only to a terminal: standard output of a service is kept in logs, which more people read than may
    sign in here.
    """
    try:
        accounts = Accounts(settings.state_dir)
        if accounts.has_admin():
            return
        # An operator with a token may have made another one, who has not chosen a password yet.
        name = accounts.first_admin()
        if sys.stdout.isatty():
            host, is_tls = reached_at(settings.control_host), settings.control_tls != NO_FILES
            origin = origin_of(host, settings.control_port, is_tls=is_tls)
            link = make_link(settings.state_dir, name, origin)
            yield f"set the password of the dashboard, once, within a day: {link}"
        else:
            certificate = settings.control_tls_cert
            tls = "" if certificate is None else f" --control-tls-cert {shlex.quote(str(certificate))}"
            host = settings.control_host
            # On all addresses it is at that of loopback too, which is what the command goes by.
            at = "" if host in _AT_LOOPBACK else f" --control-host {shlex.quote(host)}"
            user = "" if name == FIRST_USER else f" --user {shlex.quote(name)}"
            yield (
                f"no password is set for the dashboard: gateway admin link{user} --state-dir "
                f"{shlex.quote(str(settings.state_dir))}{at} --control-port {settings.control_port}{tls}"
            )
    except (AccountRefused, OSError, ValueError) as error:
        # Everything else works without; whoever wants to sign in is told by the sign-in page.
        _log.error("the accounts of the dashboard cannot be used: %s", error)


def _health_of(settings: Settings) -> Iterator[str]:
    if settings.health_port is not None:
        yield f"health on {origin_of(settings.health_host, settings.health_port, is_tls=False)}"
