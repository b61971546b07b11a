"""The spans of calls that meet a fault, against golden files: who was tried, what was wrong, who answered.

Behind each fault of `tests/rig/faults.py` stands a target that answers ("rescued"), and one that has the same
fault ("lost"). Every attribute of such spans is held elsewhere (`tests/golden/calls`); here a line of text is
a span, so that hundreds of them can be reviewed. `make golden` rewrites the files.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from tests.golden.conftest import Compare
from tests.rig.fault_stack import MEETINGS, FaultCall, fault_calls, running_fault_stack
from tests.rig.manifests import otel_config
from tests.rig.otlp_sink import OtlpSink
from tests.rig.until import until
from tests.unit.makers import attributes_of

FOLDER: Final = Path(__file__).parent
PARENT: Final = "00f067aa0ba902b7"
AT_ONCE: Final = 8
CALLS: Final = fault_calls(MEETINGS)
CHAT: Final = MEETINGS[0]
ASKED: Final = [
    *((call, call.rescued) for call in CALLS),
    # Who else has failed looks the same in every dialect.
    *((call, call.lost) for call in CALLS if call.meeting is CHAT),
]
NAMES: Final = {str(meeting): meeting for meeting in MEETINGS}
ON_SERVER: Final[tuple[str, ...]] = ("error.type", "gateway.model.resolved", "gateway.attempts")
ON_CLIENT: Final[tuple[str, ...]] = (
    "error.type",
    "gateway.usage.source",
    "gen_ai.response.finish_reasons",
)
SETTLE_S: Final = 60.0


@pytest.fixture(scope="module")
def spans(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, list[Span]]]:
    """Make every call; the spans of each trace."""
    folder = tmp_path_factory.mktemp("fault-trees")
    with (
        OtlpSink() as sink,
        running_fault_stack(folder, CALLS, otel_config(sink.traces_url)) as stack,
        ThreadPoolExecutor(AT_ONCE) as threads,
    ):

        def ask(number: int) -> None:
            call, model = ASKED[number]
            stack.ask(call, model, {"traceparent": f"00-{_trace_id(number)}-{PARENT}-01"})

        list(threads.map(ask, range(len(ASKED))))

        def all_ended() -> dict[str, list[Span]]:
            found: dict[str, list[Span]] = {}
            for _, span in sink.spans_with_resource():
                found.setdefault(span.trace_id.hex(), []).append(span)
            ended = [trace for trace in found.values() if any(map(_is_server, trace))]
            return found if len(ended) == len(ASKED) else {}

        yield until(all_ended, what="every trace is in the sink", timeout_s=SETTLE_S)


@pytest.mark.parametrize("name", NAMES)
def test_trees_are_golden(spans: dict[str, list[Span]], name: str, compare: Compare) -> None:
    """One SERVER span, and below it one CLIENT span for each attempt, in order."""
    texts = [
        _shown(call, model, spans[_trace_id(number)])
        for number, (call, model) in enumerate(ASKED)
        if call.meeting is NAMES[name]
    ]
    compare(FOLDER / f"{name}.golden", "\n".join(texts))


def test_no_golden_file_is_left_over() -> None:
    """Each file belongs to a meeting."""
    assert {file.stem for file in FOLDER.glob("*.golden")} == set(NAMES)


def _trace_id(number: int) -> str:
    return f"{number + 1:032x}"


def _is_server(span: Span) -> bool:
    return span.kind == Span.SPAN_KIND_SERVER


def _shown(call: FaultCall, model: str, trace: list[Span]) -> str:
    """One call as a few lines."""
    assert len({span.span_id for span in trace}) == len(trace), "a span arrived twice"
    (server,) = filter(_is_server, trace)
    attempts = sorted(
        (span for span in trace if span is not server), key=lambda span: span.start_time_unix_nano
    )
    told = attributes_of(server)
    assert server.parent_span_id.hex() == PARENT
    assert told["gateway.model.asked"] == model
    assert told["gateway.routing.skipped"] == "[]"
    words = {name: told[name] for name in ON_SERVER if name in told}
    lines = [
        f"{model.partition('/')[0]}: {call.fault}, {call.how}",
        f"  {server.name} {told['http.response.status_code']} {_words(server, words)}",
    ]
    for number, span in enumerate(attempts, start=1):
        found = attributes_of(span)
        assert (span.parent_span_id, span.kind) == (server.span_id, Span.SPAN_KIND_CLIENT)
        assert found["gateway.attempt"] == number
        words = {name: found[name] for name in ON_CLIENT if name in found}
        lines.append(f"    {span.name} at {found['gateway.target']} {_words(span, words)}")
        lines += [f"      {event.name}: {_message(event)}" for event in span.events]
    return "\n".join(lines) + "\n"


def _words(span: Span, attributes: dict[str, Any]) -> str:
    status = Status.StatusCode.Name(span.status.code).removeprefix("STATUS_CODE_")
    return f"{status} {json.dumps(attributes)}"


def _message(event: Span.Event) -> str:
    """What was wrong, without what the machine put into it."""
    message = next(item.value.string_value for item in event.attributes if item.key == "exception.message")
    return re.sub(r":\d+", ":<port>", re.sub(r"\[Errno \d+\].*", "<system>", message))
