"""`gateway token`: tokens made, listed, rotated and revoked in the manifests of a configuration.

It needs no running gateway; one that runs on the same configuration puts the change in force as it does every
other. A new token is the only thing on standard output, so that a script can take it; the rest is told on
standard error.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from gateway.config import SecretSource, check
from gateway.config.manifest_files import (
    ChangedMeanwhile,
    Invalid,
    ManifestFiles,
    NoSuchManifest,
    NotWritable,
)
from gateway.identity.issued_tokens import (
    IssuedTokens,
    Kind,
    ListedToken,
    Made,
    NoSuchToken,
    Refused,
    format_time,
)
from gateway.settings import environment

OK: Final = 0
FAILED: Final = 1

_COLUMNS: Final = ("ID", "CALLER", "CREATED", "EXPIRES", "STATE")


def run_token_command(
    parsed: argparse.Namespace, config: Path, secrets_dir: Path | None, state_dir: Path
) -> int:
    """Do what the arguments after `gateway token` say.

    Returns:
        The exit code: 0 when it is done, else 1.
    """
    secrets = SecretSource(environment(), secrets_dir)
    files = ManifestFiles(config, strict=False, secrets=secrets)
    actions: dict[str, Callable[[IssuedTokens, argparse.Namespace], None]] = {
        "create": _create,
        "list": _list,
        "rotate": _rotate,
        "revoke": _revoke,
    }
    try:
        actions[parsed.action](IssuedTokens(files, state_dir), parsed)
    except Invalid as error:
        lines = "".join(f"{problem}\n" for problem in error.problems)
        sys.stderr.write(f"gateway token: the configuration has errors, nothing was written\n{lines}")
        return FAILED
    except (NoSuchToken, NoSuchManifest) as error:
        sys.stderr.write(f"gateway token: {error}\n")
        _tell_errors(config, secrets)
        return FAILED
    except (Refused, ChangedMeanwhile, NotWritable) as error:
        sys.stderr.write(f"gateway token: {error}\n")
        return FAILED
    is_looked_over = parsed.action == "list" or (parsed.action == "rotate" and parsed.due)
    return FAILED if is_looked_over and _tell_errors(config, secrets) else OK


def _tell_errors(config: Path, secrets: SecretSource) -> bool:
    """Say why what was looked for may stand in a manifest that cannot be read; whether there is one."""
    checked = check.check(config, strict=False, secrets=secrets)
    if checked.config is not None:
        return False
    lines = "".join(f"{problem}\n" for problem in checked.problems)
    sys.stderr.write(f"gateway token: the configuration has errors, so some may not be seen\n{lines}")
    return True


def _create(tokens: IssuedTokens, parsed: argparse.Namespace) -> None:
    kind: Kind = "pat" if parsed.pat is not None else "virtual-account"
    _tell([tokens.create(kind, parsed.pat or parsed.virtual_account, parsed.expires)], parsed)


def _rotate(tokens: IssuedTokens, parsed: argparse.Namespace) -> None:
    if not parsed.due:
        _tell([tokens.rotate(parsed.id, grace_days=parsed.grace_days)], parsed)
        return
    made = list[Made]()
    try:
        made.extend(tokens.rotate_due(grace_days=parsed.grace_days))
    finally:
        # Those that were made before one failed are in force, and nobody else can say them.
        _tell(made, parsed, with_ids=True)


def _revoke(tokens: IssuedTokens, parsed: argparse.Namespace) -> None:
    revoked, _ = tokens.revoke(parsed.id)
    sys.stderr.write(f"{revoked.id} of {revoked.subject} is revoked\n")


def _list(tokens: IssuedTokens, parsed: argparse.Namespace) -> None:
    found = tokens.all()
    if parsed.format == "json":
        sys.stdout.write(json.dumps({"tokens": [one.to_dict() for one in found]}, indent=2) + "\n")
    else:
        sys.stdout.write(_table(found))


def _tell(made: Sequence[Made], parsed: argparse.Namespace, *, with_ids: bool = False) -> None:
    if parsed.format == "json":
        sys.stdout.write(json.dumps([one.to_dict() for one in made], indent=2) + "\n")
        return
    for one in made:
        listed = one.listed
        sys.stdout.write(f"{listed.subject} {listed.id} {one.token}\n" if with_ids else f"{one.token}\n")
        until = (
            f"works until {format_time(listed.ends_at)}" if listed.ends_at else "works until it is revoked"
        )
        instead = f" in the place of {one.replaces}" if one.replaces else ""
        sys.stderr.write(f"{listed.id} of {listed.subject}{instead} {until}; it is not shown again\n")


def _table(tokens: Sequence[ListedToken]) -> str:
    rows = [_COLUMNS, *[_row(one) for one in tokens]]
    widths = [max(len(row[at]) for row in rows) for at in range(len(_COLUMNS))]
    lines = ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) for row in rows]
    return "".join(f"{line.rstrip()}\n" for line in lines)


def _row(token: ListedToken) -> tuple[str, ...]:
    state = token.state if token.replaced_by is None else f"{token.state}, by {token.replaced_by}"
    return (
        token.id or token.reference or "-",
        token.subject,
        format_time(token.created_at) or "-",
        format_time(token.ends_at) or "never",
        state,
    )
