"""docs/headers.md says of each header what the gateway does with it."""

from __future__ import annotations

import re
from pathlib import Path
from random import Random
from typing import Final

from gateway.endpoints.catalogue import CHAT
from gateway.endpoints.wording import OPENAI
from gateway.responder import ACTED_ON, Answer, Responder
from gateway.telemetry.call_trace import begin_trace
from tests.unit.doubles import FakeClient

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "headers.md"
_ROW: Final = re.compile(r"^\| `(x-tfy-[a-z-]+)` \| (.+) \|$", re.MULTILINE)
# TrueFoundry's documented request headers; a page that lost one would say nothing of it.
TRUEFOUNDRYS: Final = {
    "x-tfy-api-key", "x-tfy-metadata", "x-tfy-provider-name", "x-tfy-model-name", "x-tfy-strict-openai",
    "x-tfy-retry-config", "x-tfy-request-timeout", "x-tfy-ttft-timeout-ms", "x-tfy-logging-config",
    "x-tfy-cache-config", "x-tfy-cache-control", "x-tfy-guardrails", "x-tfy-mcp-headers",
    "x-tfy-conversation-id", "x-tfy-routing-config",
}  # fmt: skip


def documented() -> dict[str, str]:
    return dict(_ROW.findall(PAGE.read_text(encoding="utf-8")))


def test_every_header_is_there() -> None:
    """Those of TrueFoundry's, and no other."""
    assert documented().keys() == TRUEFOUNDRYS


def test_what_is_said_of_each() -> None:
    """Ignored are those that the code does not act on."""
    ignored = {name for name, says in documented().items() if says.startswith("ignored")}
    assert documented().keys() - ignored == ACTED_ON


async def test_the_answer_names_them() -> None:
    """A caller that sends all of them is told which did nothing, and of one that nobody knows."""
    client = FakeClient(*((name, "x") for name in (*documented(), "x-tfy-new")))
    trace = begin_trace(client, CHAT, request_id="r", config_version="v", random=Random(1))
    await Responder(client, trace, "r", OPENAI).answer(Answer(200, [], b"{}"))
    named = set((client.header("x-tfy-ignored-headers") or "").split(", "))
    assert named == (documented().keys() - ACTED_ON) | {"x-tfy-new"}
