"""What Elastic, or any OTLP endpoint, will refuse, said before anything is sent.

Warnings only: what stands behind an address is its operator's affair. No message quotes a secret.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from gateway.config.config import Config
from gateway.config.document import Document, FieldPath
from gateway.config.manifests.otel_config import (
    Exporter,
    HttpMetricsExporter,
    HttpTracesExporter,
    OtelConfig,
)
from gateway.config.otel_environment import NAME
from gateway.config.problem import Problem
from gateway.config.reading import Reading
from gateway.config.secrets import SecretMissing, SecretSource
from gateway.elastic import (
    KeyMistake,
    authorization_in,
    find_key_mistake,
    find_wrong_product,
    is_elastic_endpoint,
    other_signal_in,
    takes_bearer,
)

_FIXES: Final = {
    KeyMistake.MISSING: "Add Authorization: ApiKey <key>",
    KeyMistake.NO_PREFIX: "Write Authorization: ApiKey <key>; Kibana shows the key without the prefix",
    KeyMistake.BEARER: "Write Authorization: ApiKey <key>",
    KeyMistake.NOT_BASE64: "Use the key's 'encoded' form: printf '%s' 'ID:API_KEY' | base64",
    KeyMistake.NO_COLON: "Use the key's 'encoded' form: printf '%s' 'ID:API_KEY' | base64",
}


def check_elastic(readings: Sequence[Reading], secrets: SecretSource) -> Iterator[Problem]:
    """Findings about destinations in Elastic Cloud."""
    for reading in readings:
        if isinstance(reading.in_force, OtelConfig):
            yield from _check_manifest(reading.document, reading.in_force, secrets)


def check_elastic_variables(config: Config, secrets: SecretSource) -> Iterator[Problem]:
    """The same about the destination that `OTEL_*` variables describe."""
    for manifest in config.otel_configs:
        if manifest.source.file == Path(NAME):
            document = Document(manifest.type, manifest.name, {}, manifest.source.file, manifest.source.line)
            found = _check_manifest(document, manifest, secrets)
            # Once, although traces and metrics share the variables.
            yield from dict.fromkeys(replace(problem, path="OTEL_EXPORTER_OTLP_*") for problem in found)


def _check_manifest(document: Document, manifest: OtelConfig, secrets: SecretSource) -> Iterator[Problem]:
    for signal in ("traces", "metrics"):
        part = f"otel_{signal}_exporter_config"
        exporter = getattr(manifest, part)
        if isinstance(exporter, Exporter):
            yield from _check_exporter(document, (part,), exporter, secrets)
        if isinstance(exporter, HttpTracesExporter | HttpMetricsExporter):
            yield from _check_path(document, (part,), exporter.endpoint, signal)


def _check_exporter(
    document: Document, path: FieldPath, exporter: Exporter, secrets: SecretSource
) -> Iterator[Problem]:
    if "<" in exporter.endpoint:
        # As documentation and the page's presets write addresses.
        fix = "Write what it is at your backend"
        yield document.warning((*path, "endpoint"), "what stands between < and > is to be filled in", fix)
        return
    product = find_wrong_product(exporter.endpoint)
    if product is not None:
        fix = "Use the OTLP endpoint; in Elastic Cloud its host has '.ingest.' in it"
        yield document.warning((*path, "endpoint"), f"this looks like the address of {product.value}", fix)
    elif is_elastic_endpoint(exporter.endpoint):
        yield from _check_key(document, path, exporter, secrets)


def _check_path(document: Document, path: FieldPath, endpoint: str, signal: str) -> Iterator[Problem]:
    other = other_signal_in(endpoint, signal)
    if other:
        what = f"this is the path of {other}, and {signal} are sent there"
        yield document.warning((*path, "endpoint"), what, f"Write /v1/{signal} at its end")


def _check_key(
    document: Document, path: FieldPath, exporter: Exporter, secrets: SecretSource
) -> Iterator[Problem]:
    name = next((name for name in exporter.headers if name.lower() == "authorization"), None)
    try:
        headers = {} if name is None else {name: secrets.resolve(exporter.headers[name], document.folder)}
    except SecretMissing:
        return  # told elsewhere
    authorization = authorization_in(headers)
    if takes_bearer(exporter.endpoint) and authorization.lower().startswith("bearer "):
        return
    mistake = find_key_mistake(authorization)
    if mistake is not None:
        where = (*path, "headers") if name is None else (*path, "headers", name)
        yield document.warning(where, mistake.value, _FIXES[mistake])
