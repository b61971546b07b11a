"""A control plane with rules on limits and counters in memory, for tests of what it says of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from starlette.testclient import TestClient

from gateway.config import Config, Document, SecretSource
from gateway.config.check import check_documents
from gateway.control.limits import LimitsSource
from gateway.control.limits_in_force import LimitsInForce, Seen
from gateway.limits.readings import CounterReader
from gateway.limits.rules import meters
from gateway.model import Caller, RemoteCounters
from gateway.snapshot import compile_snapshot
from gateway.store.counter_table import CounterTable, counters_in_memory
from tests.unit.control.rooms import Rooms

NOW_S: Final = 1_767_225_600.0 + 30
"""Half a minute into 2026."""

SECRETS: Final = SecretSource({"KEY": "sk-1", "APP": "app-token", "JOB": "job-token", "USER": "user-token"})


def account(name: str, *models: str) -> dict[str, Any]:
    """An account whose models cost 1 USD for each token of output."""
    cost = {"metric": "per_1000_tokens", "value": {"input": 0, "output": 1000}}
    return {
        "type": "provider-account/openai",
        "name": name,
        "auth_data": {"type": "api-key", "api_key": "env:KEY"},
        "integrations": [
            {"type": "integration/model/openai", "name": model, "model_id": model, "cost": cost}
            | {"model_types": ["chat"]}
            for model in models
        ],
    }


BASE: Final[list[dict[str, Any]]] = [
    account("fake", "m", "n"),
    {
        "type": "provider-account/virtual-model",
        "name": "vm",
        "integrations": [
            {
                "name": "chat",
                "routing_config": {
                    "type": "priority-based-routing",
                    "load_balance_targets": [
                        {"target": "fake/m", "priority": 0},
                        {"target": "fake/n", "priority": 1},
                    ],
                },
            }
        ],
    },
    {
        "type": "virtual-account",
        "name": "app",
        "tokens": ["env:APP"],
        "models": ["*"],
        "tags": {"team": "search"},
    },
    {"type": "virtual-account", "name": "job", "tokens": ["env:JOB"], "models": ["fake/m"]},
    {"type": "pat", "name": "laptop", "user_fqn": "a@x.io", "tokens": ["env:USER"], "models": ["fake/m"]},
    {"type": "team", "name": "ml", "members": ["a@x.io", "b@x.io"], "models": ["fake/*"]},
]


def rate(name: str, limits: dict[str, int], **more: Any) -> dict[str, Any]:
    """A rate limit."""
    return {"type": "tenant-rate-limit-config/model", "name": name, "limits": limits, **more}


def budget(name: str, limits: dict[str, float], **more: Any) -> dict[str, Any]:
    """A budget of all calls together."""
    return {
        "type": "tenant-budget-config",
        "name": name,
        "limits": limits,
        "applies_to": {"type": "aggregate"},
        "mode": "enforce",
        **more,
    }


def config_of(*bodies: dict[str, Any]) -> Config:
    """These manifests beside the accounts and callers."""
    documents = [Document(body["type"], body["name"], body, Path("m.yaml"), 1) for body in (*BASE, *bodies)]
    checked = check_documents(documents, strict=False, secrets=SECRETS)
    assert checked.config is not None, checked.problems
    return checked.config


@dataclass
class Desk:
    """The room and what is behind it."""

    source: LimitsSource
    counters: CounterTable

    def client(self) -> TestClient:
        """A client of the control plane."""
        return Rooms(limits=self.source).client()

    def use(self, rule_id: str, entity: tuple[str, ...], amount: int) -> None:
        """Count *amount* for each limit of a rule."""
        rules = self.source.in_force.view().rules.every()
        rule = next(rule for rule in rules if rule.id == rule_id)
        charges = [meter.charge(amount, NOW_S) for meter in meters(rule, entity, is_enforced=False)]
        assert self.counters.reserve(charges).refused is None


def desk_of(
    *bodies: dict[str, Any], find_seen: Callable[[], Seen] = Seen, remote: RemoteCounters | None = None
) -> Desk:
    """A room over these rules, with nothing counted yet; *remote* is what replicas count."""
    config = config_of(*bodies)
    counters = counters_in_memory(places=64, now_s=lambda: NOW_S)
    in_force = LimitsInForce(
        lambda: config,
        lambda given: compile_snapshot(given, SECRETS, version=given.version, is_loopback=True),
        SECRETS,
        find_seen,
    )
    return Desk(LimitsSource(in_force, CounterReader(counters, remote, now_s=lambda: NOW_S)), counters)


def names_of(callers: tuple[Caller, ...]) -> list[str]:
    """Of each its kind and name."""
    return [f"{caller.kind}:{caller.name}" for caller in callers]
