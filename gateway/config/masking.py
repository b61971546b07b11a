"""A destination's manifest as it may be shown, and back: literal secrets leave as a mask, and return from it.

Pure. In a `gateway-otel-config` the values of headers can be secret, and what an endpoint has beside its
address: user and password, and the query.
"""

from __future__ import annotations

import copy
import hashlib
import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from gateway.config.secrets import SecretReference

MASK: Final = "***"
EXPORTERS: Final = {"otel_traces_exporter_config": "traces", "otel_metrics_exporter_config": "metrics"}
"""The parts that have headers, with the signal of each."""

_SCHEME: Final = re.compile(r"((?:ApiKey|Bearer|Basic|Api-Token) +)(\S.*)", re.IGNORECASE)
_NOT_IN_FILE_NAMES: Final = re.compile(r"[^A-Za-z0-9_-]+")
_MAX_STEM: Final = 100
# `scheme://`, `user:password@`, host and path, `?query`, `#fragment`.
_ENDPOINT: Final = re.compile(r"((?:[^/?#]*://)?)((?:[^/?#]*@)?)([^?#]*)((?:\?[^#]*)?)(.*)", re.DOTALL)
_MASKED_USER: Final = f"{MASK}@"
_MASKED_QUERY: Final = f"?{MASK}"


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
    """*body* with the mask in the place of each literal secret; references are shown."""
    shown = copy.deepcopy(dict(body))
    for part in EXPORTERS:
        headers = _headers_of(shown, part) or {}
        for name, value in headers.items():
            headers[name] = shown_value(value)
        if endpoint := _endpoint_of(shown, part):
            shown[part]["endpoint"] = _shown_endpoint(endpoint)
    return shown


def shown_value(value: Any) -> str:
    """A secret as it may be shown: a reference as it is, the mask for all else."""
    if not isinstance(value, str):
        return MASK
    try:
        reference = SecretReference.in_header(value)
    except ValueError:
        return MASK
    return MASK if reference.is_literal else reference.prefix + reference.shown


def unmasked(body: Mapping[str, Any], stored: Mapping[str, Any]) -> dict[str, Any]:
    """*body* with each mask replaced by what *stored* has in its place.

    A mask may follow a scheme (`ApiKey ***`): the secret stays, and its scheme is the one written.

    Raises:
        UnknownMask: Nothing is stored there, or the mask is a part of something else.
    """
    full = copy.deepcopy(dict(body))
    for part in EXPORTERS:
        old = _lower(_headers_of(stored, part))
        headers = _headers_of(full, part) or {}
        for name, value in headers.items():
            if isinstance(value, str) and MASK in value:
                before = old.get(name.lower())
                if not isinstance(before, str):
                    raise UnknownMask(f"{part}.headers.{name}")
                headers[name] = _unmasked_header(value, before, f"{part}.headers.{name}")
        endpoint = _endpoint_of(full, part)
        if MASK in endpoint:
            full[part]["endpoint"] = _unmasked_endpoint(
                endpoint, _endpoint_of(stored, part), f"{part}.endpoint"
            )
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
            file = f"secrets/{_file_name(name, signal, header)}"
            literals.append(LiteralSecret(file, secret))
            headers[header] = f"{scheme}file:{file}"
    return rewritten, literals


def _file_name(name: str, signal: str, header: str) -> str:
    """The file of one secret: no two share one, or a key would go to another's endpoint.

    Where the words alone do not say for certain whose it is, a hash of them follows.
    """
    header = header.lower()
    stem = "-".join(_NOT_IN_FILE_NAMES.sub("-", word).lower() for word in (name, signal, header))
    # By its first signal a reader finds where the name ends.
    is_clear = not any(f"-{word}-" in f"{name}-" for word in EXPORTERS.values())
    if is_clear and stem == f"{name}-{signal}-{header}" and len(stem) <= _MAX_STEM:
        return stem
    digest = hashlib.blake2b(repr((name, signal, header)).encode(), digest_size=6).hexdigest()
    return f"{stem[:_MAX_STEM]}-{digest}"


def _headers_of(body: Mapping[str, Any], part: str) -> dict[str, Any] | None:
    exporter = body.get(part)
    headers = exporter.get("headers") if isinstance(exporter, Mapping) else None
    return headers if isinstance(headers, dict) else None


def _endpoint_of(body: Mapping[str, Any], part: str) -> str:
    exporter = body.get(part)
    endpoint = exporter.get("endpoint") if isinstance(exporter, Mapping) else None
    return endpoint if isinstance(endpoint, str) else ""


def _endpoint_parts(endpoint: str) -> list[str]:
    match = _ENDPOINT.fullmatch(endpoint)
    return list(match.groups()) if match is not None else [endpoint, "", "", "", ""]


def _shown_endpoint(endpoint: str) -> str:
    scheme, user, address, query, fragment = _endpoint_parts(endpoint)
    return "".join(
        [scheme, _MASKED_USER if user else "", address, _MASKED_QUERY if len(query) > 1 else query, fragment]
    )


def _unmasked_header(value: str, before: str, path: str) -> str:
    if value == MASK:
        return before
    given, old = _SCHEME.fullmatch(value), _SCHEME.fullmatch(before)
    if given is None or given[2] != MASK:
        raise UnknownMask(path)
    return given[1] + (old[2] if old is not None else before)


def _unmasked_endpoint(endpoint: str, before: str, path: str) -> str:
    parts, old = _endpoint_parts(endpoint), _endpoint_parts(before)
    for index, mask in ((1, _MASKED_USER), (3, _MASKED_QUERY)):
        if parts[index] == mask and old[index]:
            parts[index] = old[index]
        elif MASK in parts[index]:
            raise UnknownMask(path)
    return "".join(parts)


def _lower(headers: Mapping[str, Any] | None) -> dict[str, Any]:
    return {name.lower(): value for name, value in (headers or {}).items()}


def _is_literal(value: str) -> bool:
    try:
        return SecretReference.in_header(value).is_literal
    except ValueError:
        return False  # a reference that is written wrong; the check has refused it
