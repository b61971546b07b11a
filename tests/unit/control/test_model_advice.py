"""Plain words for what came of a test call."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gateway.control.model_advice import RULES, Tried, explain

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "dashboard.md").read_text(encoding="utf-8")
AWAY = "The provider could not be reached: no connection was possible. "


@pytest.mark.parametrize(
    ("tried", "expected"),
    [
        (Tried(503, "secret_missing", 0, "OPENAI_API_KEY is not set"), "The key cannot be read"),
        (Tried(401, "", 401, "Incorrect API key"), "The provider refuses the key (401)"),
        (Tried(403, "", 403, "no access"), "The key may not use this model (403)"),
        (Tried(404, "", 404, "no such model"), "The provider has no such model"),
        (Tried(429, "", 429, "slow down"), "The provider asks for patience (429)"),
        (Tried(429, "", 429, "insufficient_quota: see billing"), "The account has no credit (429)"),
        (Tried(402, "", 402, ""), "The account has no credit (402)"),
        (Tried(400, "", 400, "not a chat model"), "The provider does not take the call (400)"),
        (Tried(502, "upstream_bad_reply", 500, "oops"), "The provider has a fault of its own (500)"),
        (Tried(502, "upstream_bad_reply", 404, "a web page"), "The provider has no such model"),
        (
            Tried(
                502,
                "upstream_unreachable",
                0,
                AWAY + "ClientConnectorDNSError: x [Name or service not known]",
            ),
            "The host name is not known",
        ),
        (
            Tried(
                502,
                "upstream_unreachable",
                0,
                AWAY + "ClientConnectorError: ssl:default [Connect call failed]",
            ),
            "Nothing listens at this address",
        ),
        (
            Tried(
                502,
                "upstream_unreachable",
                0,
                AWAY + "ClientConnectorCertificateError: certificate verify failed",
            ),
            "TLS fails: the certificate is not trusted",
        ),
        (
            Tried(
                502, "upstream_unreachable", 0, AWAY + "ClientConnectorSSLError: [SSL: WRONG_VERSION_NUMBER]"
            ),
            "TLS fails: what listens there does not speak it",
        ),
        (Tried(502, "upstream_unreachable", 0, "no token"), "The provider could not be reached, or did not"),
        (Tried(504, "upstream_timeout", 0, ""), "There was no answer in time"),
        (Tried(502, "upstream_bad_reply", 200, "html"), "What answers there is no model's API"),
        (Tried(503, "no_target_available"), "No target can be asked now"),
        (Tried(500, "internal_error", 0, "a bug"), "The call failed: a bug"),
    ],
)
def test_each_failure_has_its_words(tried: Tried, expected: str) -> None:
    """What happened first, in the words of whoever said it after; and something to do."""
    words = explain(tried)
    assert words.what.startswith(expected)
    assert words.advice
    assert AWAY not in words.what


def test_a_good_call_needs_no_advice() -> None:
    """It says who answered."""
    assert explain(Tried(200, answered_by="a/b")) == ("Answered by a/b", "")
    assert explain(Tried(200)) == ("Answered", "")


def test_a_long_message_is_cut() -> None:
    """A provider may say anything."""
    assert len(explain(Tried(400, "", 400, "x" * 9000)).what) < 400


def test_the_page_says_the_same() -> None:
    """Every rule in its order, word for word."""
    table = PAGE.partition("<!-- test calls -->\n")[2].partition("\n\n")[0]
    rows = [tuple(line.strip("| ").split(" | ")) for line in table.splitlines()[2:]]
    shown = [tuple(re.sub(r"\\([|<*])", r"\1", cell) for cell in row) for row in rows]
    assert shown == [(rule.what, rule.advice) for rule in RULES]
