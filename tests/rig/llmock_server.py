"""llmock, a public mock of model providers, on a free port in a thread of this process."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self


class LlmockServer:
    """The server.

    Attributes:
        base_url: Of its OpenAI dialect, ends in `/v1`; known after `start()`.
    """

    def __init__(self) -> None:
        from llmock.simulation import MockResponseSettings  # here: it is an optional tool
        from llmock.testing import LLMockServer

        # One answer to one question, always; by default it varies.
        self._server: Any = LLMockServer(responses=MockResponseSettings(response_style="hello"))
        self.base_url = ""

    def start(self) -> Self:
        """Listen."""
        self._server.start()
        self.base_url = self._server.base_url("openai")
        return self

    def stop(self) -> None:
        """End it."""
        self._server.stop()

    def fail_next(self, status: int) -> None:
        """Answer the next request with an error of that status."""
        from llmock.scenarios import Fail

        self._server.state.scenarios.add(Fail(status))

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
