"""The names of span attributes."""

from __future__ import annotations

from collections.abc import Iterator

from opentelemetry.proto.trace.v1.trace_pb2 import Span

from gateway.telemetry import attributes
from gateway.wire.otlp import AttributeKey


def keys() -> Iterator[AttributeKey]:
    for value in vars(attributes).values():
        if isinstance(value, AttributeKey):
            yield value
        elif isinstance(value, dict):
            yield from (key for key in value.values() if isinstance(key, AttributeKey))


def name_of(key: AttributeKey) -> str:
    return Span.FromString(key.integer(1)).attributes[0].key


def test_each_name_has_one_key() -> None:
    """A name is written in one place: two keys of one name could stand on one span."""
    found: dict[str, AttributeKey] = {}
    for key in keys():
        assert found.setdefault(name_of(key), key) is key, name_of(key)


def test_names_are_known_families() -> None:
    """Every name is of the conventions, TrueFoundry's or ours; `gateway.*` alone is made up here."""
    families = {
        "http",
        "url",
        "client",
        "server",
        "user_agent",
        "error",
        "service",
        "peer",
        "gen_ai",
        "openai",
        "gateway",
        "tfy",
        "applied_loadbalance_rule_ids",
        "applied_ratelimit_rule_ids",
        "applied_budget_rule_ids",
    }
    assert {name_of(key).partition(".")[0] for key in keys()} <= families
