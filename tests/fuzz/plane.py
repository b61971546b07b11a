"""A data plane on a real configuration: ASGI before it, a provider that answers as it is told behind it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import re
import selectors
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any, Final

from gateway.bedrock import Bedrock
from gateway.config import SecretSource
from gateway.edge.app import DataPlane
from gateway.edge.lifecycle import Lifecycle
from gateway.gemini import Gemini
from gateway.limits.limiter import Limiter
from gateway.pass_through import PassThrough
from gateway.pipeline import CurrentSnapshot, Pipeline
from gateway.realtime import Realtime
from gateway.snapshot import Snapshot, compile_snapshot
from gateway.store.counter_table import counters_in_memory
from gateway.telemetry.call_trace import CallTrace
from gateway.telemetry.span_encoding import SpanEncoder
from tests.rig.frame_reader import encode_call
from tests.unit.config.writing import accepted_config, check_text
from tests.unit.doubles import FakeReply, FakeUpstream
from tests.unit.makers import TOKEN, read_span

MODELS: Final = ("own/any", "claude/c", "google/g", "aws/n", "lab/rank", "vm/both", "co/k", "aws/e", "fast/l")
MAX_BODY_BYTES: Final = 60_000
HANG_S: Final = 120.0
"""Makes a failure of what never ends; a machine that stands still for a while is none."""
_MOMENT_S: Final = 2.0

_CANARY: Final = re.compile(rb"sk-canary-\d")
_JSON_ATTRIBUTES: Final = frozenset(
    {
        "gen_ai.input.messages",
        "gen_ai.output.messages",
        "gen_ai.system_instructions",
        "gateway.routing.skipped",
    }
)
_MANIFESTS: Final = """\
type: provider-account/openai
name: own
auth_data: {type: api-key, api_key: sk-canary-1}
integrations:
  - type: integration/model/openai
    name: any
    model_id: gpt-4o
    model_types: [chat, responses, embedding, completion]
---
type: provider-account/anthropic
name: claude
auth_data: {type: api-key, api_key: sk-canary-2}
integrations:
  - {type: integration/model/anthropic, name: c, model_id: claude-sonnet-4-5, model_types: [chat]}
---
type: provider-account/google-gemini
name: google
auth_data: {type: api-key, apiKey: sk-canary-3}
integrations:
  - {type: integration/model/gemini, name: g, model_id: gemini-2.5-pro, model_types: [chat, embedding]}
---
type: provider-account/aws-bedrock
name: aws
region: us-east-1
auth_data: {type: api-key, api_key: sk-canary-4}
integrations:
  - {type: integration/model/bedrock, name: n, model_id: "amazon.nova-lite-v1:0", model_types: [chat]}
  - {type: integration/model/bedrock, name: e, model_id: "cohere.embed-english-v3", model_types: [embedding]}
---
type: provider-account/deepinfra
name: fast
auth_data: {type: api-key, api_key: sk-canary-6}
integrations:
  - {type: integration/model/deepinfra, name: l, model_id: llama-4, model_types: [chat]}
---
type: provider-account/cohere
name: co
auth_data: {type: api-key, api_key: sk-canary-5}
integrations:
  - {type: integration/model/cohere, name: k, model_id: command-a, model_types: [chat, rerank]}
---
type: provider-account/self-hosted-model
name: lab
integrations:
  - type: integration/model/self-hosted-model
    name: rank
    hosted_model_name: r
    url: http://localhost:8000/v1
    model_server: tei
    model_types: [rerank]
---
type: provider-account/virtual-model
name: vm
integrations:
  - type: integration/model/virtual
    name: both
    model_types: [chat]
    routing_config:
      type: priority-based-routing
      load_balance_targets:
        - {target: own/any, priority: 1}
        - {target: claude/c, priority: 2}
---
type: gateway-rate-limiting-config
name: rates
rules:
  - {id: tokens, when: {}, limit_to: 1000000000, unit: tokens_per_minute}
---
type: tenant-budget-config
name: budget
limits: {cost_per_day: 1000000}
applies_to: {type: aggregate}
mode: enforce
---
type: gateway-global-settings
name: settings
logging_settings: {type: always}
telemetry_settings: {semconv: latest+old, tfy_attributes: true}
retry_settings: {attempts: 1, delay: 0, on_status_codes: [429, 500, 503]}
---
type: virtual-account
name: app
tokens: [TOKEN]
models: ["*"]
""".replace("TOKEN", TOKEN)


class _Hurry(selectors.DefaultSelector):
    """Does not wait where it would for a moment.

    Attributes:
        spared_s: How long it would have waited.
    """

    spared_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """What is ready."""
        if timeout is not None and 0 < timeout < _MOMENT_S:
            self.spared_s += timeout
            timeout = 0
        return super().select(timeout)


class HurriedLoop(asyncio.SelectorEventLoop):
    """Spares the moments before a retry: nothing here comes from elsewhere while they last."""

    def __init__(self) -> None:
        self._hurry = _Hurry()
        super().__init__(self._hurry)

    def time(self) -> float:
        """With what was spared."""
        return super().time() + self._hurry.spared_s


@contextlib.contextmanager
def open_plane(
    loop_factory: Callable[[], asyncio.AbstractEventLoop] = HurriedLoop,
) -> Iterator[tuple[asyncio.Runner, Plane]]:
    """A plane, and the loop that it runs in."""
    with tempfile.TemporaryDirectory() as folder, asyncio.Runner(loop_factory=loop_factory) as runner:
        config = accepted_config(check_text(Path(folder), _MANIFESTS))
        snapshot = compile_snapshot(config, SecretSource({}, None), version="v1", is_loopback=True)

        async def make() -> Plane:
            return Plane(snapshot)

        plane = runner.run(make())
        runner.get_loop().set_exception_handler(lambda _, about: plane.mistakes.append(str(about)))
        handler = _Mistakes(plane.mistakes)
        log = logging.getLogger("gateway")
        log.addHandler(handler)
        try:
            yield runner, plane
        finally:
            log.removeHandler(handler)


class Plane:
    """Takes requests as the server gives them.

    Attributes:
        mistakes: What was logged as one of ours.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self.mistakes: list[str] = []
        self._script: list[FakeReply] = []
        self._upstream = FakeUpstream()
        self._records: list[CallTrace] = []
        self._encoder = SpanEncoder()
        self._pipeline = Pipeline(
            CurrentSnapshot(snapshot),
            self._upstream,
            self._records.append,
            max_body_bytes=MAX_BODY_BYTES,
            random=Random(7),
            limiter=Limiter(counters_in_memory()),
        )
        lifecycle = Lifecycle()
        lifecycle.ready()
        passing = PassThrough(
            self._pipeline, self._upstream, max_body_bytes=MAX_BODY_BYTES, max_upload_bytes=4 * MAX_BODY_BYTES
        )
        self.app = DataPlane(
            self._pipeline,
            lifecycle,
            lambda: {"config": "ok"},
            pass_through=passing,
            bedrock=Bedrock(self._pipeline, passing),
            gemini=Gemini(self._pipeline, passing),
            realtime=Realtime(self._pipeline, _NoSockets()),
        )

    async def ask(
        self, scope: dict[str, Any], body: Sequence[bytes], *replies: FakeReply
    ) -> tuple[int, dict[bytes, bytes], bytes]:
        """Serve one request to its end, and give what was answered: once, settled, without a mistake of ours.

        The provider answers with *replies*, and then as often as it is asked with an error.
        """
        steps = [step for reply in replies for step in reply._steps if isinstance(step, bytes)]
        told = b"".join([repr(scope).encode(), *body, *steps])
        script: list[Any] = [*replies, *(FakeReply(503, {}, b"no more") for _ in range(20))]
        self._upstream._script = script
        self._upstream.requests.clear()
        self._upstream.passages.clear()
        self._upstream.bodies.clear()
        self._records.clear()
        answer = _Answer(body)
        async with asyncio.timeout(HANG_S):
            await self.app(scope, answer.receive, answer.send)
        assert answer.is_ended, "no end"
        assert not self.mistakes, self.mistakes
        assert self._pipeline.open_count == 0
        assert all(reply.is_closed or reply in script for reply in replies), "a reply that nobody closed"
        said = b"".join(answer.pieces)
        # What a caller or a provider wrote itself may come back to the caller.
        assert set(_CANARY.findall(said)) <= set(_CANARY.findall(told))
        for trace in self._records:
            self._check_spans(trace)
        return answer.status, answer.headers, said

    def _check_spans(self, trace: CallTrace) -> None:
        """What telemetry makes of it is read by protobuf's own classes, and has no secret.

        Parts that are kept from calls before make no other spans than those that are made anew.
        """
        anew = encode_call(trace)
        encoded = encode_call(trace, self._encoder)
        assert (encoded.row, encoded.spans) == (anew.row, anew.spans)
        for segments in encoded.spans:
            span = read_span(segments)
            assert any(span.trace_id)
            assert any(span.span_id)
            assert span.end_time_unix_nano >= span.start_time_unix_nano
            assert len({item.key for item in span.attributes}) == len(span.attributes)
            everything = segments.plain + segments.content
            assert b"sk-canary" not in everything
            assert TOKEN.encode() not in everything
            for item in span.attributes:
                if item.key in _JSON_ATTRIBUTES:
                    json.loads(item.value.string_value)


class _NoSockets:
    """No provider has WebSockets here, and no request is one."""

    async def dial(self, passage: Any) -> Any:
        raise AssertionError(passage)


class _Answer:
    """The caller's end."""

    def __init__(self, body: Sequence[bytes]) -> None:
        self._body = list(body) or [b""]
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        self.pieces: list[bytes] = []
        self.is_ended = False

    def receive(self) -> asyncio.Future[dict[str, Any]]:
        """A future, as Granian gives; once the body is through, one that waits for the caller to go."""
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        if self._body:
            piece = self._body.pop(0)
            future.set_result({"type": "http.request", "body": piece, "more_body": bool(self._body)})
        return future

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            assert not self.status, "a second head"
            self.status = message["status"]
            self.headers = dict(message["headers"])
            for name, value in message["headers"]:
                assert name == name.lower(), name
                assert not set(name + value) & set(b"\r\n\x00"), (name, value)
            return
        assert self.status, "a body before the head"
        assert not self.is_ended, "more after the end"
        self.pieces.append(message.get("body", b""))
        self.is_ended = not message.get("more_body", False)


class _Mistakes(logging.Handler):
    def __init__(self, into: list[str]) -> None:
        super().__init__(logging.ERROR)
        self._into = into
        self.setFormatter(logging.Formatter("%(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        self._into.append(self.format(record))
