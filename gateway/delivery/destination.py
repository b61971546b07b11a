"""Where finished calls go."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit, urlunsplit

from gateway.delivery.batch import BatchLimits
from gateway.delivery.selection import Selection
from gateway.wire.frames import CallSpans

Protocol = Literal["http/protobuf", "http/json", "grpc"]
Compression = Literal["gzip", "none"]

_MAX_VERSIONS: Final = 16


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files of a connection; None: the system's authorities, no certificate of ours."""

    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None


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
    """

    name: str
    endpoint: str
    headers: Mapping[str, str] = field(repr=False)
    resource_attributes: Mapping[str, str]
    index_bit: int
    disabled: str = ""
    protocol: Protocol = "http/protobuf"
    compression: Compression = "gzip"
    tls: TlsFiles = TlsFiles()
    timeout_s: float = 10.0
    limits: BatchLimits | None = None
    selection: Selection = field(default_factory=Selection)

    @property
    def shown_endpoint(self) -> str:
        """The endpoint without what may be secret in it (user, password, query); "" for no URL."""
        try:
            parts = urlsplit(self.endpoint)
        except ValueError:
            return ""
        return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


class MaskBits:
    """Which bit of a mask belongs to a destination, by configuration version.

    A bit is a place in a list, and the spool may hold calls of versions with another list.
    """

    def __init__(self) -> None:
        self._bits: dict[str, dict[str, int]] = {}

    def note(self, version: str, destinations: Iterable[Destination]) -> None:
        """Remember the list of a version."""
        self._bits.pop(version, None)
        self._bits[version] = {destination.name: destination.index_bit for destination in destinations}
        if len(self._bits) > _MAX_VERSIONS:
            del self._bits[next(iter(self._bits))]

    def is_wanted(self, call: CallSpans, version: str, destination: Destination) -> bool:
        """Whether *call*, made under *version*, goes to *destination*."""
        bit = self._bits.get(version, {}).get(destination.name, destination.index_bit)
        return bool(call.destination_mask >> bit & 1)
