"""Calls and answers of the golden cases of translation, taken apart so that they can be changed."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

from gateway.wire.aws_event_stream import EventStreamParser, write_exception
from gateway.wire.sse import DATA_LINE, split_events
from tests.fuzz.changes import change
from tests.fuzz.draw import Draw
from tests.golden import responses_cases
from tests.golden.test_pairs import CASES
from tests.golden.translated import Case
from tests.rig.aws_events import write_event

Kind = Literal["json", "sse", "aws"]
_TYPES: Final[dict[Kind, str]] = {
    "json": "application/json",
    "sse": "text/event-stream",
    "aws": "application/vnd.amazon.eventstream",
}
_MODELS: Final = {
    "openai": "own/any",
    "anthropic": "claude/c",
    "gemini": "google/g",
    "converse": "aws/n",
    "cohere": "co/k",
}
_RESPONSES_MODELS: Final = {
    "responses_to_chat": "fast/l",
    "responses_to_messages": "claude/c",
    "responses_to_gemini": "google/g",
    "responses_to_converse": "aws/n",
}


@dataclass
class Event:
    """One of a stream, or a whole answer.

    Attributes:
        name: Of a server-sent event, or its kind among AWS's.
        data: Read from JSON; text where it is none.
    """

    name: str
    data: Any
    is_exception: bool = False


@dataclass
class Known:
    """A call, and the answer that it got."""

    path: str
    model: str
    members: dict[str, Any]
    kind: Kind
    status: int
    events: list[Event]

    @property
    def content_type(self) -> str:
        """Of its answer."""
        return _TYPES[self.kind]

    def write(self) -> bytes:
        """The answer's bytes."""
        if self.kind == "json":
            return b"".join([_text(event.data) for event in self.events])
        write = _sse if self.kind == "sse" else _aws
        return b"".join([write(event) for event in self.events])


def changed(known: Known, draw: Draw) -> Known:
    """*known* with a few values of its answer changed, or its events in another order."""
    known = copy.deepcopy(known)
    others = [event.data for event in known.events]
    for _ in range(draw.number(5)):
        if not known.events:
            break
        at = draw.number(len(known.events))
        match draw.number(8):
            case 1:
                del known.events[at]
            case 2:
                known.events.insert(at, copy.deepcopy(draw.choice(known.events)))
            case 3:
                known.events[at] = Event(known.events[at].name, draw.run(64).decode(errors="replace"))
            case _:
                change(known.events[at].data, draw, others)
    return known


def _text(data: Any) -> bytes:
    return data.encode(errors="surrogateescape") if isinstance(data, str) else json.dumps(data).encode()


def _sse(event: Event) -> bytes:
    name = f"event: {event.name}\n".encode() if event.name else b""
    return name + b"data: " + _text(event.data) + b"\n\n"


def _aws(event: Event) -> bytes:
    return (write_exception if event.is_exception else write_event)(event.name, _text(event.data))


def _model(path: str, dialect: str, case: Case) -> str:
    """Which model of the plane speaks so, "" for none."""
    match path:
        case "/v1/embeddings":
            return "aws/e"
        case "/v1/rerank" if case.rerank_api:
            return "lab/rank" if case.rerank_api == "tei" else ""
        case "/v1/rerank":
            return "co/k" if dialect == "cohere" else ""
        case _:
            return _MODELS[dialect]


def _members(call: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in call.items() if name not in ("model", "stream")}


def _calls() -> Iterator[Ask]:
    for endpoint, dialect, case in CASES.values():
        if model := _model(endpoint.route, dialect, case):
            yield endpoint.route, model, _members(case.call)
    for each in responses_cases.all_cases():
        yield "/v1/responses", _RESPONSES_MODELS[each.pair_name], _members(each.request)


def _all() -> Iterator[Known]:
    for endpoint, dialect, case in CASES.values():
        model = _model(endpoint.route, dialect, case)
        if case.reply is not None and model:
            yield _known(endpoint.route, model, case)
    for each in responses_cases.all_cases():
        model, members = _RESPONSES_MODELS[each.pair_name], _members(each.request)
        if each.reply is not None:
            yield Known("/v1/responses", model, members, "json", 200, [Event("", each.reply)])
        if each.stream is not None:
            kind, events = _taken_apart(each.stream_bytes())
            yield Known("/v1/responses", model, members, kind, 200, events)


def _known(path: str, model: str, case: Case) -> Known:
    members = _members(case.call)
    match case.reply:
        case (int(status), dict(body)):
            return Known(path, model, members, "json", status, [Event("", body)])
        case list():
            kind, events = _taken_apart(b"".join(case.reply))
            return Known(path, model, members, kind, 200, events)
        case bytes():
            return Known(path, model, members, "json", 200, [Event("", case.reply.decode())])
        case reply:
            return Known(path, model, members, "json", 200, [Event("", reply)])


def _taken_apart(stream: bytes) -> tuple[Kind, list[Event]]:
    if stream[:1] == b"\x00":
        messages = EventStreamParser().feed(stream)
        return "aws", [Event(each.kind, _read(each.payload), each.is_failure) for each in messages]
    events = []
    for event in split_events(stream):
        name = event.partition(b"event: ")[2].partition(b"\n")[0].strip().decode()
        events.append(Event(name, _read(b"\n".join(DATA_LINE.findall(event)))))
    return "sse", events


def _read(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        return data.decode()


Ask = tuple[str, str, dict[str, Any]]
"""A path, a model, and the other members of a call's body."""

CALLS: Final = tuple(_calls())
KNOWN: Final = tuple(_all())
