"""What the callers of a soak ask, and of whom: good providers, and such as fail in every way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tests.rig.behaviours import forever, huge, provider_error, reset_before_head
from tests.rig.fake_upstream import Behaviour
from tests.rig.gateway_process import Document
from tests.rig.limited_gateway import rate
from tests.rig.manifests import by_priority, openai_account, otel_config, virtual_account, virtual_models
from tests.rig.mixed_load import CHAT, GOOD_ASKS, Ask, chat_ask, has_status, has_text
from tests.rig.mixed_load import PROVIDER as GOOD
from tests.rig.raw_http import events

LATE_MS: Final = 1_500
"""How long a provider may be silent where another stands behind it."""

PROVIDER: Final[dict[str, Behaviour]] = {
    **GOOD,
    "big-answer": huge(2_000_000),
    "again-500": provider_error(500),
    "again-429": provider_error(429),
    "again-reset": reset_before_head,
    "again-hang": forever,
}
"""How the models of the fake provider behave."""

_NOBODY: Final = "nobody"
_FALLEN: Final = ("again-500", "again-429", "again-reset", "again-hang")


def _ends_with_error(status: int, body: bytes) -> bool:
    """A stream that the provider cut: what had come, and an error event."""
    last = next((text for text in reversed(events(body)) if text != "[DONE]"), "")
    return status == 200 and '"error"' in last


ASKS: Final[Sequence[Ask]] = (
    *GOOD_ASKS,
    Ask("big answer", 0.3, CHAT, chat_ask("fake/big-answer"), has_status(200)),
    Ask("limited", 3, CHAT, chat_ask("limited/normal"), has_status(200, 429), spans=1),
    *(
        Ask(f"rescued from {name.removeprefix('again-')}", 0.6, CHAT, chat_ask(f"rescued/{name}"), has_text)
        for name in _FALLEN
    ),
    Ask("500", 0.4, CHAT, chat_ask("broken/error-500"), has_status(500, 502, 503), spans=1),
    Ask("429", 0.4, CHAT, chat_ask("broken/error-429"), has_status(429, 503), spans=1),
    Ask("reset", 0.4, CHAT, chat_ask("broken/reset-before-head"), has_status(502, 503), spans=1),
    Ask("cut stream", 0.4, CHAT, chat_ask("cutting/cut-reset", stream=True), _ends_with_error),
    Ask("caller leaves", 1.5, CHAT, chat_ask("fake/paced", stream=True), has_status(200), leaves=True),
    Ask("caller leaves a hanging one", 0.3, CHAT, chat_ask("hanging/hang"), has_status(200), leaves=True),
    Ask("wrong key", 0.4, CHAT, chat_ask("fake/normal"), has_status(401), spans=1, token=_NOBODY),
)


def documents(upstream: str, voices: str, sink: str) -> list[Document]:
    """The manifests that these calls need."""
    once = {"retry_config": {"attempts": 0}}
    silent = {"gap_ms": LATE_MS, "first_token_ms": LATE_MS}
    best = {"target": "fake/normal", **once}
    rescued = {
        name: by_priority([{"target": f"falling/{name}", "timeouts": silent, **once}, best])
        for name in _FALLEN
    }
    return [
        openai_account("fake", upstream, ["normal", "paced", "big-answer"]),
        openai_account("limited", upstream, ["normal"]),
        openai_account("falling", upstream, _FALLEN),
        openai_account("broken", upstream, ["error-500", "error-429", "reset-before-head"]),
        openai_account("cutting", upstream, ["cut-reset"]),
        openai_account("hanging", upstream, ["hang"]),
        openai_account("voices", voices, ["m"]),
        virtual_models("rescued", rescued),
        virtual_account("app", ["env:APP_TOKEN"], ["*"]),
        rate("soak", ["limited/normal"], {"requests_per_minute": 60}),
        otel_config(sink),
        {
            "type": "gateway-global-settings",
            "name": "global",
            # Nothing is left alone for having failed: faults are to go on.
            "routing_settings": {"circuit_breaker": {"failures": 1_000}},
        },
    ]
