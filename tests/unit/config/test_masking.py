"""Secrets leave as a mask, come back from it, and are kept in files."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.config.masking import LiteralSecret, UnknownMask, masked, unmasked, without_literals

TRACES = "otel_traces_exporter_config"


def body(**headers: str) -> dict[str, Any]:
    return {"type": "gateway-otel-config", "name": "e", TRACES: {"type": "http", "headers": headers}}


def test_literals_are_masked_and_references_shown() -> None:
    """A reference only points somewhere."""
    stored = body(
        Authorization="ApiKey canary", a="env:KEY", b="ApiKey file:k", c="tfy-secret://o:g:k", d="env:1bad"
    )
    assert masked(stored)[TRACES]["headers"] == {
        "Authorization": "***",
        "a": "env:KEY",
        "b": "ApiKey file:k",
        "c": "tfy-secret://o:g:k",
        "d": "***",
    }
    assert stored[TRACES]["headers"]["Authorization"] == "ApiKey canary"


def test_what_is_no_manifest_is_left_alone() -> None:
    """It is shown, and refused by the check."""
    oddities: list[dict[str, Any]] = [{}, {TRACES: None}, {TRACES: {"headers": 7}}, {TRACES: []}]
    for odd in oddities:
        assert masked(odd) == odd
        assert unmasked(odd, odd) == odd
        assert without_literals(odd, "e") == (odd, [])
    assert masked({TRACES: {"headers": {"a": 7}}}) == {TRACES: {"headers": {"a": "***"}}}


def test_a_mask_that_comes_back_is_what_was_stored() -> None:
    """Whatever the case of the header's name."""
    stored = body(Authorization="ApiKey canary", other="x")
    assert unmasked(body(authorization="***", new="y"), stored) == body(
        authorization="ApiKey canary", new="y"
    )


def test_a_mask_of_nothing_is_refused() -> None:
    """Else three stars would be sent as a key."""
    with pytest.raises(UnknownMask, match=r"headers\.new"):
        unmasked(body(new="***"), body(other="x"))


def test_literals_move_to_files_and_schemes_stay() -> None:
    """So that the manifest can be committed."""
    rewritten, literals = without_literals(
        body(Authorization="ApiKey  abc=", team="ml", ref="env:X"), "my / e"
    )
    assert rewritten[TRACES]["headers"] == {
        "Authorization": "ApiKey  file:secrets/my-e-traces-authorization",
        "team": "file:secrets/my-e-traces-team",
        "ref": "env:X",
    }
    assert literals == [
        LiteralSecret("secrets/my-e-traces-authorization", "abc="),
        LiteralSecret("secrets/my-e-traces-team", "ml"),
    ]
    assert "abc" not in repr(literals)
