"""Addresses in manifests that are not called are told of, with the setting that decides."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.config.writing import ACCOUNT, CALLER, check_text

OPENAI = """\
type: provider-account/openai
name: cloud
base_url: {url}
integrations: [{{name: m, model_id: m}}]
"""
SETTINGS = "type: gateway-global-settings\negress_settings: {{{settings}}}\n"
GRPC = """\
type: gateway-otel-config
name: d
otel_traces_exporter_config: {type: grpc, endpoint: "169.254.1.1:4317"}
"""


@pytest.mark.parametrize(
    ("url", "settings", "message"),
    [
        ("http://169.254.169.254/v1", "", "is never called"),
        ("http://0xa9fea9fe/v1", "", "is never called"),
        ("http://metadata.google.internal/v1", "", "is never called"),
        ("http://127.0.0.1:1/v1", "private_addresses: refuse", "egress_settings.private_addresses is refuse"),
        ("https://api.test/v1", "deny: [api.test]", "is in egress_settings.deny"),
    ],
)
def test_what_is_not_called(tmp_path: Path, url: str, settings: str, message: str) -> None:
    """An error at the address itself."""
    texts = [ACCOUNT, CALLER, OPENAI.format(url=url), SETTINGS.format(settings=settings)]
    problems = [one for one in check_text(tmp_path, *texts).problems if one.path == "base_url"]
    assert [message in one.message for one in problems] == [True]
    assert "egress_settings" in problems[0].fix


@pytest.mark.parametrize(
    ("url", "settings"),
    [
        ("http://127.0.0.1:1/v1", ""),
        ("http://10.0.0.1/v1", ""),
        ("http://169.254.169.254/v1", "allow: [169.254.169.254]"),
        ("http://10.0.0.1/v1", "private_addresses: refuse, allow: [10.0.0.0/8, 'http.corp', 127.0.0.1]"),
        # Where the name leads to is known when it is called.
        ("http://llm.corp/v1", "private_addresses: refuse, allow: [127.0.0.1]"),
    ],
)
def test_what_is_called(tmp_path: Path, url: str, settings: str) -> None:
    """By default all that is used at home, and what is allowed."""
    texts = [ACCOUNT, CALLER, OPENAI.format(url=url), SETTINGS.format(settings=settings)]
    checked = check_text(tmp_path, *texts)
    assert [one for one in checked.problems if one.path.endswith("url")] == []
    assert checked.config is not None


def test_without_a_scheme(tmp_path: Path) -> None:
    """GRPC's `host:port` is an address too."""
    (problem,) = check_text(tmp_path, ACCOUNT, CALLER, GRPC).errors
    assert problem.path == "otel_traces_exporter_config.endpoint"


@pytest.mark.parametrize("settings", ["allow: [10.0.0.0/40]", "deny: ['http://x']", "private_addresses: no"])
def test_a_slip_opens_nothing(tmp_path: Path, settings: str) -> None:
    """What is no place is refused whole."""
    checked = check_text(tmp_path, ACCOUNT, CALLER, SETTINGS.format(settings=settings))
    assert checked.config is None
