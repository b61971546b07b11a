"""What is wrong with rules on metadata, seen beside each other and the callers that they name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gateway.config.document import Document
from gateway.config.limit_checks import check_not_empty
from gateway.config.manifests.metadata_config import MetadataConfig
from gateway.config.problem import Problem
from gateway.config.reading import Reading
from gateway.config.subject_checks import KnownSubjects, check_subject


def check_metadata_rules(readings: Sequence[Reading], known: KnownSubjects) -> Iterator[Problem]:
    """Findings about them."""
    for reading in readings:
        if isinstance(reading.written, MetadataConfig):
            yield from _check_rules(reading.document, reading.written, known)


def _check_rules(document: Document, config: MetadataConfig, known: KnownSubjects) -> Iterator[Problem]:
    if not config.rules:
        yield document.warning(("rules",), "there are no rules", "Add one, or remove the manifest")
    first: dict[str, int] = {}
    for index, rule in enumerate(config.rules):
        if rule.id in first:
            line = document.line_of(("rules", first[rule.id], "id"))
            message = f"the rule '{rule.id}' is already on line {line}"
            yield document.error(("rules", index, "id"), message, "Give one of them another id")
        first.setdefault(rule.id, index)
        yield from check_not_empty(document, ("rules", index, "when", "subjects"), rule.when.subjects)
        for number, subject in enumerate(rule.when.subjects or ()):
            path = ("rules", index, "when", "subjects", number)
            yield from check_subject(document, path, subject, known)
