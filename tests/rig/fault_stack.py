"""A gateway in front of providers that get things wrong, and the official clients at it.

    openai, anthropic SDK -> gateway -> faulty: one account for each fault and dialect
                                     └> good: answers whatever it is asked

Every call has models of its own, so that what one call taught the gateway of a target changes no other call.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import anthropic
import openai

from tests.conformance.matrix_asks import PATHS, Clients, Told, ask
from tests.rig.fake_upstream import ClosedPort, Exchange, FakeUpstream
from tests.rig.faults import FAULTS, FaultyProvider
from tests.rig.gateway_process import Document, GatewayProcess
from tests.rig.manifests import (
    APP_TOKEN,
    ENVIRONMENT,
    anthropic_account,
    openai_account,
    self_hosted_account,
    virtual_account,
)
from tests.rig.matrix_upstream import Providers

TIMEOUT_S: Final = 30.0
RETRIED: Final = (429, 500, 502, 503)
RETRIES: Final = 1
LIMIT_S: Final = 0.4
"""Of whatever may be silent."""

REFUSED: Final = "refused"
_KINDS: Final = {
    "chat completions": "chat",
    "Responses": "responses",
    "Messages": "messages",
}


@dataclass(frozen=True)
class Meeting:
    """A caller of one dialect, and a provider of the same or another.

    Attributes:
        path: The caller's, as `PATHS` has it.
        account: The provider's, without the fault's name.
        kind: What the provider is asked for then, as `VOICES` has it.
    """

    path: str
    account: str
    kind: str

    def __str__(self) -> str:
        """Its id."""
        return f"{_KINDS[self.path]}-at-{self.account}"


MEETINGS: Final = (
    Meeting("chat completions", "openai", "chat"),
    Meeting("Responses", "openai", "responses"),
    Meeting("Messages", "claude", "messages"),
)
"""Callers that are understood as they are."""

FOREIGN_MEETINGS: Final = (
    Meeting("chat completions", "claude", "messages"),
    Meeting("Responses", "lab", "chat"),
    Meeting("Responses", "claude", "messages"),
    Meeting("Messages", "openai", "chat"),
)
"""Callers whose words are translated."""


@dataclass(frozen=True)
class FaultCall:
    """One call to be made: who asks whom, and what goes wrong."""

    fault: str
    meeting: Meeting
    is_stream: bool

    def __str__(self) -> str:
        """Its id."""
        return f"{self.fault}-{self.meeting}-{self.how}"

    @property
    def how(self) -> str:
        """Whole or streamed."""
        return "stream" if self.is_stream else "whole"

    @property
    def alone(self) -> str:
        """The model that only the faulty provider has."""
        return f"{self.meeting.account}-{self.fault}/{_KINDS[self.meeting.path]}-{self.how}"


def fault_calls(meetings: tuple[Meeting, ...]) -> list[FaultCall]:
    """Every call with every fault that it can meet."""
    return [
        FaultCall(name, meeting, is_stream)
        for name, fault in FAULTS.items()
        for meeting in meetings
        for is_stream in (False, True)
        if fault.happens(meeting.kind, is_stream=is_stream)
    ]


@dataclass(frozen=True)
class FaultStack:
    """What runs."""

    gateway: GatewayProcess
    faulty: FakeUpstream
    good: FakeUpstream
    clients: Clients

    def forget(self) -> None:
        """Clear what was seen."""
        self.faulty.forget()
        self.good.forget()

    def ask(self, call: FaultCall, model: str, **headers: str) -> Told:
        """Make *call* of *model* with the SDK of its dialect."""
        path = PATHS[call.meeting.path]
        more = {"extra_headers": {name.replace("_", "-"): value for name, value in headers.items()}}
        asking = replace(path, ask=lambda feature: {**path.ask(feature), **more})
        return ask(self.clients, asking, "text", model, is_stream=call.is_stream)

    @property
    def calls_of_faulty(self) -> list[Exchange]:
        """Each call that the failing providers got."""
        return list(self.faulty.exchanges)

    @property
    def calls_of_good(self) -> list[Exchange]:
        """Each call that the good one got."""
        return list(self.good.exchanges)


def _accounts(faulty: FakeUpstream, good: FakeUpstream) -> list[Document]:
    root, healthy = faulty.base_url.removesuffix("/v1"), good.base_url
    models = [f"{kind}-{how}" for kind in _KINDS.values() for how in ("whole", "stream")]
    documents = [openai_account("good", healthy, ["m"]), anthropic_account("good-claude", healthy, ["m"])]
    for name in FAULTS:
        url = f"{root}/{name}/v1"
        documents += [
            openai_account(f"openai-{name}", url, models),
            anthropic_account(f"claude-{name}", url, models),
            self_hosted_account(f"lab-{name}", url, models),
        ]
    return documents


@contextmanager
def running_fault_stack(folder: Path, *more: Document, sdk_retries: int = 0) -> Iterator[FaultStack]:
    """Start everything, give it, end it."""
    with ExitStack() as running:
        closed = ClosedPort()
        running.callback(closed.close)
        faulty = running.enter_context(FakeUpstream({}, FaultyProvider().answer))
        good = running.enter_context(FakeUpstream({}, Providers().answer))
        retries = {
            "attempts": RETRIES,
            "delay": 1,
            "on_status_codes": list(map(str, RETRIED)),
        }
        documents = [
            *_accounts(faulty, good),
            openai_account(REFUSED, f"http://127.0.0.1:{closed.port}/v1", ["m"]),
            virtual_account("faults", [APP_TOKEN], ["*"]),
            {"type": "gateway-global-settings", "name": "global", "retry_settings": retries},
            *more,
        ]
        gateway = GatewayProcess(folder, documents, workers=1, environment=ENVIRONMENT)
        running.enter_context(gateway)
        yield FaultStack(gateway, faulty, good, _clients(running, gateway.port, sdk_retries))
        assert faulty.violations == []
        assert good.violations == []


def _clients(running: ExitStack, port: int, retries: int) -> Clients:
    options: dict[str, Any] = {"api_key": APP_TOKEN, "max_retries": retries, "timeout": TIMEOUT_S}
    url = f"http://127.0.0.1:{port}"
    return Clients(
        running.enter_context(openai.OpenAI(base_url=f"{url}/v1", **options)),
        running.enter_context(anthropic.Anthropic(base_url=url, **options)),
    )
