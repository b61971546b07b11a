"""What manifests may not say that are sent to several hosts: secrets themselves, and files beside them.

Who can read a store that limits are counted in must not find a provider's key there; and a relative `file:`
would be another file on each host, or none. Names of variables, absolute paths and `tfy-secret://` mean the
same everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any, Final

from gateway.config.changes import shown
from gateway.config.document import Document, FieldPath
from gateway.config.manifests.known import IN_FORCE, NOT_IN_FORCE
from gateway.config.manifests.part import Manifest
from gateway.config.problem import Problem
from gateway.config.reading import read_document
from gateway.config.secret_checks import is_secret
from gateway.config.secrets import SecretKind
from gateway.config.shape import secrets_in

_LITERAL: Final = "the secret itself stands in the manifest, and would stand in Redis"
_LITERAL_FIX: Final = (
    "Write env:NAME, file:/ABSOLUTE/PATH or tfy-secret://OWNER:GROUP:KEY, and give it to each host"
)
_HASH_FIX: Final = "Write sha256:HEX, the SHA-256 of the token, or env:NAME"
_RELATIVE_FIX: Final = "Write its absolute path on the hosts, env:NAME or tfy-secret://OWNER:GROUP:KEY"
_TLS: Final = "tls"


def check_transport(documents: Sequence[Document]) -> Iterator[Problem]:
    """Why *documents* may not be sent, as errors. What cannot be read is left to the other checks."""
    for document in documents:
        model = IN_FORCE.get(document.type)
        if model is not None:
            yield from _check_known(document, model)
        elif document.type in NOT_IN_FORCE:
            # What its fields are is not known here, but which would not be shown is.
            for path in _masked_in(document.body, shown(document), ()):
                yield document.error(path, _LITERAL, _LITERAL_FIX)


def _check_known(document: Document, model: type[Manifest]) -> Iterator[Problem]:
    reading = read_document(document, model, [])
    for path, reference in () if reading is None else secrets_in(reading.written):
        if reference.is_literal and is_secret(path, reference):
            yield document.error(path, _LITERAL, _HASH_FIX if path[0] == "tokens" else _LITERAL_FIX)
        elif reference.kind is SecretKind.FILE and not PurePath(reference.target).is_absolute():
            message = f"{reference.shown} is relative to a manifest that is not there on other hosts"
            yield document.error(path, message, _RELATIVE_FIX)
    for path, file in _files_in(document.body, ()):
        if not PurePath(file).is_absolute():
            message = f"{file} is relative to a manifest that is not there on other hosts"
            yield document.error(path, message, "Write its absolute path on the hosts")


def _masked_in(value: Any, masked: Any, path: FieldPath) -> Iterator[FieldPath]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _masked_in(item, masked[key], (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _masked_in(item, masked[index], (*path, index))
    elif value != masked:
        yield path


def _files_in(body: Mapping[str, Any], path: FieldPath) -> Iterator[tuple[FieldPath, str]]:
    for key, value in body.items():
        if not isinstance(value, Mapping):
            continue
        if key == _TLS:
            yield from (((*path, key, name), file) for name, file in value.items() if isinstance(file, str))
        else:
            yield from _files_in(value, (*path, key))
