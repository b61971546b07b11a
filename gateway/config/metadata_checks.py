"""What is wrong with rules on metadata, seen beside each other and the callers that they name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from gateway.config.document import Document
from gateway.config.limit_checks import check_subjects
from gateway.config.manifests.metadata_config import MetadataConfig
from gateway.config.problem import Problem
from gateway.config.reading import Reading

_CALLERS: Final = "virtual-account"


def check_metadata_rules(documents: Sequence[Document], readings: Sequence[Reading]) -> Iterator[Problem]:
    """Findings about them."""
    callers = frozenset(document.name for document in documents if document.type == _CALLERS)
    for reading in readings:
        if isinstance(reading.written, MetadataConfig):
            yield from _check_rules(reading.document, reading.written, callers)


def _check_rules(document: Document, config: MetadataConfig, callers: frozenset[str]) -> Iterator[Problem]:
    if not config.rules:
        yield document.warning(("rules",), "there are no rules", "Add one, or remove the manifest")
    first: dict[str, int] = {}
    for index, rule in enumerate(config.rules):
        if rule.id in first:
            line = document.line_of(("rules", first[rule.id], "id"))
            message = f"the rule '{rule.id}' is already on line {line}"
            yield document.error(("rules", index, "id"), message, "Give one of them another id")
        first.setdefault(rule.id, index)
        path = ("rules", index, "when", "subjects")
        yield from check_subjects(document, path, rule.when.subjects, callers)
