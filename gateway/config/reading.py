"""One document read as its manifest."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

import msgspec
from pydantic import ValidationError

from gateway.config.document import Document, FieldPath
from gateway.config.manifests.part import Manifest, Source
from gateway.config.not_in_force import Unbuilt, unbuilt_fields, without
from gateway.config.plain_words import explain, nearest
from gateway.config.problem import Problem
from gateway.config.secrets import SecretReference
from gateway.config.shape import fields_of, secrets_in, unknown_fields


class Reading(msgspec.Struct, frozen=True):
    """A document whose fields are right.

    Attributes:
        written: All that it says.
        in_force: The part of it that has an effect.
        unbuilt: The rest.
        secrets: The references that are in force, with their path in the document.
    """

    document: Document
    written: Manifest
    in_force: Manifest
    unbuilt: tuple[Unbuilt, ...]
    secrets: tuple[tuple[FieldPath, SecretReference], ...]


def read_document(document: Document, model: type[Manifest], problems: list[Problem]) -> Reading | None:
    """Read *document* as *model*; None when it has errors, which are then in *problems*."""
    try:
        written = model.model_validate(document.body)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
        wrong_items = {detail["loc"][:-1] for detail in details}
        # Of a list whose items are all wrong pydantic says too that it has none.
        told = [one for one in details if one["type"] != "too_short" or one["loc"] not in wrong_items]
        problems += dict.fromkeys(explain(detail, model, document) for detail in told)
        return None
    unbuilt = tuple(unbuilt_fields(document, written))
    source = Source(document.file, document.line)
    written.written_in(source)
    in_force = written
    left_out = [path for one in unbuilt for path in one.left_out]
    if left_out:
        in_force = model.model_validate(without(document.body, left_out))
        in_force.written_in(source)
    secrets = _without(secrets_in(written), left_out) if left_out else secrets_in(written)
    return Reading(document, written, in_force, unbuilt, tuple(secrets))


def _without(
    secrets: Iterable[tuple[FieldPath, SecretReference]], left_out: Collection[FieldPath]
) -> Iterator[tuple[FieldPath, SecretReference]]:
    for path, reference in secrets:
        if not any(path[:length] in left_out for length in range(len(path))):
            yield path, reference


def unknown_field_warnings(document: Document, model: type[Manifest]) -> Iterator[Problem]:
    """Where *document* has fields that *model* has not."""
    for path, part in unknown_fields(model, document.body):
        known = fields_of(part)
        # A nameless type of theirs may carry a name, and their tools add `$schema` for editors.
        if path == ("$schema",):
            continue
        fix = nearest(path[-1], known) or f"Remove it; known are: {', '.join(known)}"
        yield document.warning(path, "unknown field, it has no effect", fix)
