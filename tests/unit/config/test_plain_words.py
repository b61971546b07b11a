"""Every slip of the pen is told in plain words, at its line, with what to do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.config import SecretSource, check
from gateway.config.document import Document
from gateway.config.manifests.known import IN_FORCE
from gateway.config.plain_words import _WORDS, found, nearest
from tests.unit.config.writing import check_text
from tests.unit.config.writing import found as told

OPENAI = """\
type: provider-account/openai
name: main
integrations:
  - name: gpt
    model_id: gpt-4o
"""
OTEL = """\
type: gateway-otel-config
name: sink
otel_traces_exporter_config:
  type: http
  endpoint: https://sink.example
"""
GLOBAL = """\
type: gateway-global-settings
retry_settings:
  attempts: 1
"""
CALLER = """\
type: virtual-account
name: app
models: ["*"]
"""
PROVIDER = """\
type: external-identity-provider
name: acme
issuer: https://login.acme.com
audiences: [api]
jwks_uri: https://login.acme.com/keys
algorithms: [RS256]
"""
LAB = """\
type: provider-account/self-hosted-model
name: lab
integrations:
  - name: qwen
    hosted_model_name: q
    url: http://h/v1
    model_server: tei
"""


@pytest.mark.parametrize(
    ("base", "old", "new", "expected"),
    [
        pytest.param(
            OPENAI,
            "    model_id: gpt-4o\n",
            "",
            "4 integrations.0.model_id: the field is missing. "
            "Add 'model_id': the name that the provider knows the model by",
            id="missing",
        ),
        pytest.param(
            OPENAI,
            "model_id",
            "modelid",
            "4 integrations.0.model_id: the field is missing. Rename 'modelid' to 'model_id'",
            id="misspelt",
        ),
        pytest.param(
            OPENAI,
            "    model_id: gpt-4o",
            "    model_id:",
            "5 integrations.0.model_id: the field is missing. "
            "Add 'model_id': the name that the provider knows the model by",
            id="null",
        ),
        pytest.param(
            OPENAI,
            "name: main\n",
            "",
            (
                "1 name: the field is missing. Add 'name': the first half of the model names: "
                "`<name>/<integration>`"
            ),
            id="no name",
        ),
        pytest.param(
            OPENAI,
            "gpt-4o",
            "4",
            "5 integrations.0.model_id: expected text, found a number. Put it in quotes",
            id="number for text",
        ),
        pytest.param(
            OPENAI,
            "gpt-4o",
            "[a]",
            "5 integrations.0.model_id: expected text, found a list. Write a piece of text",
            id="list for text",
        ),
        pytest.param(
            OPENAI,
            "gpt-4o",
            "''",
            "5 integrations.0.model_id: must not be empty. Write a value, or remove the field",
            id="empty",
        ),
        pytest.param(
            OPENAI,
            "name: main",
            f"name: {'x' * 129}",
            "2 name: longer than 128 characters. Shorten it",
            id="too long",
        ),
        pytest.param(
            OPENAI,
            "  - name: gpt\n    model_id",
            "    name: gpt\n    model_id",
            "3 integrations: expected a list, found a mapping. "
            "Start each item with '- ' on a line of its own, or write [a, b]",
            id="mapping for list",
        ),
        pytest.param(
            OPENAI,
            "integrations:\n",
            "integrations:\n  - gpt\n",
            (
                "4 integrations.0: expected a mapping, found text. Write 'key: value' lines, "
                "indented below this one"
            ),
            id="text for mapping",
        ),
        pytest.param(
            OPENAI,
            "name: main",
            "name: main\nauth_data: {type: api_key, api_key: 'env:X'}",
            "3 auth_data.type: expected api-key. Write api-key",
            id="one choice",
        ),
        pytest.param(
            OPENAI,
            "name: main",
            "name: main\nauth_data: {api_key: 'env:X'}",
            "3 auth_data.type: the field is missing. Add 'type'",
            id="no tag of one",
        ),
        pytest.param(
            OPENAI,
            "name: gpt",
            "name: gpt\n    cost: {metric: public}",
            (
                "5 integrations.0.cost.metric: expected one of: public_cost, per_1000_tokens, "
                "per_1000_embedding_tokens, "
                "per_million_characters, per_minute_of_audio, per_1000_pages, per_1000_searches. "
                "Did you mean 'public_cost'?"
            ),
            id="unknown tag",
        ),
        pytest.param(
            OPENAI,
            "name: gpt",
            "name: gpt\n    cost: {metric: per_1000_tokens, value: {input: 1}}",
            "5 integrations.0.cost.value.output: the field is missing. "
            "Add 'output': USD per 1,000 output tokens",
            id="missing below a tag",
        ),
        pytest.param(
            OPENAI,
            "name: main",
            "name: main\ndiscount_percent: -1",
            "3 discount_percent: must be at least 0. Write a number at least 0",
            id="below",
        ),
        pytest.param(
            OPENAI,
            "name: main",
            "name: main\ndiscount_percent: 101",
            "3 discount_percent: must be at most 100. Write a number at most 100",
            id="above",
        ),
        pytest.param(
            OPENAI,
            "name: main",
            "name: main\ndiscount_percent: '10'",
            "3 discount_percent: expected a number, found text. Write a number without quotes",
            id="text for number",
        ),
        pytest.param(
            OPENAI,
            "name: main",
            "name: main\npropagate_trace: 'true'",
            "3 propagate_trace: expected true or false, found text. Write true or false without quotes",
            id="text for truth",
        ),
        pytest.param(
            OPENAI,
            "name: main",
            "name: main\nbase_url: api.openai.com/v1",
            "3 base_url: not a URL that can be called. Write it as https://host[:port]/path",
            id="no URL",
        ),
        pytest.param(
            LAB,
            "tei",
            "vllm",
            "7 integrations.0.model_server: expected one of: openai-compatible, vllm-openai, tei, "
            "infinity, nemo-retriever, cohere-rerank-v2. Did you mean 'vllm-openai'?",
            id="misspelt choice",
        ),
        pytest.param(
            LAB,
            "tei",
            "tei\n    auth_data: {type: none}",
            "8 integrations.0.auth_data.type: expected one of: bearer-auth, basic-auth. Write one of them",
            id="unknown auth",
        ),
        pytest.param(
            LAB,
            "tei",
            "tei\n    auth_data: {bearer_token: 'env:X'}",
            (
                "8 integrations.0.auth_data.type: the field is missing. Add 'type': one of "
                "bearer-auth, basic-auth"
            ),
            id="auth without type",
        ),
        pytest.param(
            LAB,
            "tei",
            "tei\n    auth_data: env:X",
            "8 integrations.0.auth_data: expected a mapping, found text. "
            "Write 'key: value' lines, indented below this one",
            id="auth as text",
        ),
        pytest.param(
            LAB,
            "tei",
            "tei\n    headers: [a]",
            "8 integrations.0.headers: expected a mapping, found a list. "
            "Write 'key: value' lines, indented below this one",
            id="list for headers",
        ),
        pytest.param(
            LAB,
            "tei",
            "tei\n    headers: {x-a: 1}",
            "8 integrations.0.headers.x-a: expected text, found a number. Put it in quotes",
            id="number in headers",
        ),
        pytest.param(
            OTEL,
            "http\n",
            "https\n",
            "4 otel_traces_exporter_config.type: expected one of: http, grpc. Did you mean 'http'?",
            id="exporter type",
        ),
        pytest.param(
            OTEL,
            "endpoint: https://sink.example",
            "endpoint: https://sink.example\n  encoding: protobuf",
            "6 otel_traces_exporter_config.encoding: expected one of: proto, json. Did you mean 'proto'?",
            id="path below a tag",
        ),
        pytest.param(
            OTEL,
            "endpoint: https://sink.example",
            "endpoint: https://sink.example\n  additional_resource_attributes: {build: 7}",
            (
                "6 otel_traces_exporter_config.additional_resource_attributes.build: expected text, "
                "found a number. "
                "Put it in quotes"
            ),
            id="attribute",
        ),
        pytest.param(
            OTEL,
            "endpoint: https://sink.example",
            "endpoint: https://sink.example\n  batch: {max_spans: 0}",
            "6 otel_traces_exporter_config.batch.max_spans: must be above 0. Write a number above 0",
            id="not positive",
        ),
        pytest.param(
            OTEL,
            "endpoint: https://sink.example",
            "endpoint: https://sink.example\n  tls: {ca_file: 1}",
            "6 otel_traces_exporter_config.tls.ca_file: expected text, found a number. Put it in quotes",
            id="path",
        ),
        pytest.param(
            GLOBAL,
            "attempts: 1",
            "attempts: '1'",
            "3 retry_settings.attempts: expected a whole number, found text. Remove the quotes",
            id="quoted number",
        ),
        pytest.param(
            GLOBAL,
            "attempts: 1",
            "attempts: 1.5",
            "3 retry_settings.attempts: expected a whole number, found a number. Write a whole number",
            id="fraction",
        ),
        pytest.param(
            GLOBAL,
            "attempts: 1",
            "attempts: true",
            "3 retry_settings.attempts: expected a whole number, found true or false. Write a whole number",
            id="truth",
        ),
        pytest.param(
            GLOBAL,
            "attempts: 1",
            "attempts: 1\n  delay: 60001",
            "4 retry_settings.delay: must be at most 60,000. Write a number at most 60,000",
            id="bound with comma",
        ),
        pytest.param(
            GLOBAL,
            "attempts: 1",
            "attempts: 1\n  on_status_codes: ['5xx']",
            "4 retry_settings.on_status_codes.0: expected a whole number, found text. Write a whole number",
            id="status pattern",
        ),
        pytest.param(
            GLOBAL,
            "attempts: 1",
            "attempts: 1\n  on_status_codes: [999]",
            (
                "4 retry_settings.on_status_codes.0: not an HTTP status code. Write one from 100 to "
                '599, such as "503"'
            ),
            id="no status",
        ),
        pytest.param(
            GLOBAL,
            "retry_settings",
            "budget_settings: {refusal_status: 500}\nretry_settings",
            "2 budget_settings.refusal_status: expected one of: 429, 402. Write one of them",
            id="number choice",
        ),
        pytest.param(
            CALLER,
            'models: ["*"]',
            "models: '*'",
            (
                "3 models: expected a list, found text. Start each item with '- ' on a line of its "
                "own, or write [a, b]"
            ),
            id="text for list",
        ),
        pytest.param(
            CALLER,
            "name: app",
            "name: app\nexpiration_date: soon",
            "3 expiration_date: not a date or time that exists. "
            'Write a day ("2027-01-31") or a time ("2027-01-31T18:00:00Z")',
            id="date",
        ),
        pytest.param(
            CALLER,
            "name: app",
            "name: app\ntokens: ['env:']",
            "3 tokens.0: 'env:' is not followed by the name of an environment variable. "
            "Write env:NAME, file:PATH or tfy-secret://OWNER:GROUP:KEY",
            id="reference",
        ),
        pytest.param(
            CALLER,
            "name: app",
            "name: app\ntokens: ['sha256:5e88']",
            "3 tokens.0: 'sha256:' is not followed by 64 hexadecimal digits. "
            "Write what printf %s \"$TOKEN\" | sha256sum prints, without the '-' behind it",
            id="hash",
        ),
        pytest.param(
            PROVIDER,
            "algorithms: [RS256]",
            "algorithms: []",
            "6 algorithms: must not be empty. Write a value, or remove the field",
            id="an empty list",
        ),
        pytest.param(
            PROVIDER,
            "algorithms: [RS256]",
            "algorithms: [RS265]",
            "6 algorithms.0: expected one of: RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, "
            "EdDSA. Did you mean 'RS256'?",
            id="a list of one slip",
        ),
    ],
)
def test_slips(tmp_path: Path, base: str, old: str, new: str, expected: str) -> None:
    """One slip, one error: line, path, what, how to mend it."""
    assert old in base
    errors = [
        line for line in told(check_text(tmp_path, base.replace(old, new))) if line.startswith("error ")
    ]
    assert f"error {expected}" in errors
    assert [line for line in errors if "no provider account" not in line] == [f"error {expected}"]


def error_types(schema: Any) -> Iterator[str]:
    """What a core schema can refuse with, by its kind."""
    if isinstance(schema, dict):
        kind = schema.get("type")
        by_kind = {
            "str": "string_type",
            "int": "int_type",
            "float": "float_type",
            "bool": "bool_type",
            "dict": "dict_type",
            "model": "model_type",
            "literal": "literal_error",
            "tuple": "tuple_type",
            "tagged-union": "union_tag_invalid",
            "union": "a union without a tag",
        }
        if isinstance(kind, str) and kind in by_kind:
            yield by_kind[kind]
        for key, error in (
            ("ge", "greater_than_equal"),
            ("gt", "greater_than"),
            ("le", "less_than_equal"),
            ("lt", "less_than"),
            ("min_length", "string_too_short"),
            ("max_length", "string_too_long"),
        ):
            if kind in ("str", "int", "float") and key in schema:
                yield error
            elif kind in ("tuple", "dict") and key in schema:
                yield error.removeprefix("string_")
        for value in schema.values():
            yield from error_types(value)
    elif isinstance(schema, list | tuple):
        for value in schema:
            yield from error_types(value)


def test_every_kind_of_error_has_words() -> None:
    """No field can be refused in pydantic's own words: the table has all that its schemas may raise."""
    kinds = {kind for model in IN_FORCE.values() for kind in error_types(model.__pydantic_core_schema__)}
    assert kinds >= {"string_type", "literal_error", "union_tag_invalid"}
    assert kinds - set(_WORDS) - {"union_tag_invalid"} == set()


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
SHAPES = {
    "provider-account/openai": ["name", "auth_data", "base_url", "integrations", "collaborators", "ownedBy"],
    "provider-account/self-hosted-model": ["name", "integrations", "propagate_trace"],
    "virtual-account": ["name", "tokens", "models", "permissions", "expiration_date", "tags"],
    "gateway-otel-config": ["name", "otel_traces_exporter_config", "otel_metrics_exporter_config"],
    "gateway-global-settings": ["retry_settings", "logging_settings", "telemetry_settings"],
}


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_any_plain_data_is_told_in_plain_words(data: st.DataObject) -> None:
    """Property: whatever stands in a manifest, a check ends, and nothing of pydantic's is in its words."""
    kind = data.draw(st.sampled_from(sorted(SHAPES)))
    body = {"type": kind, **data.draw(st.dictionaries(st.sampled_from(SHAPES[kind]), ANYTHING))}
    document = Document(kind, "n", body, Path("m.yaml"), 1)
    checked = check.check_documents([document], strict=False, secrets=SecretSource({}))
    for problem in checked.problems:
        assert "pydantic" not in str(problem).lower()
        assert "not valid here" not in problem.message
        assert "Input should" not in problem.message


def test_found_names_every_kind() -> None:
    """In words of YAML, not of Python."""
    values: list[object] = [None, True, "x", 1, 1.5, [], {}]
    assert [found(value) for value in values] == [
        "nothing",
        "true or false",
        "text",
        "a number",
        "a number",
        "a list",
        "a mapping",
    ]


def test_nearest() -> None:
    """A question, or nothing when no name is near."""
    assert nearest("integration", ["integrations", "name"]) == "Did you mean 'integrations'?"
    assert nearest("zzz", ["integrations", "name"]) == ""


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("provider-account/gemini", "Did you mean 'provider-account/google-gemini'?"),
        ("provider-account/bedrock", "Did you mean 'provider-account/aws-bedrock'?"),
        ("provider-account/vertex", "Did you mean 'provider-account/google-vertex'?"),
        ("provider-account/opnai", "Did you mean 'provider-account/openai'?"),
        ("provider_account/openai", "Did you mean 'provider-account/openai'?"),
        ("provider-account/", ""),
        ("provider-account/zzz", ""),
    ],
)
def test_nearest_of_types(written: str, expected: str) -> None:
    """A part of a name leads to it, and a beginning that all share does not count."""
    known = [
        f"provider-account/{name}" for name in ("openai", "google-gemini", "google-vertex", "aws-bedrock")
    ]
    assert nearest(written, [*known, "virtual-account"]) == expected
