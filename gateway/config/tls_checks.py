"""The certificates of accounts and destinations: what cannot be used of them, before anything is sent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from gateway.config.config import Config
from gateway.config.document import Document, FieldPath
from gateway.config.manifests.client_tls import ClientTls
from gateway.config.manifests.otel_config import Exporter, OtelConfig
from gateway.config.manifests.provider_account import ProviderAccount
from gateway.config.otel_environment import NAME
from gateway.config.problem import Problem, Severity
from gateway.config.reading import Reading
from gateway.tls_files import TlsFileError, TlsFiles, make_context

_FIX: Final = "Name PEM files, relative to the manifest, the key unencrypted"


def tls_files(tls: ClientTls, folder: Path) -> TlsFiles:
    """The certificates of a manifest in *folder*."""
    return TlsFiles(*(folder / path if path else None for path in (tls.ca_file, tls.cert_file, tls.key_file)))


def check_tls(readings: Sequence[Reading], missing: Severity) -> Iterator[Problem]:
    """Findings about files; *missing* is how grave one that cannot be used is."""
    for reading in readings:
        if isinstance(reading.in_force, OtelConfig):
            yield from _check_manifest(reading.document, reading.in_force, missing)
        elif isinstance(reading.in_force, ProviderAccount):
            yield from _check_part(reading.document, ("tls",), reading.in_force.tls, missing)


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
        if isinstance(exporter, Exporter):
            yield from _check_part(document, (part, "tls"), exporter.tls, missing)


def _check_part(document: Document, path: FieldPath, tls: ClientTls, missing: Severity) -> Iterator[Problem]:
    if tls == ClientTls():
        return
    try:
        make_context(tls_files(tls, document.folder))
    except TlsFileError as error:
        yield document.lack(
            missing, (*path, error.field), str(error), _FIX, meanwhile="nothing is sent there"
        )
