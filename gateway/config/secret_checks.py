"""Secrets of a configuration: written in the open, without a value, or one token for two callers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from gateway.config.document import Document, FieldPath
from gateway.config.manifests.access_token import PersonalAccessToken
from gateway.config.manifests.alerts import RESOURCE_NAMES
from gateway.config.manifests.budgets import BudgetConfig, TeamBudgetConfig, TenantBudgetConfig
from gateway.config.manifests.load_balancing import LoadBalancingConfig
from gateway.config.manifests.otel_config import OtelConfig
from gateway.config.manifests.virtual_account import VirtualAccount
from gateway.config.manifests.virtual_model import VirtualModelAccount
from gateway.config.problem import Problem, Severity
from gateway.config.reading import Reading
from gateway.config.secrets import SecretKind, SecretMissing, SecretReference, SecretSource

LITERAL: Final = "the secret itself stands in the manifest"
"""What is said of one, whichever it is."""

_CALLERS: Final = {"virtual-account": "account", "pat": "personal access token"}

# Which headers are worth a warning when their value stands in the open; others (`x-team: ml`) are no secret.
_SECRET_HEADER: Final = re.compile(
    r"authorization|cookie|token|secret|password|credential|key", re.IGNORECASE
)


def check_secrets(readings: Sequence[Reading], secrets: SecretSource, missing: Severity) -> Iterator[Problem]:
    """Findings about secrets; *missing* is how grave one without a value is."""
    owners: dict[bytes, tuple[Document, FieldPath]] = {}
    for reading in readings:
        document = reading.document
        for path, reference in reading.secrets:
            if reference.kind is SecretKind.LITERAL and is_secret(path, reference):
                fix = "Write env:NAME, file:PATH or tfy-secret://OWNER:GROUP:KEY; $NAME is not expanded"
                yield document.warning(path, LITERAL, fix)
            try:
                if path[0] == "tokens":
                    digest = secrets.token_sha256(reference, document.folder)
                    owner, other_path = owners.setdefault(digest, (document, path))
                    if owner is not document:
                        yield _same_token(document, path, owner, other_path)
                    elif other_path != path and (_has_a_life(path) or _has_a_life(other_path)):
                        line = document.line_of(other_path)
                        message = f"the same token is on line {line}: revoking or ending one leaves the other"
                        yield document.warning(path, message, "Remove one of the two")
                else:
                    secrets.resolve(reference, document.folder)
            except SecretMissing as error:
                yield document.lack(missing, path, error.what, error.fix, meanwhile=_consequence(reading))


def find_files(readings: Sequence[Reading], secrets: SecretSource) -> tuple[Path, ...]:
    """Every file that a secret is read from, or would be if it existed."""
    files: set[Path] = set()
    for reading in readings:
        for _, reference in reading.secrets:
            if reference.kind is SecretKind.SHA256:
                continue
            file = secrets.file_of(reference, reading.document.folder)
            if file is not None:
                files.add(file)
    return tuple(sorted(files))


def _has_a_life(path: FieldPath) -> bool:
    """Whether a token has its own end and an id to be revoked by: it was issued here."""
    return path[-1] == "hash"


def _same_token(document: Document, path: FieldPath, owner: Document, other_path: FieldPath) -> Problem:
    place = f"{owner.file}:{owner.line_of(other_path)}"
    message = f"the same token is in {place}, of the {_CALLERS[owner.type]} '{owner.name}'"
    return document.error(path, message, "Give each caller a token of its own")


def is_secret(path: FieldPath, reference: SecretReference) -> bool:
    """Whether a literal of this place is worth keeping; other headers and names of channels are not."""
    if path[-1] == "notification_channel" and reference.target in RESOURCE_NAMES:
        return False
    return path[-2] not in ("headers", "set") or bool(_SECRET_HEADER.search(str(path[-1])))


def _consequence(reading: Reading) -> str:
    if isinstance(reading.in_force, VirtualAccount | PersonalAccessToken):
        return "this token does not work"
    if isinstance(reading.in_force, OtelConfig):
        return "the destination is disabled"
    if isinstance(reading.in_force, VirtualModelAccount | LoadBalancingConfig):
        return "this target is unavailable"
    if isinstance(reading.in_force, BudgetConfig | TenantBudgetConfig | TeamBudgetConfig):
        return "nobody is told there of what is spent"
    return "the account is unavailable"
