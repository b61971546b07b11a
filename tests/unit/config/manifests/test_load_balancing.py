"""Targets, strategies and rules, as manifests have them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.config.manifests.load_balancing import (
    FALLBACK_STATUS_CODES,
    HeadersOverride,
    PriorityBasedRouting,
    WeightBasedRouting,
    model_name,
)
from tests.unit.config.writing import ACCOUNT, CALLER, check_text, found

GROUP = """\
type: provider-account/virtual-model
name: vm
integrations:
  - name: chat
    routing_config:
"""


def findings(folder: Path, *lines: str) -> list[str]:
    """What is found in a `routing_config` of these lines, the first of which is line 21."""
    text = GROUP + "".join(f"      {line}\n" for line in lines)
    lines_found = found(check_text(folder, ACCOUNT, CALLER, text))
    return [line.replace("integrations.0.routing_config", "route") for line in lines_found]


def test_what_holds_where_nothing_is_written() -> None:
    """TrueFoundry's defaults, but for the statuses that say as clearly that a target cannot answer."""
    routing = WeightBasedRouting.model_validate(
        {"type": "weight-based-routing", "load_balance_targets": [{"target": "lab/qwen", "weight": 1}]}
    )
    (target,) = routing.load_balance_targets
    assert target.retry_config.model_dump() == {
        "attempts": 2,
        "delay": 100,
        "on_status_codes": (429, 500, 502, 503),
    }
    assert {401, 403, 404, 429, 500, 502, 503} < set(target.fallback_status_codes)
    assert {402, 405, 408, 410, 504, 529} < set(target.fallback_status_codes)
    assert target.fallback_status_codes == FALLBACK_STATUS_CODES
    assert target.fallback_candidate
    assert (target.override_params, target.metadata_match) == ({}, {})
    assert set(target.timeouts.model_dump().values()) == {None}
    assert routing.sticky_routing is None
    assert routing.hedging is None


def test_status_codes_are_text_or_numbers() -> None:
    """Theirs are text."""
    routing = PriorityBasedRouting.model_validate(
        {
            "type": "priority-based-routing",
            "load_balance_targets": [
                {
                    "target": "a/b",
                    "fallback_status_codes": ["429", 503],
                    "retry_config": {"attempts": 1, "on_status_codes": ["502"]},
                }
            ],
        }
    )
    (target,) = routing.load_balance_targets
    assert target.fallback_status_codes == (429, 503)
    assert target.retry_config.on_status_codes == (502,)
    assert target.priority == 0


@pytest.mark.parametrize(
    ("written", "name"),
    [
        pytest.param("main/gpt-4o", "main/gpt-4o", id="name"),
        pytest.param("lab/org/small:latest", "lab/org/small:latest", id="name with a slash and a colon"),
        pytest.param("acme:openai:main:model:gpt-4o", "main/gpt-4o", id="resource name"),
        pytest.param("acme:openai:main:model:org/small", "main/org/small", id="resource name with a slash"),
        pytest.param("acme:openai:main", "acme:openai:main", id="an account is no model"),
    ],
)
def test_names_of_targets(written: str, name: str) -> None:
    """A target may be written as a resource, whatever its tenant."""
    assert model_name(written) == name


def test_headers() -> None:
    """Names have no case."""
    override = HeadersOverride.model_validate({"set": {"X-Team": "ml"}, "remove": ["X-Debug"]})
    assert override.remove == ("x-debug",)
    assert list(override.set_) == ["X-Team"]


WEIGHT = ("type: weight-based-routing", "load_balance_targets:")
ONE = "- {target: lab/qwen, weight: 1}"


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        pytest.param((*WEIGHT, ONE), [], id="right"),
        pytest.param(
            ("load_balance_targets: [{target: lab/qwen}]",),
            [
                (
                    "error 20 route.type: the field is missing. Add 'type': one of "
                    "weight-based-routing, priority-based-routing, latency-based-routing, "
                    "complexity-based-routing"
                )
            ],
            id="no strategy",
        ),
        pytest.param(
            ("type: weight-based", *WEIGHT[1:], ONE),
            [
                (
                    "error 21 route.type: expected one of: weight-based-routing, "
                    "priority-based-routing, latency-based-routing, complexity-based-routing. Did you mean "
                    "'weight-based-routing'?"
                )
            ],
            id="unknown strategy",
        ),
        pytest.param(
            ("type: weight-based-routing", "load_balance_targets: []"),
            [
                (
                    "error 20 route: load_balance_targets is empty. Add "
                    "'- target: <account>/<model>'"
                )
            ],
            id="no targets",
        ),
        pytest.param(
            (*WEIGHT, "- {target: lab/qwen}"),
            [
                (
                    "error 23 route.load_balance_targets.0.weight: the field is missing. "
                    "Add 'weight': its share of the calls, in relation to the others'"
                )
            ],
            id="no weight",
        ),
        pytest.param(
            (*WEIGHT, "- {target: lab/qwen, weight: 0}"),
            [
                (
                    "error 20 route: every weight is 0, so no target would be chosen. "
                    "Give one a weight above 0"
                )
            ],
            id="no weight above 0",
        ),
        pytest.param(
            (*WEIGHT, "- {target: lab/qwen, weight: 0.5}"),
            [
                (
                    "error 23 route.load_balance_targets.0.weight: expected a whole "
                    "number, found a number. Write a whole number"
                )
            ],
            id="half a weight",
        ),
        pytest.param(
            (*WEIGHT, "- {target: lab/qwen, weight: 1, override_params: {model: x, temperature: 0}}"),
            [
                (
                    "error 23 route.load_balance_targets.0.override_params: 'model' is "
                    "what is asked, which no target may change. Remove 'model'"
                )
            ],
            id="another model",
        ),
        pytest.param(
            (*WEIGHT, "- {target: lab/qwen, weight: 1, headers_override: {remove: [host]}}"),
            [
                (
                    "error 23 route.load_balance_targets.0.headers_override.remove.0: "
                    "'host' is set by the gateway itself. Remove that header"
                )
            ],
            id="a header of the connection",
        ),
        pytest.param(
            (*WEIGHT, "- {target: lab/qwen, weight: 1, metadata_match: {tier: 1}}"),
            [
                (
                    "error 23 route.load_balance_targets.0.metadata_match.tier: expected "
                    "text, found a number. Put it in quotes"
                )
            ],
            id="metadata are text",
        ),
        pytest.param(
            (*WEIGHT, ONE, "sticky_routing: {ttl_seconds: 60, session_identifiers: []}"),
            [
                (
                    "error 24 route.sticky_routing: session_identifiers is empty, so no "
                    "call belongs to a session. Add one, such as {source: headers, key: x-user}"
                )
            ],
            id="sessions without a name",
        ),
        pytest.param(
            (
                *WEIGHT,
                ONE,
                "sticky_routing: {ttl_seconds: 60, session_identifiers: [{source: headers, key: x user}]}",
            ),
            [
                (
                    "error 24 route.sticky_routing.session_identifiers.0: the key is no "
                    "header name that HTTP allows. Use letters, digits and '-'"
                )
            ],
            id="no header",
        ),
        pytest.param(
            (*WEIGHT, ONE, "sticky_routing: {ttl_seconds: 0, session_identifiers: [{source: body, key: a}]}"),
            [
                (
                    "error 24 route.sticky_routing.ttl_seconds: must be above 0. Write a "
                    "number above 0"
                ),
                (
                    "error 24 route.sticky_routing.session_identifiers.0.source: expected "
                    "one of: headers, metadata. Write one of them"
                ),
            ],
            id="no session",
        ),
        pytest.param(
            (*WEIGHT, ONE, "hedging: {min_delay_ms: 20, max_delay_ms: 10}"),
            [
                (
                    "error 24 route.hedging: max_delay_ms is less than min_delay_ms. Write "
                    "a greater max_delay_ms"
                )
            ],
            id="hedging never",
        ),
        pytest.param(
            (*WEIGHT, ONE, "hedging: {quantile: 1}"),
            [
                (
                    "error 24 route.hedging.quantile: must be below 1. Write a number "
                    "below 1"
                )
            ],
            id="hedging after all",
        ),
        pytest.param(
            ("type: complexity-based-routing", "load_balance_targets: [{target: lab/qwen, tier: hard}]"),
            [
                (
                    "error 22 route.load_balance_targets.0.tier: expected one of: simple, "
                    "medium, complex. Write one of them"
                )
            ],
            id="unknown tier",
        ),
        pytest.param(
            (
                "type: complexity-based-routing",
                "load_balance_targets: [{target: lab/qwen, tier: simple}]",
                "classification_strategy: {type: llm-classifier, model: lab/qwen}",
            ),
            [
                (
                    "error 23 route.classification_strategy.fallback_strategy: the field is missing. "
                    "Add 'fallback_strategy': with `llm-classifier`: what happens when it has not "
                    "judged by then"
                )
            ],
            id="a classifier without a fallback",
        ),
    ],
)  # fmt: skip
def test_slips(tmp_path: Path, lines: tuple[str, ...], expected: list[str]) -> None:
    """Each is told with its line and how to mend it."""
    assert findings(tmp_path, *lines) == expected


def test_literal_secrets(tmp_path: Path) -> None:
    """A header that looks like a credential wants a reference; others may stand in the open."""
    lines = findings(
        tmp_path,
        *WEIGHT,
        "- {target: lab/qwen, weight: 1, headers_override: {set: {x-team: ml, x-key: abc}}}",
    )
    assert [line.partition(": ")[0].rpartition(".")[2] for line in lines] == ["x-key"]
    lines = findings(
        tmp_path, *WEIGHT, "- {target: lab/qwen, weight: 1, headers_override: {set: {x-key: env:GONE}}}"
    )
    assert [line.rpartition("; ")[2] for line in lines] == ["until then this target is unavailable"]


def test_rules_have_a_strategy_of_three(tmp_path: Path) -> None:
    """Complexity is for virtual models alone, as at TrueFoundry."""
    rule: dict[str, Any] = {"id": "r", "when": {}, "type": "complexity-based-routing"}
    text = f"type: gateway-load-balancing-config\nrules: [{rule}]\n".replace("'", '"')
    (problem,) = check_text(tmp_path, ACCOUNT, CALLER, text).errors
    assert problem.message == (
        "expected one of: weight-based-routing, priority-based-routing, latency-based-routing"
    )
