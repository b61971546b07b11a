"""The caller's end of an exchange in Google's dialect, which may have a key in its query."""

from __future__ import annotations

from gateway.edge.client import AsgiClient
from gateway.endpoints.gemini_paths import find_key, find_signature, without_credentials


class GeminiAsgiClient(AsgiClient):
    """See `gateway.gemini.GeminiClient`."""

    __slots__ = ()

    @property
    def query(self) -> str:
        """What followed the `?`, without the key: nobody behind this needs it."""
        return without_credentials(super().query)

    @property
    def key(self) -> str:
        """The key."""
        return find_key(super().query)

    @property
    def signature(self) -> str:
        """What stands for it in the address of an upload."""
        return find_signature(super().query)
