"""A gateway in front of providers that get things wrong, and the official clients at it.

    openai, anthropic SDK -> gateway -> faulty: one account for each fault and dialect
                                     └> good: answers whatever it is asked

Every call has models of its own, so that what one call taught the gateway of a target changes no other call.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from tests.conformance.matrix_asks import PATHS, AllClients, Told, all_clients, ask
from tests.rig.bedrock_stack import bedrock_account
from tests.rig.fake_upstream import ClosedPort, Exchange, FakeUpstream
from tests.rig.faults import FAULTS, StuckPort, answer_badly
from tests.rig.gateway_process import Document, GatewayProcess
from tests.rig.manifests import (
    APP_TOKEN,
    ENVIRONMENT,
    anthropic_account,
    bearer,
    by_priority,
    gemini_account,
    openai_account,
    self_hosted_account,
    virtual_account,
    virtual_models,
)
from tests.rig.matrix_upstream import Providers
from tests.rig.raw_http import Reply

GOOD: Final = "good/m"
RETRIED: Final = (429, 500, 502, 503)
RETRIES: Final = 1
LIMIT_MS: Final = 300
"""Of whatever may be silent."""

LATE_LIMIT_MS: Final = 1500
"""Of whatever is silent after its first words, which have to be here before, also on a busy machine."""

REFUSED: Final = "down/refused"
STUCK: Final = "stuck/m"
"""A model at a port where no connection is ever made."""

_ROUTES: Final = {
    "chat completions": "/v1/chat/completions",
    "Responses": "/v1/responses",
    "Messages": "/v1/messages",
}
_KINDS: Final = {
    "chat completions": "chat",
    "Responses": "responses",
    "Messages": "messages",
    "Google's SDK: generateContent": "gemini",
    "Amazon's SDK: Converse": "converse",
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

NATIVE_MEETINGS: Final = (
    Meeting("Google's SDK: generateContent", "gemini", "gemini"),
    Meeting("Amazon's SDK: Converse", "bedrock", "converse"),
)
"""Callers with the SDK of another provider; their virtual models have targets of its kind alone."""


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

    @property
    def good(self) -> str:
        """The model that answers in place of the faulty one."""
        is_native = self.meeting in NATIVE_MEETINGS
        return f"good-{self.meeting.account}/m" if is_native else GOOD

    @property
    def rescued(self) -> str:
        """The virtual model that has the good provider behind the faulty one."""
        return f"rescued/{self}"

    @property
    def lost(self) -> str:
        """The virtual model that has nobody behind it who answers."""
        return f"lost/{self}"


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
    """What runs.

    Attributes:
        clients: The SDKs' clients, which try nothing again.
        patient: The same as an application makes them, which do.
    """

    gateway: GatewayProcess
    faulty: FakeUpstream
    good: FakeUpstream
    clients: AllClients
    patient: AllClients

    def forget(self) -> None:
        """Clear what was seen."""
        self.faulty.forget()
        self.good.forget()

    def ask(
        self,
        call: FaultCall,
        model: str,
        headers: Mapping[str, str] | None = None,
        *,
        clients: AllClients | None = None,
    ) -> Told:
        """Make *call* of *model* with the SDK of its dialect."""
        path = PATHS[call.meeting.path]
        more = {} if headers is None else {"extra_headers": headers}
        asking = replace(path, ask=lambda feature: {**path.ask(feature), **more})
        return ask(clients or self.clients, asking, "text", model, is_stream=call.is_stream)

    def ask_bare(self, call: FaultCall, model: str) -> Reply:
        """The same without an SDK: every byte that a caller gets."""
        members = {"model": model, **PATHS[call.meeting.path].ask("text")}
        if call.is_stream:
            members["stream"] = True
        headers = [bearer(), ("content-type", "application/json")]
        with self.gateway.connect() as connection:
            body = json.dumps(members).encode()
            return connection.exchange("POST", _ROUTES[call.meeting.path], headers, body)

    @property
    def calls_of_faulty(self) -> list[Exchange]:
        """Each call that the failing providers got."""
        return list(self.faulty.exchanges)

    @property
    def calls_of_good(self) -> list[Exchange]:
        """Each call that the good one got."""
        return list(self.good.exchanges)


_ROLES: Final = ("first", "lost", "lost-too")


def _gemini(name: str, url: str, models: Iterable[str]) -> Document:
    return gemini_account(name, url.removesuffix("/v1"), {model: model for model in models})


def _bedrock(name: str, url: str, models: Iterable[str]) -> Document:
    # Its SDK has the model in the path, so each has an id of its own.
    ids = {model: f"amazon.nova-{model}-v1:0" for model in models}
    key = {"type": "api-key", "api_key": "env:FAKE_KEY"}
    return bedrock_account(name, url.removesuffix("/v1"), ids, auth=key)


_ACCOUNTS: Final[dict[str, Callable[..., Document]]] = {
    "openai": openai_account,
    "claude": anthropic_account,
    "lab": self_hosted_account,
    "gemini": _gemini,
    "bedrock": _bedrock,
}


def _accounts(root: str, calls: Sequence[FaultCall]) -> list[Document]:
    """An account for each fault and dialect of a provider, with the models that *calls* ask for."""
    models: dict[tuple[str, str], list[str]] = {}
    for call in calls:
        model = call.alone.partition("/")[2]
        names = [model, *(f"{model}-{role}" for role in _ROLES)]
        models.setdefault((call.meeting.account, call.fault), []).extend(names)
    return [
        _ACCOUNTS[account](f"{account}-{fault}", f"{root}/{fault}/v1", names)
        for (account, fault), names in models.items()
    ]


def _limits(call: FaultCall) -> dict[str, int]:
    """Those that the fault runs into, and no other: a busy machine is slow."""
    fault = FAULTS[call.fault]
    if not fault.is_silent:
        return {}
    if fault.is_late:
        return {"request_ms" if call.fault == "slow-drip" else "gap_ms": LATE_LIMIT_MS}
    return {"first_token_ms" if call.is_stream else "gap_ms": LIMIT_MS}


_RETRIES: Final[Document] = {
    "attempts": RETRIES,
    "delay": 1,
    "on_status_codes": list(map(str, RETRIED)),
}


def _target(model: str, limits: dict[str, int]) -> Document:
    return {"target": model, "retry_config": _RETRIES, "timeouts": limits}


@contextmanager
def running_fault_stack(folder: Path, calls: Sequence[FaultCall], *more: Document) -> Iterator[FaultStack]:
    """Start everything that *calls* need, give it, end it."""
    with ExitStack() as running:
        closed = ClosedPort()
        running.callback(closed.close)
        stuck = StuckPort()
        running.callback(stuck.close)
        faulty = running.enter_context(FakeUpstream({}, answer_badly))
        good = running.enter_context(FakeUpstream({}, Providers().answer))
        best = _target(GOOD, {})
        unreachable = {
            "refused": by_priority([_target(REFUSED, {}), best]),
            "stuck": by_priority([_target(STUCK, {"connect_ms": LIMIT_MS}), best]),
        }
        rescued = {
            str(call): by_priority([_target(f"{call.alone}-first", _limits(call)), _target(call.good, {})])
            for call in calls
        }
        lost = {
            str(call): by_priority(
                _target(f"{call.alone}-{role}", _limits(call)) for role in ("lost", "lost-too")
            )
            for call in calls
        }
        documents = [
            *_accounts(faulty.base_url.removesuffix("/v1"), calls),
            openai_account("good", good.base_url, ["m"]),
            _gemini("good-gemini", good.base_url, ["m"]),
            _bedrock("good-bedrock", good.base_url, ["m"]),
            openai_account("down", f"http://127.0.0.1:{closed.port}/v1", ["refused"]),
            openai_account("stuck", f"http://127.0.0.1:{stuck.port}/v1", ["m"]),
            virtual_models("rescued", rescued),
            virtual_models("lost", lost),
            virtual_models("unreachable", unreachable),
            virtual_account("faults", [APP_TOKEN], ["*"]),
            {
                "type": "gateway-global-settings",
                "name": "global",
                "retry_settings": _RETRIES,
                # No test depends on how often another has called the same target.
                "routing_settings": {"circuit_breaker": {"failures": 1000}},
            },
            *more,
        ]
        gateway = GatewayProcess(folder, documents, workers=1, environment=ENVIRONMENT)
        running.enter_context(gateway)
        url = f"http://127.0.0.1:{gateway.port}"
        clients, patient = [
            all_clients(running, url, f"{url}/gemini/{{account}}/proxy", "/bedrock/proxy", retries=retries)
            for retries in (0, 2)
        ]
        yield FaultStack(gateway, faulty, good, clients, patient)
        assert faulty.violations == []
        assert good.violations == []
