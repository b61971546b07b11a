"""The certificates of destinations: what cannot be used of them, said before anything is sent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from gateway.config.config import Config
from gateway.config.document import Document
from gateway.config.manifests.otel_config import ClientTls, Exporter, OtelConfig
from gateway.config.otel_environment import NAME
from gateway.config.problem import Problem, Severity
from gateway.config.reading import Reading
from gateway.tls_files import TlsFileError, TlsFiles, make_context

_FIX = "Name PEM files, relative to the manifest, the key unencrypted; until then nothing is sent there"


def tls_files(tls: ClientTls, folder: Path) -> TlsFiles:
    """The certificates of an exporter whose manifest is in *folder*."""
    return TlsFiles(*(folder / path if path else None for path in (tls.ca_file, tls.cert_file, tls.key_file)))


def check_tls(readings: Sequence[Reading], missing: Severity) -> Iterator[Problem]:
    """Findings about files; *missing* is how grave one that cannot be used is."""
    for reading in readings:
        if isinstance(reading.in_force, OtelConfig):
            yield from _check_manifest(reading.document, reading.in_force, missing)


def check_tls_variables(config: Config) -> Iterator[Problem]:
    """The same about the destination that `OTEL_*` variables describe."""
    for manifest in config.otel_configs:
        if manifest.source.file == Path(NAME):
            document = Document(manifest.type, manifest.name, {}, manifest.source.file, manifest.source.line)
            found = _check_manifest(document, manifest, Severity.WARNING)
            # Once, although traces and metrics share the variables.
            yield from dict.fromkeys(replace(problem, path="OTEL_EXPORTER_OTLP_*") for problem in found)


def _check_manifest(document: Document, manifest: OtelConfig, missing: Severity) -> Iterator[Problem]:
    for part in ("otel_traces_exporter_config", "otel_metrics_exporter_config"):
        exporter = getattr(manifest, part)
        if isinstance(exporter, Exporter) and exporter.tls != ClientTls():
            try:
                make_context(tls_files(exporter.tls, document.folder))
            except TlsFileError as error:
                yield document.problem(missing, (part, "tls", error.field), str(error), _FIX)
