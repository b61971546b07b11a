"""What differs between two configurations, manifest by manifest, as it may be shown.

Pure. References to secrets are shown, secrets are masked: those of the fields that are known to hold one, and
whatever is called like one, as manifests of types that are not built yet are not read here. So where a secret
has changed both sides look alike, and `paths` names it.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from gateway.config.document import Document, FieldPath
from gateway.config.manifests.access_token import PersonalAccessToken
from gateway.config.manifests.issued_token import IssuedToken
from gateway.config.manifests.known import IN_FORCE
from gateway.config.manifests.virtual_account import VirtualAccount
from gateway.config.masking import shown_value
from gateway.config.problem import dotted
from gateway.config.reading import read_document
from gateway.config.secrets import SecretReference
from gateway.config.shape import secrets_in
from gateway.redaction import may_hold_secret, without_url_secrets

MAX_PATHS: Final = 100
"""Of one manifest: how many changed fields are named."""

# Of manifests that are read here: they are called like secrets, and the secrets among them are known.
_NO_SECRETS: Final = frozenset(
    {"auth_data", "key", "token_type", "authorized_subjects", "session_identifiers"}
)
_SHOWN_OF_ISSUED: Final = {"id", "created_at", "expires_at", "replaced_by"}
_SECRET_PART: Final = re.compile(r"webhook|headers$", re.IGNORECASE)
_KIND: Final = "type"


@dataclass(frozen=True, slots=True)
class Change:
    """What became of one manifest.

    Attributes:
        before: None where it was not there.
        after: None where it is no more.
    """

    before: Document | None
    after: Document | None

    @property
    def action(self) -> Literal["created", "changed", "removed"]:
        """What happened to it."""
        if self.before is None:
            return "created"
        return "removed" if self.after is None else "changed"

    @property
    def document(self) -> Document:
        """As it is, or was."""
        found = self.after or self.before
        assert found is not None, "one of them is there"  # noqa: S101 - says it to the type checker
        return found

    @property
    def paths(self) -> list[str]:
        """The fields that differ, with dots, sorted: the first `MAX_PATHS`."""
        if self.before is None or self.after is None:
            return []
        found = {dotted(path) for path in differences(self.before.body, self.after.body)}
        return sorted(found)[:MAX_PATHS]


def changes_between(before: Sequence[Document], after: Sequence[Document]) -> Iterator[Change]:
    """What differs, by type and name."""
    old, new = _by_name(before), _by_name(after)
    for key in sorted(old.keys() | new.keys()):
        was, now = old.get(key), new.get(key)
        if was is None or now is None or any(True for _ in differences(was.body, now.body)):
            yield Change(was, now)


def differences(before: Any, after: Any, path: FieldPath = ()) -> Iterator[FieldPath]:
    """Where they differ; a list of another length differs as a whole."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in before.keys() | after.keys():
            if key not in before or key not in after:
                yield (*path, key)
            else:
                yield from differences(before[key], after[key], (*path, key))
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for at, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from differences(one, other, (*path, at))
    elif type(before) is not type(after) or before != after:
        yield path


def shown(document: Document) -> dict[str, Any]:
    """The fields of a manifest, secrets masked."""
    body = copy.deepcopy(dict(document.body))
    model = IN_FORCE.get(document.type)
    reading = None if model is None else read_document(document, model, [])
    for path, reference in () if reading is None else secrets_in(reading.written):
        _put(body, path, reference.prefix + reference.shown)
    plain = frozenset() if reading is None else _NO_SECRETS
    masked: dict[str, Any] = _masked(body, plain, is_secret=False)
    if reading is not None and isinstance(reading.written, VirtualAccount | PersonalAccessToken):
        _show_issued(masked, reading.written.tokens)
    return masked


def _by_name(documents: Sequence[Document]) -> dict[tuple[str, str], Document]:
    return {(document.type, document.name): document for document in documents}


def _show_issued(body: dict[str, Any], tokens: Sequence[SecretReference | IssuedToken]) -> None:
    """Put back what is no secret of a token that was issued here: which it is, and its dates."""
    for at, token in enumerate(tokens):
        if isinstance(token, IssuedToken):
            for name, value in token.model_dump(include=_SHOWN_OF_ISSUED).items():
                if value is not None:
                    body["tokens"][at][name] = value


def _put(body: Any, path: FieldPath, value: str) -> None:
    *parents, last = path
    for step in parents:
        body = body[step]
    body[last] = value


def _masked(value: Any, plain: frozenset[str], *, is_secret: bool) -> Any:
    if isinstance(value, Mapping):
        return {
            key: _masked(
                item, plain, is_secret=key != _KIND and (is_secret or _is_secret_name(str(key), plain))
            )
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_masked(item, plain, is_secret=is_secret) for item in value]
    if not isinstance(value, str):
        return value
    return shown_value(value) if is_secret else without_url_secrets(value)


def _is_secret_name(key: str, plain: frozenset[str]) -> bool:
    return key not in plain and (may_hold_secret(key) or _SECRET_PART.search(key) is not None)
