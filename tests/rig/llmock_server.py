"""llmock, a public mock of model providers, on a free port in a thread of this process."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Final, Self

JUDGE_TIMEOUT_S: Final = 60.0  # for requests that are being answered


class LlmockServer:
    """The server.

    Attributes:
        base_url: Of its OpenAI dialect, ends in `/v1`; known after `start()`.
        anthropic_url: Of its Anthropic dialect, likewise.
        gemini_url: Of its Gemini dialect, to which accounts add `/v1beta`.
        cohere_url: Of its Cohere dialect, without its version as Cohere's SDK wants it.
    """

    def __init__(self) -> None:
        from llmock.simulation import MockResponseSettings  # here: it is an optional tool
        from llmock.testing import LLMockServer

        # One answer to one question, always; by default it varies.
        self._server: Any = LLMockServer(responses=MockResponseSettings(response_style="hello"))
        self.base_url = ""
        self.anthropic_url = ""
        self.gemini_url = ""
        self.cohere_url = ""

    def start(self) -> Self:
        """Listen."""
        self._server.start()
        self.base_url = self._server.base_url("openai")
        self.anthropic_url = self._server.base_url("anthropic") + "/v1"
        self.gemini_url = self._server.base_url("gemini")
        self.cohere_url = self._server.base_url("cohere")
        return self

    def stop(self) -> None:
        """End it."""
        self._server.stop()

    def fail_next(self, status: int) -> None:
        """Answer the next request with an error of that status."""
        from llmock.scenarios import Fail

        self._server.state.scenarios.add(Fail(status))

    def play(self, *behaviours: Any) -> None:
        """What it does with the next requests, in the words of `llmock.scenarios`."""
        for behaviour in behaviours:
            self._server.state.scenarios.add(behaviour)

    def pace(self, chunk_delay_ms: int) -> None:
        """Send the chunks of a stream so far apart that a client reads each by itself."""
        from llmock.chaos import StreamChaos

        self._server.state.stream_chaos = StreamChaos(chunk_delay_ms=chunk_delay_ms)

    def forget(self) -> None:
        """Clear what was recorded and what was to be played."""
        self._server.state.reset()

    def verdict(self) -> Any:
        """How it judges its client, by all requests since it last forgot."""
        from llmock.verdict import judge

        return judge(self._server.state.journal.records(wait=JUDGE_TIMEOUT_S))

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
