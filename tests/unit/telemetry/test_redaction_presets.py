"""The patterns known by name."""

from __future__ import annotations

import pytest

from gateway.config.manifests.logging_config import BUILT_PRESETS
from gateway.telemetry.redaction_presets import MASK, PATTERNS, preset
from gateway.telemetry.redactor import Redactor

FOUND = {
    "us_ssn": ["078-05-1120", "078 05 1120"],
    "us_ssn_no_dash": ["078051120"],
    "email": ["ann@example.org", "ann.b+c@mail.example.co.uk", "größe@exämple.de"],
    "us_phone": ["555-123-4567", "(555) 123-4567", "+1 555 123 4567", "5551234567"],
    "india_aadhaar": ["1234 5678 9012", "123456789012"],
    "india_pan": ["ABCDE1234F"],
    "visa": ["4111 1111 1111 1111", "4111111111111111"],
    "mastercard": ["5500-0000-0000-0004", "2221000000000009"],
    "amex": ["3782 822463 10005", "378282246310005"],
    "discover": ["6011 1111 1111 1117", "6500000000000002"],
    "credit_card": ["4111 1111 1111 1111", "378282246310005", "6304 0000 0000 0000 000"],
    "aws_access_key": ["AKIAIOSFODNN7EXAMPLE"],
    "aws_secret_key": ["wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"],
    "github_token": ["ghp_" + "a1" * 18, "github_pat_" + "a1" * 20],
    "slack_token": ["xoxb-123456789012-abcdef"],
    "generic_api_key": [
        "sk-proj-abcdefghijklmnop1234",
        "sk_live_abcdefghijklmnop",
        "AIza" + "b" * 35,
        "api_key=hunter22",
        'password: "hunter22"',
        "Bearer abcdefghijklmnopqrstuvwx",
    ],
    "ipv4": ["192.0.2.7", "255.255.255.255"],
    "ipv6": ["2001:db8::1", "fe80::1", "::1", "2001:0db8:0000:0000:0000:0000:0000:0001"],
    "url": ["https://example.org/a?b=c", "http://h", "ftp://h/x"],
}
LEFT = {
    "us_ssn": ["2024-12-24", "078-05-112"],
    "us_ssn_no_dash": ["12345678", "1234567890"],
    "email": ["a @ b", "@example", "me@localhost"],
    "us_phone": ["12345", "1.2.3"],
    "india_aadhaar": ["1234 5678 901"],
    "india_pan": ["ABCDE12345"],
    "visa": ["5111 1111 1111 1111"],
    "mastercard": ["4111 1111 1111 1111"],
    "amex": ["3982 822463 10005"],
    "discover": ["6111 1111 1111 1117"],
    "credit_card": ["123456789012", "12 eggs"],
    "aws_access_key": ["AKIAIOSFODNN7EXAMPL"],
    "aws_secret_key": ["short"],
    "github_token": ["ghp_short"],
    "slack_token": ["xoxb-1"],
    "generic_api_key": ["a task-force of people", "the key is here", "sketch-book"],
    "ipv4": ["256.1.1.1", "1.2.3"],
    "ipv6": ["12:30:45", "a::b::c", "std::vector"],
    "url": ["example.org", "a//b"],
}


def masked(name: str, text: str) -> str:
    return Redactor([preset(name)]).mask(text)


def test_each_preset_that_manifests_take_is_here() -> None:
    """And tested: a masking that is promised and not done would be the worst kind of gap."""
    assert set(PATTERNS) == BUILT_PRESETS == set(FOUND) == set(LEFT)


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in FOUND.items() for text in texts])
def test_found(name: str, text: str) -> None:
    """Alone, in a sentence, in quotes, and twice."""
    assert MASK in masked(name, text)
    assert text not in masked(name, f"Write {text}, please.")
    assert text not in masked(name, f'{{"a":"{text}"}}')
    assert masked(name, f"({text}) {text}").count(text) == 0


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in LEFT.items() for text in texts])
def test_left(name: str, text: str) -> None:
    """What only looks like it stays."""
    assert masked(name, text) == text


def test_long_texts_take_little_time() -> None:
    """No text that is built against a pattern takes more than a search of its length: none runs for ever."""
    for name in PATTERNS:
        for unit in (
            "a",
            "1",
            "1 ",
            "1.",
            "a.",
            ":",
            "a:",
            "-",
            "sk-",
            "x@",
            "a@a.",
            "(1",
            "A1",
            "/",
            "password",
        ):
            masked(name, unit * 3_000)
