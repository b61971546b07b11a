"""Users of an AI gateway for Locust: chat, streams and embeddings, against any gateway.

    make run &                                             # or any gateway
    make perf-locust                                       # web UI on http://127.0.0.1:8089
    make perf-locust ARGS="--headless --users 20 --run-time 30s --tags chat"

Or with a Locust of your own:

    locust -f perf/locustfile.py --host https://gateway.example --api-key KEY --model vm/chat

Every option has an environment variable; `--help` names it. This file stands alone: it needs Locust and
nothing of this repository. Streams give two rows more: the time to the first content, and the whole stream;
one without its end mark is a failure.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from typing import Any, Final

from locust import FastHttpUser, between, events, tag, task
from locust.contrib.fasthttp import FAILURE_EXCEPTIONS

_TEXT: Final = "The quick brown fox jumps over the lazy dog. " * 9
_END: Final = "[DONE]"


@events.init_command_line_parser.add_listener
def add_options(parser: Any) -> None:
    """The options that say who calls what; the web UI shows all but the key."""
    parser.add_argument(
        "--api-key",
        env_var="GATEWAY_KEY",
        default="demo-key",
        include_in_web_ui=False,
        help="the caller's key; empty: none is sent",
    )
    parser.add_argument("--model", env_var="GATEWAY_MODEL", default="demo/echo", help="of chat and streams")
    parser.add_argument(
        "--embedding-model", env_var="GATEWAY_EMBEDDING_MODEL", default="demo/echo", help="of embeddings"
    )
    parser.add_argument(
        "--path-prefix", env_var="GATEWAY_PATH_PREFIX", default="/v1", help="before /chat/completions"
    )
    parser.add_argument(
        "--insecure", action="store_true", help="take any certificate: the key goes to whoever answers"
    )


def events_of(lines: Iterable[bytes]) -> Iterator[str]:
    """The data of each server-sent event in *lines*."""
    for line in lines:
        if line.startswith(b"data:"):
            yield line.removeprefix(b"data:").decode(errors="replace").strip()


def find_in(document: str | bytes, *path: str | int) -> Any:
    """What a JSON *document* has at *path*; None where it has none, or is no JSON.

    An exception here would be Locust's own affair, and its call would be missing from the table.
    """
    try:
        found = json.loads(document)
        for step in path:
            found = found[step]
    except (ValueError, LookupError, TypeError):
        return None
    return found


def has_content(data: str) -> bool:
    """Whether an event of a chat stream carries text, as the first often does not."""
    return bool(find_in(data, "choices", 0, "delta", "content"))


class GatewayUser(FastHttpUser):
    """One user who chats, mostly in streams, and embeds now and then."""

    host = "http://127.0.0.1:8787"
    wait_time = between(0.05, 0.15)

    def __init__(self, environment: Any) -> None:
        """Connect."""
        # Locust's own default is to look at no certificate.
        self.insecure = environment.parsed_options.insecure
        # Copied addresses often end with a slash, or with SDKs' /v1: `//v1` and `/v1/v1` are other paths.
        prefix = environment.parsed_options.path_prefix.rstrip("/")
        self.host = (environment.host or self.host).rstrip("/").removesuffix(prefix)
        super().__init__(environment)

    def on_start(self) -> None:
        """Read the options."""
        options = self.environment.parsed_options
        self._prefix: str = options.path_prefix.rstrip("/")
        self._model: str = options.model
        self._embedding_model: str = options.embedding_model
        self._headers = {"content-type": "application/json"}
        if options.api_key:
            self._headers["authorization"] = f"Bearer {options.api_key}"

    @tag("chat")
    @task(5)
    def chat(self) -> None:
        """A chat call answered whole."""
        with self._post("chat", "/chat/completions", self._chat_call()) as response:
            if response.status_code != 200:
                return
            if not find_in(response.content, "choices", 0, "message", "content"):
                response.failure("an answer without text")

    @tag("stream")
    @task(4)
    def stream(self) -> None:
        """A chat call answered in a stream."""
        started_s = time.perf_counter()
        call = self._chat_call() | {"stream": True, "stream_options": {"include_usage": True}}
        first_s, last = None, ""
        with self._post("stream", "/chat/completions", call, stream=True) as response:
            if response.status_code != 200:
                return
            try:
                # Line by line: `iter_content` waits for whole blocks and would show the first token late.
                for last in events_of(iter(lambda: response.stream.readline(b"\n"), b"")):
                    if first_s is None and has_content(last):
                        first_s = time.perf_counter() - started_s
            except FAILURE_EXCEPTIONS as error:
                response.failure(f"the stream broke off: {type(error).__name__}")
                return
            if last != _END or first_s is None:
                response.failure(
                    "the stream has no text" if first_s is None else "the stream has no end mark"
                )
                return
        self._report("stream: first content", first_s)
        self._report("stream: whole", time.perf_counter() - started_s)

    @tag("embeddings")
    @task(1)
    def embeddings(self) -> None:
        """A text turned into numbers."""
        call = {"model": self._embedding_model, "input": _TEXT}
        with self._post("embeddings", "/embeddings", call) as response:
            if response.status_code == 200 and not find_in(response.content, "data", 0, "embedding"):
                response.failure("an empty embedding")

    def _chat_call(self) -> dict[str, Any]:
        messages = [
            {"role": "system", "content": "You are a helpful assistant."},
            {"role": "user", "content": _TEXT},
        ]
        return {"model": self._model, "messages": messages, "temperature": 0.2, "max_tokens": 256}

    def _post(self, name: str, path: str, call: dict[str, Any], **options: Any) -> Any:
        return self.client.post(
            self._prefix + path, json=call, headers=self._headers, name=name, catch_response=True, **options
        )

    def _report(self, name: str, seconds: float) -> None:
        self.environment.events.request.fire(
            request_type="SSE", name=name, response_time=seconds * 1000, response_length=0, exception=None
        )
