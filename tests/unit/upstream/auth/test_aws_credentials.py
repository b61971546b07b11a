"""Credentials are shown nowhere."""

from __future__ import annotations

from gateway.upstream.auth.aws_credentials import FOREVER_S, Credentials, Fetched


def test_what_is_shown() -> None:
    """The id says whose they are; the rest is secret."""
    shown = repr(Fetched(Credentials("AKID", "canary-secret", "canary-token"), FOREVER_S, FOREVER_S))
    assert "AKID" in shown
    assert "canary" not in shown
