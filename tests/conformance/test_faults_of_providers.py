"""What callers notice when providers get things wrong: with the official SDKs, through a real gateway.

Each fault of `tests/rig/faults.py`, in the dialects of callers and providers, streamed and whole.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import anthropic
import openai
import pytest

from tests.conformance.matrix_asks import PATHS, Told
from tests.rig.fault_stack import (
    FOREIGN_MEETINGS,
    LIMIT_S,
    MEETINGS,
    RETRIED,
    RETRIES,
    FaultCall,
    FaultStack,
    fault_calls,
    running_fault_stack,
)
from tests.rig.faults import FAULTS, LOST
from tests.rig.matrix_answers import said

OVERLOADED: Final = 529
LIMITED: Final = {"x_tfy_request_timeout": str(int(LIMIT_S * 1000))}
CALLS: Final = [
    *fault_calls(MEETINGS),
    *(pytest.param(call, marks=pytest.mark.long) for call in fault_calls(FOREIGN_MEETINGS)),
]
EVERY_CALL: Final = pytest.mark.parametrize("call", CALLS, ids=str)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultStack]:
    with running_fault_stack(tmp_path_factory.mktemp("faults")) as stack:
        yield stack


@pytest.fixture
def stack(running: FaultStack) -> FaultStack:
    running.forget()
    return running


def status_of(error: Exception | None) -> int | None:
    """Of an error that the SDK raised, None where it has none: after content."""
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
    told = stack.ask(call, call.alone, **(LIMITED if fault.is_silent else {}))
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


def assert_one_answer(told: Told, call: FaultCall) -> None:
    """A whole answer, of one provider: one id, one model, one usage."""
    assert told.error is None, told.error
    assert PATHS[call.meeting.path].read(list(told.items), is_stream=call.is_stream) == said("text")
    assert LOST not in json.dumps(told.items)
