"""Which variables of the environment are told of as unknown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from gateway.config.document import Document
from gateway.supervisor.unknown_variables import KNOWN, OF_OTHERS, warnings_of

ROOT: Final = Path(__file__).resolve().parents[3]
# What an operator, a load test or the rig has in the environment that a gateway is started from.
PLACES: Final = (
    "README.md",
    "Makefile",
    ".ci",
    "deploy",
    "docs",
    "gateway",
    "perf",
    "tests/rig",
    "tests/browser",
)
SUFFIXES: Final = {"", ".example", ".html", ".js", ".md", ".py", ".service", ".sh", ".yaml"}
_NAME: Final = re.compile(r"(?<![A-Z_])GATEWAY_[A-Z][A-Z0-9_]*(?<!_)(?![A-Z0-9_])")


def told(*names: str, value: str = "x", body: Any = None) -> list[str]:
    documents = [] if body is None else [Document("t", "n", body, Path("m.yaml"), 1)]
    return list(warnings_of(dict.fromkeys(names, value), documents))


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("GATEWAY_WORKES", "GATEWAY_WORKERS"),
        ("GATEWAY_LOGLEVEL", "GATEWAY_LOG_LEVEL"),
        ("GATEWAY_workers", "GATEWAY_WORKERS"),
        ("GATEWAY_ADMIN_TOKENS", "GATEWAY_ADMIN_TOKEN"),
        ("GATEWAY_CONTROLPORT", "GATEWAY_CONTROL_PORT"),
        ("GATEWAY_REDIS-URL", "GATEWAY_REDIS_URL"),
    ],
)
def test_misspelt(name: str, meant: str) -> None:
    """With the nearest that there is."""
    assert told(name) == [f"{name} is no setting of the gateway and does nothing. Did you mean '{meant}'?"]


def test_nothing_near() -> None:
    """No guess, and never a value, which may be a secret."""
    assert told("GATEWAY_XYZZY_QQ", value="s3cret") == [
        "GATEWAY_XYZZY_QQ is no setting of the gateway and does nothing."
    ]


@pytest.mark.parametrize(
    "name",
    [
        *sorted(KNOWN | OF_OTHERS),
        "GATEWAY_TEST_SHARED",
        "LLM_GATEWAY_METADATA_LOGGING_KEYS",
        "DEFAULT_GATEWAY_METADATA",
        "GATEWAYS",
    ],
)
def test_known(name: str) -> None:
    """What is a setting, what others read who stand beside, and what is not ours."""
    assert told(name) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GATEWAY_SERVICE_HOST", "10.0.0.1"),
        ("GATEWAY_SERVICE_PORT", "8787"),
        ("GATEWAY_SERVICE_PORT_CALLS", "8787"),
        ("GATEWAY_PORT", "tcp://10.0.0.1:8787"),
        ("GATEWAY_PORT_8787_TCP", "tcp://10.0.0.1:8787"),
        ("GATEWAY_PORT_8787_TCP_PROTO", "tcp"),
        ("GATEWAY_PORT_8787_TCP_PORT", "8787"),
        ("GATEWAY_PORT_8787_TCP_ADDR", "10.0.0.1"),
        ("GATEWAY_CONTROL_SERVICE_HOST", "10.0.0.2"),
        ("GATEWAY_METRICS_PORT", "udp://10.0.0.3:9"),
        ("GATEWAY_METRICS_PORT_9_UDP_ADDR", "10.0.0.3"),
    ],
)
def test_services_of_kubernetes(name: str, value: str) -> None:
    """Every pod beside a Service called `gateway`, or `gateway-control`, has these."""
    assert told(name, value=value) == []


def test_a_port_that_is_no_service() -> None:
    """A setting misspelt is told of, though the name looks like that of a Service."""
    assert len(told("GATEWAY_CONTRL_PORT", value="8788")) == 1


def test_what_a_manifest_names() -> None:
    """Secrets may have any name; only what is a reference counts."""
    body = {
        "auth_data": {"api_key": "env:GATEWAY_LAB_SECRET"},
        "headers": [{"authorization": "ApiKey env:GATEWAY_SINK_SECRET"}],
        "name": "about env:GATEWAY_OTHER_SECRET too",
        "weight": 1,
    }
    names = ("GATEWAY_LAB_SECRET", "GATEWAY_SINK_SECRET", "GATEWAY_OTHER_SECRET")
    assert [line.partition(" ")[0] for line in told(*names, body=body)] == ["GATEWAY_OTHER_SECRET"]


def test_what_this_repository_names() -> None:
    """Whoever follows a page, or has the environment of a tool, is told of nothing."""
    names = set(names_in(ROOT / place for place in PLACES))
    assert len(names) > len(KNOWN)
    assert told(*names) == []


def names_in(places: Iterable[Path]) -> Iterator[str]:
    for place in places:
        files = place.rglob("*") if place.is_dir() else [place]
        for file in files:
            if file.is_file() and file.suffix in SUFFIXES:
                yield from _NAME.findall(file.read_text())
