"""Secrets of a manifest of any type that is changed by somebody who does not see them.

What is shown has masks; what comes back has them in the places of secrets that stay, and may have new
secrets, which are taken out of the manifest into files of their own.
"""

from __future__ import annotations

import copy
import json
import re
import secrets as randomness
from collections.abc import Mapping, Sequence
from typing import Any, Final

from gateway.config import masking
from gateway.config.changes import shown
from gateway.config.document import Document, FieldPath
from gateway.config.manifests.known import IN_FORCE
from gateway.config.masking import MASK, LiteralSecret, UnknownMask
from gateway.config.problem import dotted
from gateway.config.reading import read_document
from gateway.config.shape import secrets_in
from gateway.config.yaml_edit import is_same

FOLDER: Final = "secrets"
"""Beside the manifest's file."""

_OTEL: Final = "gateway-otel-config"
_MASK_AT: Final = re.compile(r"(?:\A|[ ?])\*\*\*\Z|://\*\*\*@")
_NOT_IN_FILE_NAMES: Final = re.compile(r"[^a-z0-9_]+")
_MAX_STEM: Final = 80
_SUFFIX_BYTES: Final = 6
_IDENTITIES: Final = ("name", "id", "target")


class UnclearMask(UnknownMask):
    """Of several secrets of a list some came back: which ones is not known."""


def masked_body(document: Document) -> dict[str, Any]:
    """The fields of *document* as they may be shown."""
    return masking.masked(document.body) if document.type == _OTEL else shown(document)


def unmasked_body(body: Mapping[str, Any], stored: Document | None) -> dict[str, Any]:
    """*body* with each mask replaced by what *stored* has in its place.

    Raises:
        UnknownMask: Nothing is stored there; the message names the field.
    """
    if body.get("type") == _OTEL:
        return masking.unmasked(body, stored.body if stored is not None else {})
    if stored is None:
        found: dict[str, Any] = _unmasked(body, None, None, ())
    else:
        found = _unmasked(body, masked_body(stored), stored.body, ())
    return found


def without_literals(
    document: Document, stored: Document | None
) -> tuple[dict[str, Any], list[LiteralSecret]]:
    """The fields of *document* with a `file:` reference for each secret that was typed, and these secrets.

    A secret that stood in the manifest before stays there: a change of something else does not touch it.
    """
    if document.type == _OTEL:
        return masking.without_literals(document.body, document.name)
    rewritten = copy.deepcopy(dict(document.body))
    model = IN_FORCE.get(document.type)
    reading = None if model is None else read_document(document, model, [])
    literals = []
    for path, reference in () if reading is None else secrets_in(reading.written):
        value = _at(document.body, path)
        if not reference.is_literal or (stored is not None and is_same(value, _at(stored.body, path))):
            continue
        file = f"{FOLDER}/{_file_name(document, path)}"
        literals.append(LiteralSecret(file, value if isinstance(value, str) else json.dumps(value)))
        _put(rewritten, path, f"file:{file}")
    return rewritten, literals


def _unmasked(new: Any, seen: Any, stored: Any, path: FieldPath) -> Any:
    """*new* with what *stored* has where *seen*, its shown form, has a mask."""
    if isinstance(new, str):
        if not _MASK_AT.search(new):
            return new
        if new == seen:
            return copy.deepcopy(stored)
        raise UnknownMask(dotted(path))
    if isinstance(new, Mapping):
        is_known = isinstance(seen, Mapping) and isinstance(stored, Mapping)
        old, real = (seen, stored) if is_known else ({}, {})
        return {key: _unmasked(item, old.get(key), real.get(key), (*path, key)) for key, item in new.items()}
    if isinstance(new, list):
        if isinstance(seen, list) and isinstance(stored, list):
            return _unmasked_list(new, seen, stored, path)
        return _unmasked_list(new, [], [], path)
    return new


def _unmasked_list(
    new: Sequence[Any], seen: Sequence[Any], stored: Sequence[Any], path: FieldPath
) -> list[Any]:
    masks = [real for old, real in zip(seen, stored, strict=True) if old == MASK]
    count = sum(item == MASK for item in new)
    if count and masks and count != len(masks):
        raise UnclearMask(dotted(path))
    following = iter(masks)
    found = []
    for at, item in enumerate(new):
        if item == MASK:
            found.append(_unmasked(item, MASK if masks else None, next(following, None), (*path, at)))
            continue
        place = _place_of(item, seen, at)
        old, real = (None, None) if place is None else (seen[place], stored[place])
        found.append(_unmasked(item, old, real, (*path, at)))
    return found


def _place_of(item: Any, seen: Sequence[Any], at: int) -> int | None:
    """Which of *seen* the *item* was: the one of its name, one that is just so, or the one in its place."""
    if isinstance(item, Mapping):
        for key in _IDENTITIES:
            if key in item:
                same = [place for place, old in enumerate(seen) if _named(old, key) == item[key]]
                return same[0] if len(same) == 1 else None
    same = [place for place, old in enumerate(seen) if is_same(old, item)]
    if same:
        return same[0]
    return at if at < len(seen) else None


def _named(old: Any, key: str) -> Any:
    return old.get(key) if isinstance(old, Mapping) else None


def _at(body: Any, path: FieldPath) -> Any:
    for step in path:
        try:
            body = body[step]
        except (KeyError, IndexError, TypeError):
            return None
    return body


def _put(body: Any, path: FieldPath, value: str) -> None:
    *parents, last = path
    for step in parents:
        body = body[step]
    body[last] = value


def _file_name(document: Document, path: FieldPath) -> str:
    """A new file for one secret.

    New each time: no two share one, or a key would go to another's endpoint; and what refers to the old one,
    as an earlier version of the manifest does, finds it still.
    """
    words = (document.type.rpartition("/")[2], document.name, dotted(path))
    stem = "-".join(_NOT_IN_FILE_NAMES.sub("-", word.lower()).strip("-") for word in words)
    return f"{stem[:_MAX_STEM]}-{randomness.token_hex(_SUFFIX_BYTES)}"
