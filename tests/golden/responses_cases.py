"""The golden cases of the Responses pairs: requests, replies and streams, and what becomes of them.

`<case>.json` is written by hand: a `request`, and where there is one the `reply` of the target and its
`stream`. `<case>.golden` is what the pair makes of them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from gateway.endpoints.converse_error import STATUSES
from gateway.endpoints.openai_call import parse_call
from gateway.model import Call, Endpoint, Target
from gateway.translate import (
    responses_to_chat,
    responses_to_converse,
    responses_to_gemini,
    responses_to_messages,
)
from gateway.translate.pair import Pair
from gateway.wire.aws_event_stream import write_exception
from tests.rig.aws_events import write_event
from tests.unit.makers import make_target

FOLDER: Final = Path(__file__).resolve().parent
PAIRS: Final[dict[str, Pair]] = {
    "responses_to_chat": responses_to_chat,
    "responses_to_messages": responses_to_messages,
    "responses_to_gemini": responses_to_gemini,
    "responses_to_converse": responses_to_converse,
}
RESPONSES: Final = Endpoint(
    name="responses", path="/responses", route="/v1/responses", operation="chat", can_stream=True
)
STARTED_AT_NS: Final = 1_776_000_000_000_000_000
# The same in the request and in each of these events; the last event of a response is kept whole.
_BEGINNINGS: Final = ("response.created", "response.in_progress")


@dataclass(frozen=True)
class Case:
    """One case.

    Attributes:
        reply: The target's whole reply, None when the case has none.
        stream: The data of its events, None when the case has none; of Converse each by its kind.
    """

    pair_name: str
    name: str
    request: dict[str, Any]
    target: Target
    reply: dict[str, Any] | None
    stream: list[Any] | None

    @property
    def pair(self) -> Pair:
        """The pair that it is a case of."""
        return PAIRS[self.pair_name]

    @property
    def golden(self) -> Path:
        """What becomes of it."""
        return FOLDER / self.pair_name / f"{self.name}.golden"

    def call(self, **more: Any) -> Call:
        """Its request."""
        return make_responses_call(**{**self.request, **more})

    def whole(self) -> dict[str, Any]:
        """The response object that its reply becomes."""
        body, _ = self.pair.read(self.call(), json.dumps(self.reply).encode(), started_at_ns=STARTED_AT_NS)
        response: dict[str, Any] = json.loads(body)
        return response

    def stream_bytes(self) -> bytes:
        """Its stream as the target sends it."""
        write = _message if self.pair is responses_to_converse else _event
        return b"".join([write(data) for data in self.stream or []])

    def streamed_bytes(self) -> bytes:
        """Its stream as the caller gets it."""
        stream = self.pair.open_stream(self.call(stream=True), started_at_ns=STARTED_AT_NS)
        return stream.feed(self.stream_bytes()) + stream.finish()

    def streamed(self) -> list[dict[str, Any]]:
        """The events of its stream as the caller gets them."""
        return read_events_of(self.streamed_bytes())


def make_responses_call(**members: Any) -> Call:
    """A call of the Responses API."""
    return parse_call(RESPONSES, json.dumps(members).encode(), model=None, account=None)


def read_events_of(data: bytes) -> list[dict[str, Any]]:
    """Decode events, each with its name before its data."""
    events = []
    for event in data.decode().split("\n\n")[:-1]:
        name, value = event.split("\n")
        decoded = json.loads(value.removeprefix("data: "))
        assert name == f"event: {decoded['type']}"
        events.append(decoded)
    return events


def all_cases() -> list[Case]:
    """Every case of every pair, in order."""
    return [_read(path) for name in PAIRS for path in sorted((FOLDER / name).glob("*.json"))]


def outcome(case: Case) -> dict[str, Any]:
    """What the pair makes of *case*, for its golden file."""
    body, left_out = case.pair.write(case.call(), case.target)
    found: dict[str, Any] = {"written": json.loads(body), "left_out": left_out}
    if case.reply is not None:
        found["response"] = case.whole()
    if case.stream is not None:
        found["events"] = [_shortened(event) for event in case.streamed()]
    return found


def _shortened(event: dict[str, Any]) -> dict[str, Any]:
    if event["type"] not in _BEGINNINGS:
        return event
    return {**event, "response": {name: event["response"][name] for name in ("id", "status", "output")}}


def _read(path: Path) -> Case:
    case = json.loads(path.read_text(encoding="utf-8"))
    target = make_target(model_id=case.get("model_id", "small-1"))
    return Case(path.parent.name, path.stem, case["request"], target, case.get("reply"), case.get("stream"))


def _event(data: Any) -> bytes:
    if isinstance(data, str):
        return f"data: {data}\n\n".encode()
    name = f"event: {data['type']}\n" if "type" in data else ""
    return f"{name}data: {json.dumps(data)}\n\n".encode()


def _message(event: dict[str, Any]) -> bytes:
    """A message of AWS's event stream."""
    ((kind, said),) = event.items()
    write = write_exception if kind in STATUSES else write_event
    return write(kind, json.dumps(said).encode())
