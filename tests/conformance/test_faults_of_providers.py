"""What callers notice when providers get things wrong: with the official SDKs, through a real gateway.

Each fault of `tests/rig/faults.py`, in the dialects of callers and providers, streamed and whole.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final

import anthropic
import openai
import pytest
from botocore.exceptions import ClientError
from google.genai.errors import APIError as GoogleError

from tests.conformance.matrix_asks import PATHS, Told
from tests.rig.fault_stack import (
    FOREIGN_MEETINGS,
    GOOD,
    LATE_LIMIT_MS,
    LIMIT_MS,
    MEETINGS,
    NATIVE_MEETINGS,
    RETRIED,
    RETRIES,
    FaultCall,
    FaultStack,
    fault_calls,
    running_fault_stack,
)
from tests.rig.faults import FAULTS, LOST
from tests.rig.matrix_answers import said
from tests.rig.raw_http import events

OVERLOADED: Final = 529
CALLERS_MISTAKE: Final = 400
ENDS: Final = {
    "Responses": ("response.created", "response.completed"),
    "Messages": ("message_start", "message_stop"),
}
CALLS: Final = fault_calls(MEETINGS)
FOREIGN_CALLS: Final = fault_calls(FOREIGN_MEETINGS)
LOST_IN_SHORT: Final = ("500", "hang-before-head", "error-before-content", "reset-mid-body")
LONG: Final = pytest.mark.long
PATIENCE: Final = ("429-seconds", "429-date")
"""Faults that ask for it."""


def each_call(calls: Sequence[FaultCall], faults: Collection[str]) -> pytest.MarkDecorator:
    """A test for each of *calls*; those that are not short run where there is time."""
    every = [
        pytest.param(call, id=str(call), marks=() if call.fault in faults and _is_short(call) else LONG)
        for call in calls
    ]
    return pytest.mark.parametrize("call", every)


def _is_short(call: FaultCall) -> bool:
    """Not translated; of what waits for something, only in one dialect."""
    is_wait = FAULTS[call.fault].is_silent or call.fault in PATIENCE
    return call.meeting in MEETINGS and (not is_wait or call.meeting.path == "chat completions")


EVERY_CALL: Final = each_call((*CALLS, *FOREIGN_CALLS), FAULTS)


@pytest.fixture(scope="module")
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultStack]:
    calls = [*CALLS, *NATIVE_CALLS, *(FOREIGN_CALLS if request.config.getoption("--long") else ())]
    with running_fault_stack(tmp_path_factory.mktemp("faults"), calls) as stack:
        yield stack


@pytest.fixture
def stack(running: FaultStack) -> FaultStack:
    running.forget()
    return running


def status_of(error: Exception | None) -> int | None:
    """Of an error that the SDK raised, None where it has none: after content."""
    if isinstance(error, ClientError):
        return int(error.response["ResponseMetadata"]["HTTPStatusCode"])
    if isinstance(error, GoogleError):
        return int(error.code)
    is_status = isinstance(error, openai.APIStatusError | anthropic.APIStatusError)
    return error.status_code if is_status else None  # type: ignore[union-attr]  # just looked


def failed_late(told: Told, call: FaultCall) -> bool:
    """Whether an answer that began has ended with an error, and never as a whole one."""
    assert told.items, "it had content"
    assert LOST in json.dumps(told.items)
    return told.has_failed and not _is_whole(told.items, call)


def _is_whole(items: tuple[Any, ...], call: FaultCall) -> bool:
    """Whether a stream says of itself that it is complete."""
    match call.meeting.path:
        case "chat completions":
            return any(choice["finish_reason"] for item in items for choice in item.get("choices", []))
        case "Responses":
            return any(item["type"] == "response.completed" for item in items)
    return any(item["type"] == "message_stop" for item in items)


def status_for(call: FaultCall) -> int:
    """What the caller is told: only Anthropic's know 529."""
    status = FAULTS[call.fault].status
    is_told = call.meeting.account != "claude" or call.meeting.path == "Messages"
    return status if status != OVERLOADED or is_told else 503


def attempts_at(call: FaultCall) -> int:
    """How often a faulty provider is asked: an Anthropic who says 529 as one who says 503."""
    fault = FAULTS[call.fault]
    is_late = fault.is_late and call.is_stream
    is_retried = fault.status in RETRIED or (fault.status == OVERLOADED and call.meeting.account == "claude")
    return 1 + RETRIES if is_retried and not is_late else 1


@EVERY_CALL
def test_alone(stack: FaultStack, call: FaultCall) -> None:
    """A caller with no other target gets one error of its own dialect, or one good answer."""
    fault = FAULTS[call.fault]
    limit_ms = LATE_LIMIT_MS if fault.is_late else LIMIT_MS
    limited = {"x-tfy-request-timeout": str(limit_ms)}
    told = stack.ask(call, call.alone, limited if fault.is_silent else None)
    assert len(stack.calls_of_faulty) == attempts_at(call)
    if fault.status == 200:
        assert_one_answer(told, call)
    elif fault.is_late and call.is_stream:
        assert failed_late(told, call), told
    else:
        assert status_of(told.error) == status_for(call), told
        assert told.items == ()
        assert told.headers["x-tfy-error-source"] == "upstream"
        assert "canary" not in str(told.error)


@EVERY_CALL
def test_rescued(stack: FaultStack, call: FaultCall) -> None:
    """Whatever goes wrong before content, the next target answers, whole and alone; later, nobody does."""
    fault = FAULTS[call.fault]
    told = stack.ask(call, call.rescued)
    is_late = fault.is_late and call.is_stream
    is_final = is_late or fault.status in (200, CALLERS_MISTAKE)
    # Who asks for patience is not asked again while there is another.
    waits = call.fault in PATIENCE
    assert len(stack.calls_of_faulty) == (1 if waits else attempts_at(call))
    assert len(stack.calls_of_good) == (0 if is_final else 1)
    if is_late:
        assert failed_late(told, call), told
    elif fault.status == CALLERS_MISTAKE:
        assert status_of(told.error) == CALLERS_MISTAKE
    else:
        assert_one_answer(told, call)
        assert told.headers["x-tfy-resolved-model"] == (f"{call.alone}-first" if is_final else GOOD)
        assert "retry-after" not in told.headers


@each_call((*CALLS, *FOREIGN_CALLS), LOST_IN_SHORT)
def test_lost(stack: FaultStack, call: FaultCall) -> None:
    """When nobody answers the caller gets one failure, of the last target that was asked."""
    fault = FAULTS[call.fault]
    told = stack.ask(call, call.lost)
    models = [exchange.model for exchange in stack.calls_of_faulty]
    if fault.status == 200:
        assert_one_answer(told, call)
    elif fault.is_late and call.is_stream:
        assert failed_late(told, call)
        assert len(models) == 1
    else:
        assert status_of(told.error) == status_for(call)
        assert told.items == ()
        assert len(set(models)) == (1 if fault.status == CALLERS_MISTAKE else 2)
        assert models == sorted(models, key=lambda name: name.endswith("-too"))


LATE: Final = [call for call in (*CALLS, *FOREIGN_CALLS) if call.is_stream and FAULTS[call.fault].is_late]


@each_call(LATE, FAULTS)
def test_no_end_marker_follows_an_error(stack: FaultStack, call: FaultCall) -> None:
    """Of a stream that fails after content the last event is an error, in the words of the caller's API."""
    reply = stack.ask_bare(call, call.rescued)
    assert reply.status == 200
    *_, last = events(reply.body)
    told = json.loads(last)
    assert not any(mark in reply.body for mark in (b"[DONE]", b"message_stop", b"response.completed"))
    if call.meeting.path == "chat completions":
        assert told["error"]["message"]
    else:
        assert told["type"] in ("error", "response.failed")


@pytest.mark.parametrize("model", ["refused", "stuck"])
@pytest.mark.parametrize("call", [call for call in CALLS if call.fault == "500"], ids=str)
def test_no_connection(stack: FaultStack, call: FaultCall, model: str) -> None:
    """A port that is closed, and one where nobody takes connections: the next target answers."""
    assert_one_answer(stack.ask(call, f"unreachable/{model}"), call)
    assert len(stack.calls_of_good) == 1


# -- SDKs of other providers

NATIVE_FAULTS: Final = (
    *(
        "reset-before-head",
        "hang-before-head",
        "429",
        "500",
        "401-own-key",
        "404-model-gone",
        "400-by-caller",
    ),
    *("200-with-error", "html-200", "error-first", "error-after-content", "reset-mid-body"),
)
NATIVE_CALLS: Final = [call for call in fault_calls(NATIVE_MEETINGS) if call.fault in NATIVE_FAULTS]


@pytest.mark.parametrize("call", NATIVE_CALLS, ids=str)
def test_native_caller_is_rescued(stack: FaultStack, call: FaultCall) -> None:
    """As the others, where the targets are of the provider whose SDK asks."""
    fault = FAULTS[call.fault]
    told = stack.ask(call, call.rescued)
    assert len(stack.calls_of_faulty) == attempts_at(call)
    if fault.is_late and call.is_stream:
        assert told.items
        assert told.error is not None
        assert len(stack.calls_of_good) == 0
    elif fault.status == CALLERS_MISTAKE:
        assert status_of(told.error) == CALLERS_MISTAKE
        assert len(stack.calls_of_good) == 0
    else:
        assert told.error is None, told.error
        said_there = PATHS[call.meeting.path].read(list(told.items), is_stream=call.is_stream)
        assert said_there == said("text")
        assert LOST not in str(told.items)
        assert len(stack.calls_of_good) == 1
        assert told.headers["x-tfy-resolved-model"] == call.good


# -- SDKs that try again by themselves


def calls_of(fault: str, *, is_stream: bool) -> list[Any]:
    """The calls that meet *fault*, for SDKs as applications make them."""
    found = [call for call in CALLS if call.fault == fault and call.is_stream is is_stream]
    return [pytest.param(call, id=str(call)) for call in found]


@pytest.mark.parametrize(
    "call", [*calls_of("500", is_stream=False), *calls_of("error-before-content", is_stream=True)]
)
def test_sdk_that_is_rescued_notices_nothing(stack: FaultStack, call: FaultCall) -> None:
    """It has no reason to call again, so providers are not asked more often than by the gateway alone."""
    assert_one_answer(stack.ask(call, call.rescued, clients=stack.patient), call)
    assert (len(stack.calls_of_faulty), len(stack.calls_of_good)) == (attempts_at(call), 1)


@pytest.mark.parametrize("call", calls_of("503", is_stream=False))
def test_sdk_tries_a_failure_again(stack: FaultStack, call: FaultCall) -> None:
    """Three calls of the SDK's, each with the gateway's tries: one of the two can be switched off."""
    told = stack.ask(call, call.alone, clients=stack.patient)
    assert status_of(told.error) == 503
    assert len(stack.calls_of_faulty) == 3 * attempts_at(call)


@pytest.mark.parametrize(
    "call",
    [
        *calls_of("error-after-content", is_stream=True),
        *calls_of("400-by-caller", is_stream=False),
        *calls_of("404-model-gone", is_stream=True),
    ],
)
def test_sdk_does_not_try_what_is_final_again(stack: FaultStack, call: FaultCall) -> None:
    """Neither an answer that has begun nor a call that would fail again."""
    told = stack.ask(call, call.alone, clients=stack.patient)
    assert told.has_failed
    assert len(stack.calls_of_faulty) == 1


# -- limits of the caller's own


@pytest.mark.parametrize("call", calls_of("hang-before-token", is_stream=True))
def test_first_token_in_the_callers_time(stack: FaultStack, call: FaultCall) -> None:
    """Where it does not come the next target is asked; with none left it is a 408 that no SDK repeats."""
    # The next one has as long, also on a busy machine.
    limit = {"x-tfy-ttft-timeout-ms": str(LATE_LIMIT_MS)}
    assert_one_answer(stack.ask(call, call.rescued, limit), call)
    stack.forget()
    told = stack.ask(call, call.alone, limit, clients=stack.patient)
    assert status_of(told.error) == 408
    assert told.headers["x-should-retry"] == "false"
    assert len(stack.calls_of_faulty) == 1


def assert_one_answer(told: Told, call: FaultCall) -> None:
    """A whole answer, of one provider: one id, one model, one usage."""
    assert told.error is None, told.error
    items = list(told.items)
    assert PATHS[call.meeting.path].read(items, is_stream=call.is_stream) == said("text")
    assert LOST not in json.dumps(items)
    if not call.is_stream:
        assert len(items) == 1
    elif call.meeting.path == "chat completions":
        assert len({(item["id"], item["model"]) for item in items}) == 1
        assert sum(bool(item.get("usage")) for item in items) == 1
        assert sum(bool(choice["finish_reason"]) for item in items for choice in item["choices"]) == 1
    else:
        first, last = ENDS[call.meeting.path]
        kinds = [item["type"] for item in items]
        assert (kinds[0], kinds[-1]) == (first, last)
        assert (kinds.count(first), kinds.count(last)) == (1, 1)
