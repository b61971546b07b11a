"""docs/control-api.md shows what the code answers."""

from __future__ import annotations

import json
import re
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from gateway.config import Document, Problem, Severity
from gateway.control import replies, traces
from gateway.control.audit import AuditTrail
from gateway.control.config import ConfigSource
from gateway.control.config_status import ConfigStatus, Rejected
from gateway.control.delivery_history import DeliveryHistory
from gateway.control.health import Health
from gateway.control.otel_manifest import Saved, Shown
from gateway.control.otel_settings import saved_json
from gateway.control.targets import TargetsSource
from gateway.delivery.probe import ProbeResult
from gateway.store.audit_log import AuditLog
from gateway.tracestore.decode import span_json, trace_json
from gateway.tracestore.ledger import StoreState, local_report
from gateway.tracestore.metrics_query import MetricsQuery, figures, run_metrics
from gateway.tracestore.query import _PARAMETERS, COLUMN_NAMES, page_json
from gateway.tracestore.rollup import Sums
from gateway.tracestore.span_blob import join
from tests.unit.control.rooms import SpoolCounts
from tests.unit.tracestore.call_maker import make_row, make_span

TEXT = (Path(__file__).parents[3] / "docs" / "control-api.md").read_text()
EXAMPLES: dict[str, Any] = {
    name: json.loads(body) for name, body in re.findall(r"```json ([\w-]+)\n(.*?)```", TEXT, re.DOTALL)
}


def page() -> dict[str, object]:
    row = [b"\0" * 16 if "_id" in name else 0 for name in COLUMN_NAMES]
    return page_json([row], 1)


def trace() -> dict[str, object]:
    shown = trace_json(b"t" * 16, [(join([make_span(b"t" * 16)]), b"")])
    shown["spans"] = [span_json(Span(events=[Span.Event()]))]
    return shown


def metrics() -> dict[str, object]:
    """Of the figures as many as the page shows."""
    answer = run_metrics(None, MetricsQuery(split_by="model", filters={"status": "200"}), 3600.0)
    sums = Sums()
    sums.add_call(make_row(1))
    assert isinstance(answer["points"], dict)
    points = {name: answer["points"][name] for name in ("requests", "errors", "error_ratio")}
    points["latency_ms"] = {"p99": answer["points"]["latency_ms"]["p99"]}
    group = {"label": "", "total": {"requests": 0}, "points": {"requests": []}}
    return {**answer, "total": figures(sums), "points": points, "groups": [group]}


def problem() -> Problem:
    return Problem(Path("a"), 1, "type", Severity.ERROR, "m", "f")


def otel() -> dict[str, object]:
    exporter = {"type": "http", "endpoint": "e", "headers": {}}
    return {"type": "gateway-otel-config", "name": "elastic", "otel_traces_exporter_config": exporter}


def config() -> dict[str, object]:
    status = ConfigStatus("v", 0, (), Rejected(0, (problem().to_dict(),)))
    return ConfigSource(lambda: status, lambda: [("w", "v")]).report()


def history() -> dict[str, object]:
    history = DeliveryHistory()
    history.note([{"name": "elastic", "signal": "traces", "ledger": {"exported": 1}}], 0.0)
    return history.report()


def audit() -> dict[str, object]:
    """One entry of each form that the page shows."""
    trail = AuditTrail(AuditLog(Path(mkdtemp())), now_ns=lambda: 0)
    trail.asked("target.drained", "target", "a/b", "127.0.0.1", "ada")
    file = Path(mkdtemp()) / "m.yaml"
    file.touch()
    models = ["a", "b"]
    was, now = [
        Document(
            "virtual-account", "app", {"type": "t", "name": "app", "tokens": [], "models": [model]}, file, 1
        )
        for model in models
    ]
    trail.changed(("v1", [was]), "v2", [now])
    return {**trail.page(3, None, {}), "next_cursor": "2"}


ANSWERS: dict[str, object] = {
    "history": history(),
    "error": json.loads(bytes(replies.error_reply(400, "c", "m").body)),
    "readyz": Health(
        config=lambda: "ok",
        telemetry=lambda: "ok",
        destinations=lambda: [local_report("", StoreState(), SpoolCounts())],
    ).report(),
    "traces": page(),
    "metrics": metrics(),
    "trace": trace(),
    "telemetry": {
        "destinations": [local_report("", StoreState(), SpoolCounts())],
        "removed": [],
        "workers": [],
    },
    "config": config(),
    "audit": audit(),
    "targets": TargetsSource(lambda: ["a/b"], None).report(),
    "test": {"results": [ProbeResult("d", "traces", True, 200, 1.0, "w", "a").to_dict()]},
    "otel": otel(),
    "otel-saved": saved_json(Saved(Shown(otel(), "t", Path("a")), "v", (problem(),))),
}
# Whose keys are data, not names.
FREE = {"attributes", "resource", "by_reason", "manifest", "headers"}


def shape(value: object) -> object:
    """The names in an answer, without its values."""
    if isinstance(value, dict):
        return {key: None if key in FREE else shape(item) for key, item in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value and isinstance(value[0], dict) else []
    return None


@pytest.mark.parametrize("name", ANSWERS)
def test_example_has_the_names_of_the_answer(name: str) -> None:
    """No field is missing in the documentation, and none is invented."""
    assert shape(EXAMPLES[name]) == shape(ANSWERS[name])


def test_every_example_is_checked() -> None:
    """A new example needs its answer here."""
    assert EXAMPLES.keys() == ANSWERS.keys()


def test_every_parameter_is_documented() -> None:
    """And no other."""
    table = TEXT.partition("| parameter |")[2].partition("\n\n")[0]
    assert set(
        re.findall(r"`([\w.<>]+)`", "".join(line.split("|")[1] for line in table.splitlines()[2:]))
    ) == set(_PARAMETERS) | {"metadata.<key>"}


def test_every_error_code_is_documented() -> None:
    """What a program may meet."""
    codes = {code for _status, code in traces._UNANSWERED_AS.values()} | set(replies._CODES.values())
    for code in codes | {
        "invalid_parameter",
        "trace_not_found",
        "unauthorized",
        "misdirected_request",
        *("foreign_origin", "unsupported_media_type", "invalid_json", "body_too_large"),
        *("manifest_not_found", "invalid_manifest", "changed_meanwhile", "not_writable"),
        *("destination_not_found", "target_not_found"),
        *("csrf", "admin_only", "link_ended", "wrong_secret", "refused", "too_many_tries"),
        "internal",
    }:
        assert f"`{code}`" in TEXT
