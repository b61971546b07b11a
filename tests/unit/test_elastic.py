"""What Elastic wants of endpoints and keys."""

from __future__ import annotations

import base64

import pytest

from gateway.elastic import (
    KeyMistake,
    Product,
    authorization_in,
    find_key_mistake,
    find_wrong_product,
    is_elastic_endpoint,
    other_signal_in,
    takes_bearer,
)

KEY = base64.b64encode(b"id:api-key-of-some-length").decode()


@pytest.mark.parametrize(
    ("authorization", "expected"),
    [
        (f"ApiKey {KEY}", None),
        (f"apikey {KEY}", None),
        ("", KeyMistake.MISSING),
        ("  ", KeyMistake.MISSING),
        (KEY, KeyMistake.NO_PREFIX),
        ("id:api-key", KeyMistake.NO_PREFIX),
        (f"ApiKey{KEY}", KeyMistake.NO_PREFIX),
        (f"Bearer {KEY}", KeyMistake.BEARER),
        (f"Basic {KEY}", KeyMistake.BEARER),
        ("ApiKey id:api-key", KeyMistake.NOT_BASE64),
        (f"ApiKey {KEY[:-3]}", KeyMistake.NOT_BASE64),
        (f"ApiKey ApiKey {KEY}", KeyMistake.NOT_BASE64),
        (f"ApiKey {base64.b64encode(b'the-key-alone').decode()}", KeyMistake.NO_COLON),
    ],
)
def test_key_mistakes(authorization: str, expected: KeyMistake | None) -> None:
    """Each way in which newcomers write the header."""
    assert find_key_mistake(authorization) is expected


@pytest.mark.parametrize(
    ("endpoint", "is_elastic", "product"),
    [
        ("https://p.ingest.eu-west-1.aws.elastic.cloud:443/v1/traces", True, None),
        ("https://motlp.eu-west-1.aws.elastic.cloud", True, None),
        ("https://p.kb.eu-west-1.aws.elastic.cloud/app/apm", True, Product.KIBANA),
        ("https://p.es.eu-west-1.aws.elastic.cloud:443", True, Product.ELASTICSEARCH),
        ("https://p.us-east-1.aws.found.io:9243", True, Product.ELASTICSEARCH),
        ("http://localhost:5601/v1/traces", False, Product.KIBANA),
        ("http://localhost:9200/v1/traces", False, Product.ELASTICSEARCH),
        ("http://localhost:4318/v1/traces", False, None),
        ("https://ingest.example.com/v1/traces", False, None),
        ("https://notelastic.cloud", False, None),
        ("https://[broken", False, None),
    ],
)
def test_endpoints(endpoint: str, *, is_elastic: bool, product: Product | None) -> None:
    """By host name and port."""
    assert is_elastic_endpoint(endpoint) is is_elastic
    assert find_wrong_product(endpoint) is product


def test_apm_servers_take_bearer() -> None:
    """Their secret token goes by Bearer."""
    assert takes_bearer("https://p.apm.eu-west-1.aws.elastic.cloud/v1/traces")
    assert not takes_bearer("https://p.ingest.eu-west-1.aws.elastic.cloud/v1/traces")


def test_header_names_have_no_case() -> None:
    """`authorization` is `Authorization`."""
    assert authorization_in({"X": "1", "authorization": "ApiKey x"}) == "ApiKey x"
    assert authorization_in({}) == ""


@pytest.mark.parametrize(
    ("endpoint", "signal", "expected"),
    [
        ("http://c:4318/v1/metrics", "traces", "metrics"),
        ("http://c:4318/otlp/v1/traces/?x=1", "metrics", "traces"),
        ("http://c:4318/v1/logs", "traces", "logs"),
        ("http://c:4318/v1/traces", "traces", ""),
        ("http://c:4318/v1/metrics/v1/traces", "traces", ""),
        ("http://c:4318", "traces", ""),
        ("http://c:4318/v1/mine", "metrics", ""),
        ("http://[", "traces", ""),
    ],
)
def test_paths_of_other_signals(endpoint: str, signal: str, expected: str) -> None:
    """By the end of the path."""
    assert other_signal_in(endpoint, signal) == expected
