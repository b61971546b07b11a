"""What Elastic wants of an endpoint and of the key sent there. Pure: text in, findings out.

Kibana shows an API key without its scheme, and newcomers paste it so; these are the mistakes that follow.
Rules: Elastic's pages on its managed OTLP endpoint, and the source of its `apikeyauth` extension.
https://www.elastic.co/docs/reference/opentelemetry/motlp
"""

from __future__ import annotations

import base64
import binascii
import enum
import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

_DOMAINS: Final = (".elastic.cloud", ".elastic-cloud.com", ".cloud.es.io", ".found.io")
_KIBANA_PORTS: Final = frozenset({5601})
_SEARCH_PORTS: Final = frozenset({9200, 9243})
_SIGNAL_PATH: Final = re.compile(r"/v1/(traces|metrics|logs)/?\Z")


class KeyMistake(enum.StrEnum):
    """What is wrong with an `Authorization` header; each value is said to people and never quotes the key."""

    MISSING = "no Authorization header is sent"
    NO_PREFIX = "the Authorization header lacks the prefix 'ApiKey '"
    BEARER = "the Authorization header says Bearer or Basic where Elastic wants ApiKey"
    NOT_BASE64 = "the API key is not base64: it looks like id:key or was cut short"
    NO_COLON = "the API key is base64 of something that is not id:key"


class Product(enum.StrEnum):
    """Addresses that people copy in place of the OTLP endpoint's."""

    KIBANA = "Kibana"
    ELASTICSEARCH = "Elasticsearch"


def is_elastic_endpoint(endpoint: str) -> bool:
    """Whether *endpoint* is in Elastic Cloud, going by its host name."""
    host = _host(endpoint)
    return host.endswith(_DOMAINS) or "motlp" in host


def find_wrong_product(endpoint: str) -> Product | None:
    """Which of Elastic's other products the address belongs to, None when it may be the OTLP endpoint."""
    labels = _host(endpoint).split(".")
    port = _port(endpoint)
    if port in _KIBANA_PORTS or (is_elastic_endpoint(endpoint) and "kb" in labels):
        return Product.KIBANA
    if port in _SEARCH_PORTS or (is_elastic_endpoint(endpoint) and "es" in labels[:-2]):
        return Product.ELASTICSEARCH
    return None


def other_signal_in(endpoint: str, signal: str) -> str:
    """The signal whose usual path *endpoint*, which is for *signal*, ends in; "" when it is no other's."""
    try:
        path = urlsplit(endpoint).path
    except ValueError:
        return ""
    found = _SIGNAL_PATH.search(path)
    return found[1] if found is not None and found[1] != signal else ""


def takes_bearer(endpoint: str) -> bool:
    """Whether this is an APM server of Elastic Cloud, which also takes `Bearer` with its secret token."""
    return "apm" in _host(endpoint).split(".")


def authorization_in(headers: Mapping[str, str]) -> str:
    """The `Authorization` header, whatever its case; "" without one."""
    return next((value for name, value in headers.items() if name.lower() == "authorization"), "")


def find_key_mistake(authorization: str) -> KeyMistake | None:
    """What Elastic would refuse in this `Authorization` header, "" being none; None when it may be right."""
    if not authorization.strip():
        return KeyMistake.MISSING
    scheme, blank, key = authorization.strip().partition(" ")
    if scheme.lower() in ("bearer", "basic"):
        return KeyMistake.BEARER
    if scheme.lower() != "apikey" or not blank:
        return KeyMistake.NO_PREFIX
    try:
        decoded = base64.b64decode(key.strip(), validate=True)
    except (binascii.Error, ValueError):
        return KeyMistake.NOT_BASE64
    return None if b":" in decoded else KeyMistake.NO_COLON


def _host(endpoint: str) -> str:
    try:
        return (urlsplit(endpoint).hostname or "").lower()
    except ValueError:
        return ""


def _port(endpoint: str) -> int | None:
    try:
        return urlsplit(endpoint).port
    except ValueError:
        return None
