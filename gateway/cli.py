"""The command line: reads arguments and hands over to the part that does the work.

Each command imports its part when it runs, so that `gateway --version` does not wait for a server to load.
Exit codes: 0 done, 1 the configuration has errors, 2 usage; `serve` adds 3 (port taken), 4 (state folder in
use) and 5 (no configuration in Redis yet).
"""

from __future__ import annotations

import argparse
import errno
import json
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from gateway import __version__
from gateway.process import discard_output, end_when_told, open_standard_streams
from gateway.settings import (
    ADMIN_TOKEN_VARIABLE,
    CONFIG_IN_REDIS,
    OPTIONS,
    SettingsError,
    environment,
    find_shown_secret,
    parse_path,
    read_control_place,
    read_redis_url,
    read_settings,
    read_variable,
    state_dir_in,
)

OK: Final = 0
INVALID: Final = 1
USAGE: Final = 2
# As a shell tells the end by SIGPIPE.
_READER_GONE: Final = 141
_DISK_FULL: Final = (errno.ENOSPC, errno.EDQUOT)
_PLACE_FLAGS: Final = {
    "state-dir": "DIR",
    "control-host": "HOST",
    "control-port": "PORT",
    "control-tls-cert": "FILE",
}
# Flags that other commands share with `serve`, and that mean the same there.
_OF_SERVE: Final = ("config", "secrets_dir", "strict")
_AS_SERVE: Final = (
    "A flag that `serve` has too may be set in the environment, as it may there: GATEWAY_<FLAG>."
)
_FILES_HELP: Final = "file or folder of manifests (default: $GATEWAY_CONFIG)"
_SECRETS_HELP: Final = "as of serve (default: $GATEWAY_SECRETS_DIR)"
_STRICT_HELP: Final = (
    "treat what is not in force, and secrets without a value here, as errors (default: $GATEWAY_STRICT)"
)
_DEMO_PORT: Final = 8789
_SET_NUMBER: Final = re.compile(r"[1-9][0-9]{0,15}")
_NO_CONFIG: Final = "--config is missing: name the file or folder of manifests (or set GATEWAY_CONFIG)"
_NO_SET: Final = "0-"
_NO_FILES: Final = (
    "names no files: gateway config show --into DIR writes those that are in force to a folder, "
    "and gateway config push DIR puts it in force"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: None: those of the process.

    Returns:
        The exit code.

    Raises:
        SystemExit: The arguments are not usable (2), or only asked for help or the version (0).
    """
    open_standard_streams()
    parsed = make_parser().parse_args(arguments)
    try:
        code = int(parsed.run(parsed))
        sys.stdout.flush()
    except BrokenPipeError:
        # Who reads has had enough, as `head` has; nothing is wrong here.
        discard_output()
        return _READER_GONE
    except OSError as error:
        # `gateway schema > schema.json` on a full disk. Others are bugs, of which a traceback tells more.
        if error.errno not in _DISK_FULL:
            raise
        discard_output()
        what = error.filename or "the output"
        sys.stderr.write(f"gateway: {what} cannot be written: {error.strerror}\n")
        return INVALID
    return code


def make_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = argparse.ArgumentParser(prog="gateway", description="An open AI gateway.", allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"gateway {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_serve(commands)
    _add_check_config(commands)
    _add_config(commands)
    _add_otel(commands)
    _add_admin(commands)
    _add_token(commands)
    _add_size(commands)
    schema = commands.add_parser("schema", help="print the JSON Schema of the manifests, for editors")
    schema.set_defaults(run=_schema)
    demo = commands.add_parser(
        "demo-provider", help="run a small OpenAI-compatible model server to try things on"
    )
    demo.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
    demo.add_argument(
        "--port",
        type=_port,
        default=_DEMO_PORT,
        help=f"port to listen on, 0 for any free one (default: {_DEMO_PORT})",
    )
    demo.set_defaults(run=_demo_provider)
    return parser


def _add_serve(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    serve = commands.add_parser(
        "serve",
        help="run the gateway",
        description="Run the gateway. Each flag may also be set in the environment, as GATEWAY_<FLAG>. "
        f"The token of the control plane, {ADMIN_TOKEN_VARIABLE}, has no flag: others can read those.",
        allow_abbrev=False,
    )
    for option in OPTIONS:
        default = "" if option.default is None or option.is_switch else f" (default: {option.default})"
        if option.is_switch:
            serve.add_argument(
                f"--{option.flag}", action=argparse.BooleanOptionalAction, default=None, help=option.help
            )
        else:
            serve.add_argument(f"--{option.flag}", metavar=option.placeholder, help=option.help + default)
    serve.set_defaults(run=_serve)


def _add_check_config(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    check = commands.add_parser(
        "check-config",
        help="check manifests and print everything that is wrong with them",
        description="Check manifests. Exit code 0: they can be run; 1: they cannot.",
        epilog=_AS_SERVE,
        allow_abbrev=False,
    )
    which = check.add_mutually_exclusive_group()
    which.add_argument("path", type=_path, nargs="?", metavar="PATH", help="as --config")
    which.add_argument("--config", type=_path, metavar="PATH", help=_FILES_HELP)
    check.add_argument("--secrets-dir", type=_path, metavar="DIR", help=_SECRETS_HELP)
    check.add_argument("--strict", action=argparse.BooleanOptionalAction, help=_STRICT_HELP)
    check.add_argument(
        "--format", choices=("text", "json"), default="text", help="how to print (default: text)"
    )
    check.set_defaults(run=_check_config)


def _add_config(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    config = commands.add_parser("config", help="the configuration that gateways get from Redis")
    actions = config.add_subparsers(title="commands", metavar="COMMAND", required=True, dest="action")
    push = actions.add_parser(
        "push",
        help="check manifests and put them in force for all gateways with --config redis:",
        description="Check manifests, put them into Redis and print the name of the new set.",
        epilog=f"{_AS_SERVE} Not so PATH: what goes to all gateways is named.",
        allow_abbrev=False,
    )
    push.add_argument("path", type=_path, metavar="PATH", help="file or folder of manifests")
    push.add_argument(
        "--expect",
        type=_expected_set,
        metavar="SET",
        help="only if this set is in force now, by its whole name, as push and list print it (0-: none is)",
    )
    push.add_argument("--message", metavar="TEXT", help="why, for the list")
    listing = actions.add_parser("list", help="list the last sets, the one in force first")
    show = actions.add_parser("show", help="print the manifests of a set")
    show.add_argument("set", type=_set_name, nargs="?", metavar="SET", help="default: the one in force")
    show.add_argument("--into", type=_path, metavar="DIR", help="write its files there instead")
    rollback = actions.add_parser("rollback", help="put an earlier set in force again, as a new one")
    rollback.add_argument(
        "set",
        type=_set_name,
        metavar="SET",
        help="its number, or its whole name, as push and list print it",
    )
    for action in (push, rollback):
        action.add_argument("--secrets-dir", type=_path, metavar="DIR", help=_SECRETS_HELP)
        action.add_argument("--strict", action=argparse.BooleanOptionalAction, help=_STRICT_HELP)
    for action in (push, listing, show, rollback):
        action.epilog = action.epilog or _AS_SERVE
        action.add_argument("--redis-url", metavar="URL", help="as of serve (default: $GATEWAY_REDIS_URL)")
        if action is not show:
            action.add_argument(
                "--format", choices=("text", "json"), default="text", help="how to print (default: text)"
            )
        action.set_defaults(run=_config)


def _config(parsed: argparse.Namespace) -> int:
    try:
        redis_url = read_redis_url(parsed.redis_url, environment())
        _fill_in(parsed)
    except SettingsError as error:
        sys.stderr.write(f"gateway config: {error}\n")
        return USAGE
    if (warning := find_shown_secret({"redis-url": parsed.redis_url})) is not None:
        sys.stderr.write(f"gateway config: warning: {warning}\n")
    from gateway.app.config_command import run_config_command

    return run_config_command(parsed, redis_url, getattr(parsed, "secrets_dir", None))


def _add_otel(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    otel = commands.add_parser("otel", help="try out where telemetry goes")
    actions = otel.add_subparsers(title="commands", metavar="COMMAND", required=True)
    test = actions.add_parser(
        "test",
        help="send one span to each destination and say what came of it",
        description="Send one span to each destination. Exit code 0: all took it; 1: not all.",
        epilog=_AS_SERVE,
        allow_abbrev=False,
    )
    test.add_argument("--config", type=_path, metavar="PATH", help=_FILES_HELP)
    test.add_argument("--secrets-dir", type=_path, metavar="DIR", help=_SECRETS_HELP)
    test.add_argument(
        "--format", choices=("text", "json"), default="text", help="how to print (default: text)"
    )
    test.set_defaults(run=_otel_test)


def _add_admin(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    admin = commands.add_parser(
        "admin",
        help="who may sign in to the dashboard and the admin API",
        description="Users and tokens of the dashboard and the admin API, on the gateway's host.",
    )
    actions = admin.add_subparsers(title="commands", metavar="COMMAND", required=True)
    link = actions.add_parser("link", help="print a link that sets a user's password, once")
    password = actions.add_parser("password", help="set a user's password")
    for action in (link, password):
        action.add_argument("--user", default="admin", metavar="NAME", help="whose (default: admin)")
    token = actions.add_parser("token", help="make a token for the admin API and print it")
    token.add_argument("name", metavar="NAME", help="what it is for")
    token.add_argument(
        "--role", choices=("viewer", "admin"), default="viewer", help="what it may do (default: viewer)"
    )
    token.add_argument("--days", type=_days, metavar="N", help="how long it is valid (default: for ever)")
    revoke = actions.add_parser("revoke", help="end a token")
    revoke.add_argument("id", metavar="ID", help="as in the list")
    listed = actions.add_parser("list", help="list users and tokens, without anything secret")
    runs = {link: _admin_link, password: _admin_password, token: _admin_token, revoke: _admin_revoke}
    for action, run in {**runs, listed: _admin_list}.items():
        action.epilog = _AS_SERVE
        for flag, placeholder in _PLACE_FLAGS.items():
            action.add_argument(f"--{flag}", metavar=placeholder, help="as of serve")
        action.set_defaults(run=_with_place(run))


def _with_place(
    run: Callable[[argparse.Namespace, Path, str], int],
) -> Callable[[argparse.Namespace], int]:
    """*run*, given the state folder and the control plane's origin."""

    def found(parsed: argparse.Namespace) -> int:
        flags = {flag: getattr(parsed, flag.replace("-", "_")) for flag in _PLACE_FLAGS}
        try:
            origin, state_dir = read_control_place(flags, environment())
        except SettingsError as error:
            sys.stderr.write(f"gateway admin: {error}\n")
            return USAGE
        return run(parsed, state_dir, origin)

    return found


def _admin_link(parsed: argparse.Namespace, state_dir: Path, origin: str) -> int:
    from gateway.control.sign_in import command

    return command.print_link(state_dir, parsed.user, origin)


def _admin_password(parsed: argparse.Namespace, state_dir: Path, _origin: str) -> int:
    from gateway.control.sign_in import command

    return command.set_password(state_dir, parsed.user)


def _admin_token(parsed: argparse.Namespace, state_dir: Path, _origin: str) -> int:
    from gateway.control.sign_in import command
    from gateway.control.sign_in.roles import Role

    return command.add_token(state_dir, parsed.name, Role(parsed.role), parsed.days)


def _admin_revoke(parsed: argparse.Namespace, state_dir: Path, _origin: str) -> int:
    from gateway.control.sign_in import command

    return command.revoke_token(state_dir, parsed.id)


def _admin_list(_parsed: argparse.Namespace, state_dir: Path, _origin: str) -> int:
    from gateway.control.sign_in import command

    return command.print_accounts(state_dir)


def _add_size(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    size = commands.add_parser(
        "size",
        help="how many gateways a load needs",
        description="How many gateways a load needs, from figures that were measured (docs/scaling.md).",
        allow_abbrev=False,
    )
    size.add_argument("--rps", type=float, required=True, metavar="N", help="calls a second at the peak")
    size.add_argument(
        "--stream-share", type=float, default=0.5, metavar="RATIO", help="of them, streamed (default: 0.5)"
    )
    size.add_argument("--tokens", type=int, default=400, metavar="N", help="of an answer (default: 400)")
    size.add_argument(
        "--prompt-tokens", type=int, default=1000, metavar="N", help="of a call (default: 1000)"
    )
    size.add_argument(
        "--tokens-per-second", type=float, default=50.0, metavar="N", help="that a model writes (default: 50)"
    )
    size.add_argument("--cores", type=int, default=4, metavar="N", help="of a gateway (default: 4)")
    size.add_argument(
        "--zones", type=int, default=1, metavar="N", help="one of which may be lost, if more than 1 (default)"
    )
    size.add_argument(
        "--format", choices=("text", "json"), default="text", help="how to print (default: text)"
    )
    size.set_defaults(run=_size)


def _size(parsed: argparse.Namespace) -> int:
    from dataclasses import asdict

    from gateway.sizing import Load, size, told

    load = Load(
        parsed.rps, parsed.stream_share, parsed.tokens, parsed.prompt_tokens, parsed.tokens_per_second
    )
    try:
        fleet = size(load, cores=parsed.cores, zones=parsed.zones)
    except ValueError as error:
        sys.stderr.write(f"gateway size: {error}\n")
        return USAGE
    if parsed.format == "json":
        shown = json.dumps({"load": asdict(load), "fleet": asdict(fleet)}, indent=2)
    else:
        shown = "\n".join(told(load, fleet))
    sys.stdout.write(shown + "\n")
    return OK


def _add_token(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    token = commands.add_parser("token", help="make, list, rotate and revoke what callers sign in with")
    actions = token.add_subparsers(title="commands", metavar="COMMAND", required=True, dest="action")
    create = actions.add_parser(
        "create",
        help="make a token and print it, once",
        description="Make a token and print it. Its hash is written into the manifest of its caller.",
        allow_abbrev=False,
    )
    whose = create.add_mutually_exclusive_group(required=True)
    whose.add_argument("--virtual-account", metavar="NAME", help="of this virtual account")
    whose.add_argument("--pat", metavar="NAME", help="of the user of this personal access token")
    create.add_argument(
        "--expires", metavar="WHEN", help="2027-01-31, 2027-01-31T18:00:00Z or 90d (default: never)"
    )
    listing = actions.add_parser("list", help="list tokens, without what would give them away")
    rotate = actions.add_parser(
        "rotate",
        help="make another token in the place of one, which works on for a while",
        description="Make another token in the place of one, which works on for the grace period.",
        allow_abbrev=False,
    )
    which = rotate.add_mutually_exclusive_group(required=True)
    which.add_argument("id", metavar="ID", nargs="?", help="of the token")
    which.add_argument("--due", action="store_true", help="all whose auto_rotate_interval is over")
    rotate.add_argument(
        "--grace-days",
        type=_grace_days,
        metavar="DAYS",
        help="how long the old one works on (default: grace_period of auto_rotate, else 7)",
    )
    revoke = actions.add_parser("revoke", help="take a token out, so that it signs nobody in")
    revoke.add_argument("id", metavar="ID", help="of the token")
    for action in (create, listing, rotate, revoke):
        action.epilog = _AS_SERVE
        action.add_argument("--config", type=_path, metavar="PATH", help=_FILES_HELP)
        action.add_argument("--secrets-dir", type=_path, metavar="DIR", help=_SECRETS_HELP)
        action.add_argument(
            "--state-dir", type=_path, metavar="DIR", help="as of serve: where the key is that signs tokens"
        )
        if action is not revoke:
            action.add_argument(
                "--format", choices=("text", "json"), default="text", help="how to print (default: text)"
            )
        action.set_defaults(run=_token)


def _token(parsed: argparse.Namespace) -> int:
    config = _files_of(parsed, "gateway token")
    if config is None:
        return USAGE
    from gateway.app.tokens import run_token_command

    try:
        state_dir = parsed.state_dir or state_dir_in(environment())
    except SettingsError as error:
        sys.stderr.write(f"gateway token: {error}\n")
        return USAGE
    return run_token_command(parsed, config, parsed.secrets_dir, state_dir)


def _serve(parsed: argparse.Namespace) -> int:
    given = {option.flag: getattr(parsed, option.flag.replace("-", "_")) for option in OPTIONS}
    flags = {flag: str(value) if isinstance(value, bool) else value for flag, value in given.items()}
    try:
        settings = read_settings(flags, environment())
    except SettingsError as error:
        sys.stderr.write(f"gateway serve: {error}\n")
        return USAGE
    if (warning := find_shown_secret(flags)) is not None:
        sys.stderr.write(f"gateway serve: warning: {warning}\n")
    # A stop that comes while it starts is a clean one too; once children run, their family listens.
    end_when_told()
    from gateway import supervisor
    from gateway.app import child

    return supervisor.serve(settings, child)


def _check_config(parsed: argparse.Namespace) -> int:
    parsed.config = parsed.path or parsed.config
    config = _files_of(parsed, "gateway check-config")
    if config is None:
        return USAGE
    from gateway.config import SecretSource, check, summary

    secrets = SecretSource(environment(), parsed.secrets_dir)
    checked = check.check(config, strict=parsed.strict, secrets=secrets)
    if parsed.format == "json":
        text = json.dumps([problem.to_dict() for problem in checked.problems], indent=2)
    else:
        text = summary.report(checked)
    sys.stdout.write(text + "\n")
    return OK if checked.config is not None else INVALID


def _otel_test(parsed: argparse.Namespace) -> int:
    from gateway.config.otel_environment import asks_for_export

    try:
        config = _named_files(parsed)
    except SettingsError as error:
        sys.stderr.write(f"gateway otel test: {error}\n")
        return USAGE
    # Manifests that name no destination would add nothing to what the variables say.
    if config is None and not asks_for_export(environment()):
        sys.stderr.write(f"gateway otel test: {_NO_CONFIG}, or set OTEL_EXPORTER_OTLP_ENDPOINT\n")
        return USAGE
    from gateway.app.otel_test import run_otel_test

    return run_otel_test(config, parsed.secrets_dir, as_json=parsed.format == "json")


def _files_of(parsed: argparse.Namespace, command: str) -> Path | None:
    """The manifests that a command works on; None where there are none, which it has said."""
    try:
        config = _named_files(parsed)
    except SettingsError as error:
        sys.stderr.write(f"{command}: {error}\n")
        return None
    if config is None:
        sys.stderr.write(f"{command}: {_NO_CONFIG}\n")
    return config


def _named_files(parsed: argparse.Namespace) -> Path | None:
    """The manifests that flag or variable name, None where neither does.

    Raises:
        SettingsError: What they name is no path, or no files.
    """
    _fill_in(parsed)
    config: Path | None = parsed.config
    if str(config) == CONFIG_IN_REDIS:
        msg = f"--config {config} {_NO_FILES}"
        raise SettingsError(msg)
    return config


def _fill_in(parsed: argparse.Namespace) -> None:
    """Take from the environment what `gateway serve` would, for flags of the command that are not given.

    Raises:
        SettingsError: A variable is not usable.
    """
    for setting in _OF_SERVE:
        if getattr(parsed, setting, parsed) is None:
            setattr(parsed, setting, read_variable(setting, environment()))


def _schema(_parsed: argparse.Namespace) -> int:
    from gateway.config import schema

    sys.stdout.write(json.dumps(schema.json_schema(), indent=2) + "\n")
    return OK


def _demo_provider(parsed: argparse.Namespace) -> int:
    from gateway import demo_provider

    return demo_provider.main(parsed.host, parsed.port)


def _grace_days(text: str) -> int:
    days = int(text) if text.isascii() and text.isdigit() and len(text) <= 5 else -1  # noqa: PLR2004
    if days < 0:
        msg = "expected a whole number of days"
        raise argparse.ArgumentTypeError(msg)
    return days


def _set_name(text: str) -> tuple[int, str]:
    """The number of a set, and its digest where that is said too, else ""."""
    number, dash, digest = text.partition("-")
    if not _SET_NUMBER.fullmatch(number) or bool(dash) != bool(digest):
        msg = "expected the number of a set, such as 7, or its whole name, such as 7-4bf92f3577b3"
        raise argparse.ArgumentTypeError(msg)
    return int(number), digest


def _expected_set(text: str) -> str:
    """The whole name of a set; an empty variable is no leave to push over any."""
    number, _, digest = text.partition("-")
    if text != _NO_SET and not (digest and _SET_NUMBER.fullmatch(number)):
        msg = f"expected the whole name of a set, such as 7-4bf92f3577b3, or {_NO_SET} where none is in force"
        raise argparse.ArgumentTypeError(msg)
    return text


def _days(text: str) -> int:
    days = int(text) if text.isascii() and text.isdigit() else 0
    if not 0 < days <= 3650:  # noqa: PLR2004
        msg = "expected a whole number from 1 to 3650"
        raise argparse.ArgumentTypeError(msg)
    return days


def _path(text: str) -> Path:
    try:
        return parse_path(text)
    except ValueError as error:
        msg = f"expected {error}"
        raise argparse.ArgumentTypeError(msg) from error


def _port(text: str) -> int:
    port = int(text) if text.isascii() and text.isdigit() else -1
    if not 0 <= port <= 65_535:  # noqa: PLR2004
        msg = "expected a whole number from 0 to 65535"
        raise argparse.ArgumentTypeError(msg)
    return port
