"""Certificates of connections that the gateway makes."""

from __future__ import annotations

from gateway.config.manifests.part import Part, Text


class ClientTls(Part):
    """Certificates for the connection to a server. Extension."""

    ca_file: Text | None = None
    """Certificate authorities to trust instead of the system's, PEM, relative to the manifest."""
    cert_file: Text | None = None
    """Our certificate, PEM, relative to the manifest."""
    key_file: Text | None = None
    """The key of our certificate, PEM, relative to the manifest."""
