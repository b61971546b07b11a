"""Secrets leave as a mask, come back from it, and are kept in files."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.config.masking import UnknownMask, masked, unmasked, without_literals

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
    rewritten, literals = without_literals(body(Authorization="ApiKey  abc=", team="ml", ref="env:X"), "e")
    files = ["secrets/e-traces-authorization", "secrets/e-traces-team"]
    assert [literal.file for literal in literals] == files
    assert rewritten[TRACES]["headers"] == {
        "Authorization": f"ApiKey  file:{files[0]}",
        "team": f"file:{files[1]}",
        "ref": "env:X",
    }
    assert [literal.value for literal in literals] == ["abc=", "ml"]
    assert "abc" not in repr(literals)


NAMES = [
    "prod-eu",
    "Prod-EU",
    "prod.eu",
    "prod/eu",
    "\u00e9",
    "\u4e2d",
    "a",
    "a-traces",
    "a-traces-metrics",
    "e" * 200,
]
HEADERS = ["x", "x.y", "x-y", "metrics-x", "traces-x"]


def test_no_two_secrets_share_a_file() -> None:
    """Else the key of one destination would be sent to another's endpoint."""
    files: dict[str, tuple[str, str, str]] = {}
    for name in NAMES:
        for part in ("otel_traces_exporter_config", "otel_metrics_exporter_config"):
            given = {part: {"headers": dict.fromkeys(HEADERS, "key")}}
            for header, literal in zip(HEADERS, without_literals(given, name)[1], strict=True):
                assert files.setdefault(literal.file, (name, part, header)) == (name, part, header)
                assert len(literal.file) < 200
    assert len(files) == len(NAMES) * 2 * len(HEADERS)


def test_a_mask_may_get_its_scheme() -> None:
    """What the advice asks for: the word ApiKey before a key that is stored and not shown."""
    assert unmasked(body(a="ApiKey ***"), body(a="canary")) == body(a="ApiKey canary")
    assert unmasked(body(a="ApiKey ***"), body(a="Bearer canary")) == body(a="ApiKey canary")
    assert unmasked(body(a="ApiKey ***"), body(a="ApiKey env:KEY")) == body(a="ApiKey env:KEY")


@pytest.mark.parametrize("value", ["x***", "*** x", "ApiKey ***x", "Other ***", "****"])
def test_a_mask_inside_a_value_is_refused(value: str) -> None:
    """Else three stars would be written over a good key."""
    with pytest.raises(UnknownMask, match=r"headers\.a"):
        unmasked(body(a=value), body(a="canary"))


ENDPOINTS = [
    ("https://host/v1/traces", "https://host/v1/traces"),
    ("https://host/v1/traces?token=canary", "https://host/v1/traces?***"),
    ("https://me:can@ary@host/?a=canary#x", "https://***@host/?***#x"),
    ("host:4317?canary", "host:4317?***"),
    ("https://host/?", "https://host/?"),
]


@pytest.mark.parametrize(("endpoint", "shown"), ENDPOINTS)
def test_an_endpoints_secrets_are_masked_and_come_back(endpoint: str, shown: str) -> None:
    """Users, passwords and queries may be keys."""
    stored = {TRACES: {"endpoint": endpoint}}
    assert masked(stored) == {TRACES: {"endpoint": shown}}
    assert unmasked(masked(stored), stored) == stored


def test_an_endpoint_may_change_around_its_mask() -> None:
    """The secret stays; without one that is stored the mask means nothing."""
    stored = {TRACES: {"endpoint": "https://host/a?token=canary"}}
    changed = {TRACES: {"endpoint": "https://host/b?***"}}
    assert unmasked(changed, stored) == {TRACES: {"endpoint": "https://host/b?token=canary"}}
    for wrong in ("https://***@host/", "https://host/?x=***", "https://host/?***&y"):
        with pytest.raises(UnknownMask, match="endpoint"):
            unmasked({TRACES: {"endpoint": wrong}}, stored)
