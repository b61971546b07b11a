"""Where finished calls go."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Final, Literal
from urllib.parse import unquote, urlsplit, urlunsplit

from gateway.delivery.batch import BatchLimits
from gateway.delivery.selection import Selection
from gateway.egress import OPEN, EgressRules
from gateway.redaction import without_secrets, without_url_secrets
from gateway.tls_files import NO_FILES, TlsFiles

Protocol = Literal["http/protobuf", "http/json", "grpc"]
Compression = Literal["gzip", "none"]

_MAX_SHOWN_CHARACTERS: Final = 300


@dataclass(frozen=True, slots=True)
class Destination:
    """One OTLP traces endpoint, ready to use: secrets are resolved.

    Attributes:
        name: Of its configuration; identifies it across changes.
        endpoint: Used exactly as it is.
        headers: Sent with each request; may be secret, hence not in the repr.
        resource_attributes: Added to each worker's resource; a key given here wins.
        index_bit: Which bit of a call's mask is this destination's: its place among the exporters, from 0.
        disabled: Why nothing can be sent, as when a secret is missing; "" when it can. Its calls wait in the
            spool.
        protocol: How the endpoint is spoken to.
        timeout_s: Of one try.
        limits: Of one request; None: the gateway's own.
        selection: What of each call goes there.
        egress: Which addresses it may be at.
    """

    name: str
    endpoint: str
    headers: Mapping[str, str] = field(repr=False)
    resource_attributes: Mapping[str, str]
    index_bit: int
    disabled: str = ""
    protocol: Protocol = "http/protobuf"
    compression: Compression = "gzip"
    tls: TlsFiles = NO_FILES
    timeout_s: float = 10.0
    limits: BatchLimits | None = None
    selection: Selection = field(default_factory=Selection)
    egress: EgressRules = OPEN

    @property
    def shown_endpoint(self) -> str:
        """The endpoint without what may be secret in it (user, password, query); "" for no URL."""
        try:
            parts = urlsplit(self.endpoint)
        except ValueError:
            return ""
        return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))

    def shown_text(self, text: str) -> str:
        """What an endpoint or a client's error said, for a log line: our secrets masked, then cut.

        Cut first, a secret across the cut would leave its beginning, which nothing finds.
        """
        headers = self.headers.values()
        secrets = [*headers, *chain.from_iterable(map(_decoded, headers)), *self._endpoint_secrets()]
        masked = without_secrets(without_url_secrets(text), secrets)
        return masked if len(masked) <= _MAX_SHOWN_CHARACTERS else f"{masked[:_MAX_SHOWN_CHARACTERS]}..."

    def _endpoint_secrets(self) -> list[str]:
        """As written and decoded, as either may be quoted."""
        try:
            parts = urlsplit(self.endpoint)
            written = [parts.username, parts.password, *_query_values(parts.query)]
        except ValueError:
            return []
        return [form for secret in written if secret for form in (secret, unquote(secret))]


def _decoded(header: str) -> list[str]:
    """What a key or password in Base64 stands for, whole and without its id, as an endpoint may quote it."""
    try:
        decoded = base64.b64decode(header.rpartition(" ")[2], validate=True).decode()
    except ValueError:
        return []
    _user, colon, secret = decoded.partition(":")
    return [decoded, secret] if colon else []


def _query_values(query: str) -> list[str]:
    """What stands after the first `=` of each part, as Base64 has more of them; a part without is a value."""
    parts = [part.partition("=") for part in query.split("&")]
    return [value if equals else name for name, equals, value in parts]
