"""Limits in manifests, and calls that are made against them all at once."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from tests.rig.behaviours import COMPLETION_TOKENS, PROMPT_TOKENS
from tests.rig.gateway_process import Document, GatewayProcess
from tests.rig.manifests import bearer, openai_account
from tests.rig.raw_http import Reply
from tests.rig.until import until

CHAT: Final = "/v1/chat/completions"
TOKENS_OF_A_CALL: Final = PROMPT_TOKENS + COMPLETION_TOKENS
"""What a good answer of the fake provider uses."""

USD_OF_A_CALL: Final = COMPLETION_TOKENS
"""What it costs at a model of `paid_account`."""

_JOIN_S: Final = 60.0


def paid_account(name: str, base_url: str, models: Iterable[str]) -> Document:
    """An account where a token of output costs 1 USD, and one of input nothing."""
    account = openai_account(name, base_url, models)
    cost = {"metric": "per_1000_tokens", "value": {"input": 0, "output": 1000}}
    for model in account["integrations"]:
        model["cost"] = cost
    return account


def rate(name: str, models: Sequence[str], limits: dict[str, int], **more: Any) -> Document:
    """A rate limit."""
    when = {"models": {"in": list(models)}}
    return {"type": "tenant-rate-limit-config/model", "name": name, "when": when, "limits": limits, **more}


def budget(name: str, models: Sequence[str], usd: float, **more: Any) -> Document:
    """A budget, for ever unless *more* has other `limits`."""
    return {
        "type": "tenant-budget-config",
        "name": name,
        "when": {"models": {"in": list(models)}},
        "limits": {"cost_per_lifetime": usd},
        "applies_to": {"type": "aggregate"},
        "mode": "enforce",
        **more,
    }


def post(
    gateway: GatewayProcess, path: str, body: Any, headers: Iterable[tuple[str, str]] = (bearer(),)
) -> Reply:
    """One call on a connection of its own."""
    with gateway.connect() as connection:
        return connection.exchange("POST", path, _JSON + list(headers), json.dumps(body).encode())


def calls_at_once(gateway: GatewayProcess, body: bytes, counts: Sequence[int]) -> list[Reply]:
    """So many chat calls on each of several connections, which all begin at the same moment."""
    begin = threading.Barrier(len(counts))

    def call(count: int) -> list[Reply]:
        with gateway.connect() as connection:
            begin.wait(_JOIN_S)
            return [connection.exchange("POST", CHAT, [*_JSON, bearer()], body) for _ in range(count)]

    with ThreadPoolExecutor(len(counts)) as pool:
        return [reply for replies in pool.map(call, counts) for reply in replies]


def alone_so_far(gateways: Iterable[GatewayProcess]) -> int:
    """How many calls have been decided without the server that replicas share.

    A call waits 50 ms for it; where it stands still for longer, as on a busy machine, the host decides.
    """
    return sum(_counted(gateway, "gateway_limits_decided_here_total") for gateway in gateways)


def missed_turns(gateway: GatewayProcess) -> int:
    """How often a worker decided alone, since another kept the counters of the host from it.

    That takes a millisecond in which the other stands still, as on a busy machine; each may be one call less.
    """
    return _counted(gateway, "gateway_limits_missed_turns_total")


def decided_alone(gateways: Sequence[GatewayProcess], rule: str, calls: int) -> int:
    """The same, once all *calls* for which *rule* held have been told of."""

    def told() -> int:
        label = f'ruleId="{rule}"'
        return sum(_counted(gateway, name, label) for gateway in gateways for name in _HELD_FOR)

    # Together, once a second.
    until(lambda: told() == calls, what=f"all {calls} calls to be counted")
    return alone_so_far(gateways)


def _counted(gateway: GatewayProcess, metric: str, label: str = "") -> int:
    """The sum of a counter, of the points with this *label*."""
    lines = gateway.control("GET", "/metrics")[1].splitlines()
    return sum(
        int(float(line.rpartition(" ")[2]))
        for line in lines
        if line.startswith((f"{metric}{{", f"{metric} ")) and label in line
    )


_HELD_FOR: Final = ("ai_gateway_rate_limit_nominated_total", "ai_gateway_budget_nominated_total")
_JSON: Final = [("content-type", "application/json")]
