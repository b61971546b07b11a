"""Mocks of providers that others wrote, behind every dialect of callers: answers, tools, errors, faults.

They know nothing of us: what they send is their author's reading of the two APIs, not ours.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Final

import anthropic
import openai
import pytest

from tests.conformance.matrix_asks import PATHS, Clients, Told, ask
from tests.rig.gateway_process import GatewayProcess
from tests.rig.llmock_server import LlmockServer
from tests.rig.manifests import (
    APP_TOKEN,
    ENVIRONMENT,
    anthropic_account,
    cohere_account,
    openai_account,
    self_hosted_account,
    virtual_account,
)
from tests.rig.matrix_answers import Said
from tests.rig.mock_ai_api import MockAiApi
from tests.rig.requires import absent, requires

GPT: Final = "gpt-4o"
CLAUDE: Final = "claude-sonnet-4-5"
COMMAND: Final = "command-a-03-2025"
SCENARIOS: Final = ("text", "tool-call", "tool-stream", "bad-tool-json", "400", "401", "429", "500", "503")
CLAUDES: Final = ("text", "anthropic-stream", "tool-use", "tool-stream", "stream-error", "400", "429", "500")
TIMEOUT_S: Final = 60.0
RETRIED: Final = "503"
CALLED: Final = ("chat completions", "Responses", "Messages")
IN: Final = pytest.mark.parametrize("path", CALLED)
STREAMS: Final = pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "stream"])


@dataclass(frozen=True)
class Stack:
    """What runs; a mock that is absent is None, and its account leads nowhere."""

    clients: Clients
    llmock: LlmockServer | None

    def ask(self, path: str, feature: str, model: str, *, is_stream: bool) -> Told:
        """One call."""
        return ask(self.clients, PATHS[path], feature, model, is_stream=is_stream)

    def said(self, path: str, feature: str, model: str, *, is_stream: bool) -> Said:
        """What a good answer says."""
        told = self.ask(path, feature, model, is_stream=is_stream)
        assert told.error is None, told.error
        return PATHS[path].read(list(told.items), is_stream=is_stream)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("mocks")
    with ExitStack() as running:
        llmock = None if absent(["llmock"]) else running.enter_context(LlmockServer())
        mock = None if absent(["mock-ai-api"]) else running.enter_context(MockAiApi(folder))
        documents = [virtual_account("mocks", [APP_TOKEN], ["*"])]
        retries = {"attempts": 1, "delay": 100, "on_status_codes": [RETRIED]}
        documents.append({"type": "gateway-global-settings", "name": "global", "retry_settings": retries})
        if llmock is not None:
            documents += [
                self_hosted_account("llmock", llmock.base_url, [GPT]),
                anthropic_account("llmock-claude", llmock.anthropic_url, [CLAUDE]),
                cohere_account("llmock-cohere", llmock.cohere_url, [COMMAND]),
            ]
        if mock is not None:
            gpts = [f"gpt-4.1:mock-{name}" for name in SCENARIOS]
            claudes = [f"{CLAUDE}:mock-{name}" for name in CLAUDES]
            documents += [
                openai_account("mock", mock.openai_url, gpts),
                self_hosted_account("mock-chat", mock.openai_url, gpts),
                anthropic_account("mock-claude", mock.anthropic_url, claudes),
            ]
        gateway = GatewayProcess(folder / "gateway", documents, workers=1, environment=ENVIRONMENT)
        running.enter_context(gateway)
        url = f"http://127.0.0.1:{gateway.port}"
        of_openai = openai.OpenAI(base_url=f"{url}/v1", api_key=APP_TOKEN, max_retries=0, timeout=TIMEOUT_S)
        of_claude = anthropic.Anthropic(base_url=url, api_key=APP_TOKEN, max_retries=0, timeout=TIMEOUT_S)
        with of_openai, of_claude:
            yield Stack(Clients(of_openai, of_claude), llmock)


@pytest.fixture
def stack(running: Stack) -> Stack:
    if running.llmock is not None:
        running.llmock.forget()
    return running


def status_of(told: Told) -> int:
    """Of the error that the SDK raised."""
    assert isinstance(told.error, openai.APIStatusError | anthropic.APIStatusError), told
    return told.error.status_code


# -- llmock

LLMOCK: Final = pytest.mark.parametrize(
    ("path", "model"),
    [
        *((path, f"llmock/{GPT}") for path in CALLED),
        *((path, f"llmock-claude/{CLAUDE}") for path in CALLED),
        *((path, f"llmock-cohere/{COMMAND}") for path in CALLED if path != "Responses"),
    ],
)


@requires("llmock")
@LLMOCK
@STREAMS
def test_llmock_text(stack: Stack, path: str, model: str, *, is_stream: bool) -> None:
    """Its sentence and its usage; a client that only asks is nothing to complain of."""
    assert stack.llmock is not None
    said = stack.said(path, "text", model, is_stream=is_stream)
    assert said.text == f"Hello! This is a mock response from {model.partition('/')[2]}."
    assert min(said.usage) > 0
    assert stack.llmock.verdict().findings == ()


@requires("llmock")
@LLMOCK
@STREAMS
def test_llmock_tools(stack: Stack, path: str, model: str, *, is_stream: bool) -> None:
    """Two calls at once, the second without arguments."""
    from llmock.scenarios import Reply, ToolCall

    assert stack.llmock is not None
    calls = (ToolCall("get_weather", {"city": "Oslo"}), ToolCall("get_time"))
    stack.llmock.play(Reply(tool_calls=calls))
    said = stack.said(path, "tools", model, is_stream=is_stream)
    assert said.calls == (("get_weather", json.dumps({"city": "Oslo"})), ("get_time", "{}"))


@requires("llmock")
@LLMOCK
@STREAMS
@pytest.mark.parametrize("status", [400, 401, 404, 429, 500])
def test_llmock_errors(stack: Stack, path: str, model: str, status: int, *, is_stream: bool) -> None:
    """Its status, what to wait for, and one attempt: what is not said to be worth another gets none."""
    from llmock.scenarios import Fail

    assert stack.llmock is not None
    stack.llmock.play(Fail(status, retry_after=3 if status == 429 else None))
    told = stack.ask(path, "text", model, is_stream=is_stream)
    assert status_of(told) == status
    assert told.headers.get("retry-after") == ("3" if status == 429 else None)
    assert len(stack.llmock.verdict().calls[0].attempts) == 1


@requires("llmock")
@LLMOCK
@STREAMS
def test_llmock_judges_a_retry(stack: Stack, path: str, model: str, *, is_stream: bool) -> None:
    """A failure that passes is tried again by the gateway, once; llmock finds no error in how."""
    from llmock.scenarios import Fail

    assert stack.llmock is not None
    stack.llmock.play(Fail(int(RETRIED), retry_after=0))
    assert stack.said(path, "text", model, is_stream=is_stream).text.startswith("Hello!")
    verdict = stack.llmock.verdict()
    assert [len(call.attempts) for call in verdict.calls] == [2]
    assert [finding for finding in verdict.findings if finding.severity == "error"] == []


@requires("llmock")
@LLMOCK
@pytest.mark.parametrize("kind", ["disconnect", "truncate"])
def test_llmock_breaks_streams(stack: Stack, path: str, model: str, kind: Any) -> None:
    """Half an answer is never taken for a whole one, also where the provider ends it cleanly."""
    from llmock.scenarios import StreamFault

    assert stack.llmock is not None
    stack.llmock.play(StreamFault(kind, after_chunks=5))
    told = stack.ask(path, "text", model, is_stream=True)
    assert told.has_failed


# -- mock-ai-api


@requires("mock-ai-api")
@IN
@pytest.mark.parametrize("account", ["mock", "mock-chat", "mock-claude"])
@STREAMS
def test_mock_text(stack: Stack, path: str, account: str, *, is_stream: bool) -> None:
    """Its greeting; `mock` answers Responses itself."""
    name = f"{CLAUDE}:mock-text" if account == "mock-claude" else "gpt-4.1:mock-text"
    said = stack.said(path, "text", f"{account}/{name}", is_stream=is_stream)
    assert said.text == "Hello. It's nice to meet you."
    assert min(said.usage) > 0


@requires("mock-ai-api")
@IN
@pytest.mark.parametrize(
    ("model", "is_stream"),
    [
        ("mock-chat/gpt-4.1:mock-tool-call", False),
        ("mock-chat/gpt-4.1:mock-tool-stream", True),
        (f"mock-claude/{CLAUDE}:mock-tool-use", False),
        (f"mock-claude/{CLAUDE}:mock-tool-stream", True),
    ],
)
def test_mock_tools(stack: Stack, path: str, model: str, *, is_stream: bool) -> None:
    """Its one call, with whole arguments."""
    ((name, arguments),) = stack.said(path, "tools", model, is_stream=is_stream).calls
    assert name == "Write"
    assert json.loads(arguments)["path"]


@requires("mock-ai-api")
@pytest.mark.parametrize("path", ["Responses", "Messages"])
def test_mock_arguments_that_are_no_json(stack: Stack, path: str) -> None:
    """Arguments that end in the middle are the model's, and arrive as something that can be read."""
    told = stack.ask(path, "tools", "mock-chat/gpt-4.1:mock-bad-tool-json", is_stream=False)
    assert told.error is None
    assert "unterminated" in json.dumps(told.items)


@requires("mock-ai-api")
@IN
@STREAMS
@pytest.mark.parametrize(
    "model",
    [
        *[f"mock/gpt-4.1:mock-{status}" for status in (400, 401, 429, 500)],
        *[f"mock-claude/{CLAUDE}:mock-{status}" for status in (400, 429, 500)],
    ],
)
def test_mock_errors(stack: Stack, path: str, model: str, *, is_stream: bool) -> None:
    """Its status, as the SDK's own class."""
    assert status_of(stack.ask(path, "text", model, is_stream=is_stream)) == int(model.rpartition("-")[2])


@requires("mock-ai-api")
@IN
def test_mock_error_in_a_stream(stack: Stack, path: str) -> None:
    """An error after the stream has begun is told as one."""
    assert stack.ask(path, "text", f"mock-claude/{CLAUDE}:mock-stream-error", is_stream=True).has_failed
