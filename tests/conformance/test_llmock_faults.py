"""llmock's scenarios against virtual models, and its verdict on how the gateway behaved as a client.

llmock is a public mock of providers that plays faults and judges whoever met them: whether `Retry-After` was
obeyed, what was tried again and how often, whether half a stream was taken for a whole one. It knows nothing
of us, and finds nothing wrong.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import product
from typing import Any, Final

import anthropic
import openai
import pytest

from tests.conformance.matrix_asks import PATHS, Clients, Told, ask
from tests.rig.gateway_process import Document, GatewayProcess
from tests.rig.llmock_server import LlmockServer
from tests.rig.manifests import (
    APP_TOKEN,
    ENVIRONMENT,
    anthropic_account,
    by_priority,
    self_hosted_account,
    virtual_account,
    virtual_models,
)
from tests.rig.requires import requires

GPT: Final = "gpt-4o"
CLAUDE: Final = "claude-sonnet-4-5"
ONE: Final = "one"
"""Virtual models of one target, with the retries that it has where none are written."""

EITHER: Final = "either"
"""Those of two targets in different dialects, each tried once more at most."""

TIMEOUT_S: Final = 60.0
LIMIT_MS: Final = 500
LONG_S: Final = 3.0
CHUNK_DELAY_MS: Final = 20
CALLED: Final = ("chat completions", "Responses", "Messages")
pytestmark = requires("llmock")


@dataclass(frozen=True)
class Scenario:
    """What llmock does, and what comes of it.

    Attributes:
        behaviours: In the words of llmock, made anew for each call.
        status: What the caller gets, 200 for a good answer.
        of: Whose answer that is.
        attempts: At the first target.
        warnings: What llmock may remark: it sees one provider where the gateway has two.
    """

    model: str
    behaviours: Callable[[], list[Any]]
    is_stream: bool
    attempts: int
    status: int = 200
    of: str = GPT
    warnings: frozenset[str] = frozenset()


def fails(status: int, times: int | None = 1, **more: Any) -> Callable[[], list[Any]]:
    """The first target refuses."""

    def make() -> list[Any]:
        from llmock.scenarios import Fail, Match

        return [Fail(status, times=times, match=Match(provider="openai"), **more)]

    return make


def breaks(kind: Any, after: int, **more: Any) -> Callable[[], list[Any]]:
    """A stream of the first target goes wrong, once."""

    def make() -> list[Any]:
        from llmock.scenarios import Match, StreamFault

        return [StreamFault(kind, after_chunks=after, match=Match(provider="openai"), **more)]

    return make


def waits(name: str) -> Callable[[], list[Any]]:
    """The first target is silent for long, by what llmock calls *name*."""

    def make() -> list[Any]:
        from llmock import scenarios

        return [getattr(scenarios, name)(LONG_S, match=scenarios.Match(provider="openai"))]

    return make


GAVE_UP: Final = frozenset({"gave_up"})
SCENARIOS: Final[dict[str, Scenario]] = {
    **{
        f"{status} once, {'stream' if is_stream else 'whole'}": Scenario(ONE, fails(status), is_stream, 2)
        for status in (429, 500, 502, 503)
        for is_stream in (False, True)
    },
    "503 twice": Scenario(ONE, fails(503, 2), is_stream=False, attempts=3),
    "429 that says when": Scenario(ONE, fails(429, retry_after=1), is_stream=True, attempts=2),
    "503 that says when, in parts of seconds": Scenario(
        ONE, fails(503, retry_after=0.5), is_stream=False, attempts=2
    ),
    "500 for ever": Scenario(EITHER, fails(500, None), is_stream=True, attempts=2, of=CLAUDE),
    # It says when to come back, which nobody waits for who can be answered elsewhere.
    "503 for ever": Scenario(
        EITHER, fails(503, None), is_stream=True, attempts=1, of=CLAUDE, warnings=GAVE_UP
    ),
    "our key is refused": Scenario(EITHER, fails(401, None), is_stream=False, attempts=1, of=CLAUDE),
    "the model is gone": Scenario(EITHER, fails(404, None), is_stream=True, attempts=1, of=CLAUDE),
    "429 for a minute": Scenario(
        EITHER, fails(429, None, retry_after=60), is_stream=True, attempts=1, of=CLAUDE, warnings=GAVE_UP
    ),
    "overloaded": Scenario(
        EITHER, fails(529, None), is_stream=False, attempts=1, of=CLAUDE, warnings=GAVE_UP
    ),
    "the caller's mistake": Scenario(EITHER, fails(400, None), is_stream=False, attempts=1, status=400),
    "the caller's other mistake": Scenario(EITHER, fails(422, None), is_stream=True, attempts=1, status=422),
    **{
        f"{kind} before a chunk": Scenario(ONE, breaks(kind, 0), is_stream=True, attempts=2)
        for kind in ("disconnect", "truncate", "malformed")
    },
    "stall before a chunk": Scenario(
        EITHER, breaks("stall", 0, stall_seconds=LONG_S), is_stream=True, attempts=1, of=CLAUDE
    ),
    "slow first token": Scenario(EITHER, waits("SlowFirstToken"), is_stream=True, attempts=1, of=CLAUDE),
    "slow answer": Scenario(EITHER, waits("Delay"), is_stream=False, attempts=1, of=CLAUDE),
}

SILENT: Final = ("stall before a chunk", "slow first token", "slow answer")


@dataclass(frozen=True)
class Stack:
    """What runs."""

    clients: Clients
    llmock: LlmockServer

    def ask(self, path: str, model: str, *, is_stream: bool) -> Told:
        """One call."""
        return ask(self.clients, PATHS[path], "text", model, is_stream=is_stream)

    def said(self, path: str, told: Told, *, is_stream: bool) -> str:
        """The text of a good answer."""
        assert told.error is None, told.error
        text: str = PATHS[path].read(list(told.items), is_stream=is_stream).text
        return text


def _name(scenario: str, path: str) -> str:
    """The models of one test: what it learns of its target is nothing to the others."""
    return re.sub("[^a-z0-9]+", "-", f"{scenario} {path}".lower())


def _documents(llmock: LlmockServer) -> list[Document]:
    once_more = {"attempts": 1, "delay": 100, "on_status_codes": ["429", "500", "502", "503"]}
    backup = {"target": f"llmock-claude/{CLAUDE}", "retry_config": once_more}
    routes = {"broken": by_priority([{"target": "llmock/broken"}])}
    for (each, scenario), path in product(SCENARIOS.items(), CALLED):
        name = _name(each, path)
        one = {"target": f"llmock/{name}"}
        # Of those that are silent alone: a busy machine is slow.
        limits = {"first_token_ms": LIMIT_MS, "gap_ms": LIMIT_MS} if each in SILENT else {}
        either = [{**one, "retry_config": once_more, "timeouts": limits}, backup]
        routes[name] = by_priority([one] if scenario.model == ONE else either)
    server = self_hosted_account("llmock", llmock.base_url, routes)
    for integration in server["integrations"]:
        integration["hosted_model_name"] = GPT
    return [
        server,
        anthropic_account("llmock-claude", llmock.anthropic_url, [CLAUDE]),
        virtual_models("vm", routes),
        virtual_account("judged", [APP_TOKEN], ["*"]),
        {
            "type": "gateway-global-settings",
            "name": "global",
            # Three callers of each scenario are as many failures as open a circuit.
            "routing_settings": {"circuit_breaker": {"failures": 1000}},
        },
    ]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with ExitStack() as running:
        llmock = running.enter_context(LlmockServer())
        llmock.pace(CHUNK_DELAY_MS)
        folder = tmp_path_factory.mktemp("judged")
        gateway = running.enter_context(
            GatewayProcess(folder, _documents(llmock), workers=1, environment=ENVIRONMENT)
        )
        url = f"http://127.0.0.1:{gateway.port}"
        options: dict[str, Any] = {"api_key": APP_TOKEN, "max_retries": 0, "timeout": TIMEOUT_S}
        clients = Clients(
            running.enter_context(openai.OpenAI(base_url=f"{url}/v1", **options)),
            running.enter_context(anthropic.Anthropic(base_url=url, **options)),
        )
        yield Stack(clients, llmock)


@pytest.fixture
def stack(running: Stack) -> Stack:
    running.llmock.forget()
    return running


def remarks_of(verdict: Any) -> set[str]:
    """What llmock found."""
    return {finding.code for finding in verdict.findings}


def remarks_on(kind: str) -> set[str]:
    """What it may: by the time that the gateway hangs up on a broken chunk it may have sent the rest."""
    return {"malformed_chunk_ignored"} if kind.startswith("malformed") else set()


@pytest.mark.parametrize(
    "path", [CALLED[0], *(pytest.param(each, marks=pytest.mark.long) for each in CALLED[1:])]
)
@pytest.mark.parametrize("name", SCENARIOS)
def test_verdict(stack: Stack, name: str, path: str) -> None:
    """Each fault has its answer, and llmock nothing to complain of."""
    scenario = SCENARIOS[name]
    stack.llmock.play(*scenario.behaviours())
    told = stack.ask(path, f"vm/{_name(name, path)}", is_stream=scenario.is_stream)
    if scenario.status == 200:
        assert stack.said(path, told, is_stream=scenario.is_stream).endswith(f"from {scenario.of}.")
    else:
        assert isinstance(told.error, openai.APIStatusError | anthropic.APIStatusError), told
        assert told.error.status_code == scenario.status
    verdict = stack.llmock.verdict()
    at_first = [call for call in verdict.calls if call.first.provider == "openai"]
    assert sum(len(call.attempts) for call in at_first) == scenario.attempts
    assert remarks_of(verdict) <= scenario.warnings | remarks_on(name), verdict.render()


@pytest.mark.parametrize("kind", ["disconnect", "truncate", "malformed"])
@pytest.mark.parametrize("path", CALLED)
def test_verdict_on_a_stream_that_breaks(stack: Stack, path: str, kind: str) -> None:
    """After content the application is told, and calls again: so half an answer is nobody's whole one."""
    stack.llmock.play(*breaks(kind, 5)())
    told = stack.ask(path, "vm/broken", is_stream=True)
    assert told.has_failed
    assert told.items
    again = stack.ask(path, "vm/broken", is_stream=True)
    assert stack.said(path, again, is_stream=True).endswith(f"from {GPT}.")
    assert remarks_of(stack.llmock.verdict()) <= remarks_on(kind), stack.llmock.verdict().render()
