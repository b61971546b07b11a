"""A destination's manifest as it may be shown, and back: literal secrets leave as a mask, and return from it.

Pure. Only the values of headers can be secret in a `gateway-otel-config`.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from gateway.config.secrets import SecretReference

MASK: Final = "***"
EXPORTERS: Final = {"otel_traces_exporter_config": "traces", "otel_metrics_exporter_config": "metrics"}
"""The parts that have headers, with the signal of each."""

_SCHEME: Final = re.compile(r"((?:ApiKey|Bearer|Basic|Api-Token) +)(\S.*)", re.IGNORECASE)
_NOT_IN_FILE_NAMES: Final = re.compile(r"[^A-Za-z0-9_-]+")


class UnknownMask(ValueError):
    """The mask stands where nothing was stored; the message names the field."""


class LiteralSecret(NamedTuple):
    """A secret that was typed, and where it is to be kept instead.

    Attributes:
        file: Relative to the manifest's folder.
        value: The secret, without its scheme.
    """

    file: str
    value: str

    def __repr__(self) -> str:
        return f"LiteralSecret({self.file})"


def masked(body: Mapping[str, Any]) -> dict[str, Any]:
    """*body* with each literal header value replaced by the mask; references are shown."""
    shown = copy.deepcopy(dict(body))
    for headers in _headers(shown):
        for name, value in headers.items():
            headers[name] = _shown(value)
    return shown


def unmasked(body: Mapping[str, Any], stored: Mapping[str, Any]) -> dict[str, Any]:
    """*body* with each mask replaced by the value that *stored* has in its place.

    Raises:
        UnknownMask: It has none.
    """
    full = copy.deepcopy(dict(body))
    for part in EXPORTERS:
        old = _lower(_headers_of(stored, part))
        for name, value in (_headers_of(full, part) or {}).items():
            if value == MASK:
                if name.lower() not in old:
                    raise UnknownMask(f"{part}.headers.{name}")
                full[part]["headers"][name] = old[name.lower()]
    return full


def without_literals(body: Mapping[str, Any], name: str) -> tuple[dict[str, Any], list[LiteralSecret]]:
    """*body* with a `file:` reference for each literal header value, and what the files have to hold.

    A scheme stays in the manifest: `ApiKey abc` becomes `ApiKey file:secrets/...`.
    """
    rewritten = copy.deepcopy(dict(body))
    literals = []
    for part, signal in EXPORTERS.items():
        headers = _headers_of(rewritten, part) or {}
        for header, value in headers.items():
            if not isinstance(value, str) or not _is_literal(value):
                continue
            match = _SCHEME.fullmatch(value)
            scheme, secret = match.groups() if match else ("", value)
            stem = "-".join(_NOT_IN_FILE_NAMES.sub("-", word).lower() for word in (name, signal, header))
            literals.append(LiteralSecret(f"secrets/{stem}", secret))
            headers[header] = f"{scheme}file:secrets/{stem}"
    return rewritten, literals


def _headers(body: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for part in EXPORTERS:
        headers = _headers_of(body, part)
        if headers is not None:
            yield headers


def _headers_of(body: Mapping[str, Any], part: str) -> dict[str, Any] | None:
    exporter = body.get(part)
    headers = exporter.get("headers") if isinstance(exporter, Mapping) else None
    return headers if isinstance(headers, dict) else None


def _lower(headers: Mapping[str, Any] | None) -> dict[str, Any]:
    return {name.lower(): value for name, value in (headers or {}).items()}


def _is_literal(value: str) -> bool:
    try:
        return SecretReference.in_header(value).is_literal
    except ValueError:
        return False  # a reference that is written wrong; the check has refused it


def _shown(value: Any) -> Any:
    if not isinstance(value, str):
        return MASK
    try:
        reference = SecretReference.in_header(value)
    except ValueError:
        return MASK
    return MASK if reference.is_literal else reference.prefix + reference.shown
