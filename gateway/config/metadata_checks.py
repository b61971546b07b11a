"""What is wrong with rules on metadata, seen beside each other and the callers that they name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gateway.config.document import Document
from gateway.config.manifests.metadata_config import MetadataConfig
from gateway.config.problem import Problem
from gateway.config.reading import Reading
from gateway.config.rule_checks import check_rule_ids
from gateway.config.subject_checks import KnownSubjects, check_subjects


def check_metadata_rules(readings: Sequence[Reading], known: KnownSubjects) -> Iterator[Problem]:
    """Findings about them."""
    for reading in readings:
        if isinstance(reading.written, MetadataConfig):
            yield from _check_rules(reading.document, reading.written, known)


def _check_rules(document: Document, config: MetadataConfig, known: KnownSubjects) -> Iterator[Problem]:
    yield from check_rule_ids(document, [rule.id for rule in config.rules])
    for index, rule in enumerate(config.rules):
        path = ("rules", index, "when", "subjects")
        yield from check_subjects(document, path, rule.when.subjects, known)
