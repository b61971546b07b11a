"""`gateway config`: the configuration that replicas get from Redis, put there, listed, shown, rolled back.

What is put there was checked first, as `check-config` does and for what may not be sent to other hosts. The
name of the new set alone is on standard output, so that a script can take it. A server that stands still,
starts or is just replaced is waited for: a deployment should not fail by a second.
"""

from __future__ import annotations

import argparse
import getpass
import json
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from gateway import __version__
from gateway.config import Checked, Problem, SecretSource, Severity, check, fingerprint, summary
from gateway.config.manifest_set import (
    CURRENT,
    ManifestSet,
    SetName,
    SetUnusable,
    pack,
    put_in_force,
    read_set,
    unpack,
)
from gateway.config.transport_checks import check_transport
from gateway.settings import environment
from gateway.store.config_store import (
    PATIENCE_S,
    PATIENT_TIMEOUT_S,
    ConfigAwayError,
    ConfigStore,
    Note,
    NotTheLastError,
    Patience,
)

OK: Final = 0
FAILED: Final = 1
# As a shell tells the end by SIGINT.
INTERRUPTED: Final = 130

_COLUMNS: Final = ("SET", "VERSION", "AT", "MANIFESTS", "GATEWAY", "BY", "WHAT")


class _Failed(Exception):
    """It was not done; the message says why."""


def run_config_command(
    parsed: argparse.Namespace,
    redis_url: str,
    secrets_dir: Path | None,
    *,
    timeout_s: float = PATIENT_TIMEOUT_S,
    patience_s: float = PATIENCE_S,
) -> int:
    """Do what the arguments after `gateway config` say.

    Args:
        parsed: These.
        redis_url: See `ConfigStore`.
        secrets_dir: See `SecretSource`.
        timeout_s: How long one exchange with the server may take.
        patience_s: How long a server that cannot be used is tried.

    Returns:
        The exit code: 0 when it is done, 130 when it was interrupted while it waited, else 1.
    """
    secrets = SecretSource(environment(), secrets_dir)

    def tell(error: ConfigAwayError) -> None:
        sys.stderr.write(f"gateway config: {store.place}: {error}; trying for {patience_s:g} s\n")

    store = ConfigStore(redis_url, timeout_s=timeout_s, patience=Patience(patience_s, tell))
    actions: dict[str, Callable[[ConfigStore, argparse.Namespace, SecretSource], None]] = {
        "push": _push,
        "list": _list,
        "show": _show,
        "rollback": _rollback,
    }
    try:
        actions[parsed.action](store, parsed, secrets)
    except ConfigAwayError as error:
        fix = "see that it runs and answers, or mend --redis-url"
        sys.stderr.write(f"gateway config: {store.place} cannot be used: {error}; {fix}\n")
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    except (_Failed, SetUnusable, OSError) as error:
        sys.stderr.write(f"gateway config: {error}\n")
        return FAILED
    finally:
        store.close()
    return OK


def _push(store: ConfigStore, parsed: argparse.Namespace, secrets: SecretSource) -> None:
    seen = fingerprint.of_manifests(parsed.path)
    checked = _checked(parsed.path, parsed, secrets)
    manifests = read_set(parsed.path)
    # What is sent is read once more, and is to be what was checked.
    if fingerprint.of_manifests(parsed.path) != seen:
        raise _Failed(f"{parsed.path} was changed while it was checked; push again")
    _put(store, manifests, checked, parsed.expect, parsed.message or "")


def _list(store: ConfigStore, parsed: argparse.Namespace, _secrets: SecretSource) -> None:
    notes = store.notes()
    if parsed.format == "json":
        listed = [
            {**_told(note, note.number), "name": note.name, "is_in_force": note is notes[0]} for note in notes
        ]
        sys.stdout.write(json.dumps(listed, indent=2) + "\n")
        return
    rows = [_COLUMNS, *(tuple(str(value) for value in _told(note, note.name).values()) for note in notes)]
    widths = [max(len(row[at]) for row in rows) for at in range(len(_COLUMNS))]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        sys.stdout.write("  ".join(cells).rstrip() + "\n")


def _told(note: Note, shown: int | str) -> dict[str, Any]:
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(note.at_s))
    return {
        "set": shown,
        "version": note.version,
        "at": at,
        "manifests": note.manifests,
        "gateway": note.gateway,
        "by": note.by,
        "what": note.what,
    }


def _show(store: ConfigStore, parsed: argparse.Namespace, _secrets: SecretSource) -> None:
    manifests, _ = _kept(store, parsed.set)
    if parsed.into is not None:
        _write(manifests, parsed.into)
        return
    for file, text in sorted(manifests.files.items()):
        sys.stdout.write(f"# {file}\n{text.rstrip()}\n---\n")


def _rollback(store: ConfigStore, parsed: argparse.Namespace, secrets: SecretSource) -> None:
    head = store.head()
    manifests, number = _kept(store, parsed.set)
    if head.partition("-")[2] == manifests.digest:
        raise _Failed(f"what set {number} says is in force already")
    with tempfile.TemporaryDirectory() as folder:
        # The gateway and what it is given may be others now than when it was put there.
        put_in_force(Path(folder), manifests, SetName(number, manifests.digest))
        current = Path(folder) / CURRENT
        checked = _checked(current, parsed, secrets, shown_from=current)
    _put(store, manifests, checked, head, f"rollback to {number}")


def _checked(
    path: Path, parsed: argparse.Namespace, secrets: SecretSource, *, shown_from: Path | None = None
) -> Checked:
    """What a check of *path* has found, when that has no errors.

    Args:
        shown_from: Where names of files are told from; None: as they are.

    Raises:
        _Failed: It has; they have been told.
    """
    checked = check.check(path, strict=parsed.strict, secrets=secrets)
    if checked.config is not None:
        checked = _with_transport(checked, checked.config.documents)
    if shown_from is not None:
        problems = [_seen_from(shown_from, problem) for problem in checked.problems]
        checked = replace(checked, problems=tuple(problems))
    if checked.config is None:
        if parsed.format == "json":
            sys.stdout.write(json.dumps([problem.to_dict() for problem in checked.problems], indent=2) + "\n")
        else:
            sys.stderr.write(summary.report(checked) + "\n")
        raise _Failed("nothing was put into Redis")
    if checked.problems:
        sys.stderr.write("\n".join(["warnings:", *(str(problem) for problem in checked.problems)]) + "\n")
    return checked


def _seen_from(folder: Path, problem: Problem) -> Problem:
    """*problem* without the folder that the set was unpacked in for a while."""
    if problem.file == folder:
        return replace(problem, file=Path("(the set)"))
    inside = problem.file.is_relative_to(folder)
    return replace(problem, file=problem.file.relative_to(folder)) if inside else problem


def _with_transport(checked: Checked, documents: Any) -> Checked:
    found = list(check_transport(documents))
    if not found:
        return checked
    places = {(problem.file, problem.path) for problem in found}
    others = [problem for problem in checked.problems if not _is_same(problem, places)]
    return replace(checked, config=None, problems=(*found, *others))


def _is_same(problem: Problem, places: set[tuple[Path, str]]) -> bool:
    """A warning about what is an error here."""
    return problem.severity is Severity.WARNING and (problem.file, problem.path) in places


def _put(
    store: ConfigStore, manifests: ManifestSet, checked: Checked, expected: str | None, what: str
) -> None:
    config = checked.config
    assert config is not None, "it was checked"  # noqa: S101 - says it to the type checker
    count = len(config.documents)
    note = Note(0, manifests.digest, config.version, 0, _who(), __version__, count, what)
    try:
        name = store.put(pack(manifests), note, expected)
    except NotTheLastError as error:
        raise _Failed(f"{error}: {error.last}. Look at it, and push again") from error
    except ConfigAwayError as error:
        if not error.may_pass:
            raise
        # A server that stands still has what it was asked, and may do it when it goes on.
        fix = "it may be in force all the same, or be soon: see gateway config list, then push again"
        raise _Failed(f"{store.place} has not said that it has it: {error}; {fix}") from error
    sys.stderr.write(f"{count} manifests, version {config.version}, are in force in {store.place}\n")
    sys.stdout.write(f"{name}\n")


def _kept(store: ConfigStore, asked: tuple[int, str] | None) -> tuple[ManifestSet, int]:
    """The set of a number, and of a digest unless that is ""; None: the one in force.

    Raises:
        _Failed: It is not kept.
    """
    if asked is None:
        head = store.head()
        if not head:
            raise _Failed(f"there is no configuration in {store.place}")
        asked = int(head.partition("-")[0]), ""
    number, digest = asked
    packed = store.find(number)
    if packed is None:
        raise _Failed(f"set {number} is not kept in {store.place}; gateway config list shows which are")
    manifests = unpack(packed)
    # A server that has lost its memory counts from 1 again: the number alone would lead to another set.
    if digest and digest != manifests.digest:
        raise _Failed(f"set {number} in {store.place} is {number}-{manifests.digest}, another one")
    return manifests, number


def _write(manifests: ManifestSet, folder: Path) -> None:
    if folder.exists() and any(folder.iterdir()):
        raise _Failed(f"{folder} is not empty")
    for file, text in manifests.files.items():
        target = folder / file
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, "utf-8")


def _who() -> str:
    try:
        return f"{getpass.getuser()}@{platform.node()}"
    except (KeyError, OSError):
        # A user that the system has no name for, as in a container.
        return platform.node()
