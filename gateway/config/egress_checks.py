"""Addresses in manifests that the gateway would not call, told before anybody waits for an answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from gateway.config.document import FieldPath
from gateway.config.manifests.global_settings import EgressSettings, GlobalSettings
from gateway.config.problem import Problem
from gateway.config.reading import Reading
from gateway.egress import EgressRules, read_places

_CALLED: Final = ("url", "_uri", "endpoint", "host", "authority")
"""How the names of fields end that the gateway calls."""

_FIX: Final = "Write another address, or change egress_settings of gateway-global-settings"


def egress_rules(settings: EgressSettings) -> EgressRules:
    """What connections are held to."""
    return EgressRules(
        read_places(settings.allow),
        read_places(settings.deny),
        refuses_private=settings.private_addresses == "refuse",
    )


def check_egress(readings: Sequence[Reading]) -> Iterator[Problem]:
    """Findings about what is written as an address; names are looked up when they are called."""
    settings = [one.in_force for one in readings if isinstance(one.in_force, GlobalSettings)]
    rules = egress_rules(settings[0].egress_settings if settings else EgressSettings())
    for reading in readings:
        for path, url in _urls((), reading.document.body):
            if refusal := rules.refusal_of_host(_host_in(url)):
                yield reading.document.error(path, refusal, _FIX)


def _urls(path: FieldPath, value: Any) -> Iterator[tuple[FieldPath, str]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _urls((*path, key), inner)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _urls((*path, index), inner)
    elif isinstance(value, str) and path and str(path[-1]).lower().endswith(_CALLED):
        yield path, value


def _host_in(url: str) -> str:
    """The host of a URL, or of the `host:port` that gRPC takes; "" for neither, as in a reference."""
    try:
        return urlsplit(url if "://" in url else f"//{url}").hostname or ""
    except ValueError:
        return ""
