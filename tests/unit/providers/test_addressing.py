"""Host and port of a base URL."""

from __future__ import annotations

import pytest

from gateway.providers.addressing import host_and_port


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("https://api.openai.com/v1", "api.openai.com", 443),
        ("http://localhost/v1", "localhost", 80),
        ("http://127.0.0.1:8000", "127.0.0.1", 8000),
        ("https://[::1]:8443/v1", "::1", 8443),
        ("https://API.Test/v1", "api.test", 443),
    ],
)
def test_host_and_port(url: str, host: str, port: int) -> None:
    """A span has the host and the port that is really used, also where the URL leaves it out."""
    assert host_and_port(url) == (host, port)
