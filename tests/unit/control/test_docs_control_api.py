"""docs/control-api.md shows what the code answers."""

from __future__ import annotations

import ast
import asyncio
import json
import re
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from gateway.config import Config, Document, Problem, SecretSource, Severity, accepted, check
from gateway.config.manifest_files import ManifestFiles, Saved, Shown
from gateway.control import replies, traces
from gateway.control.accepted_files import AcceptedFiles
from gateway.control.audit import AuditTrail
from gateway.control.config import ConfigSource
from gateway.control.config_history import History, restored_json
from gateway.control.config_status import ConfigStatus, Rejected
from gateway.control.delivery_history import DeliveryHistory
from gateway.control.health import Health
from gateway.control.manifests import edited, judged, listed, one_manifest, saved_manifest
from gateway.control.model_test import ModelTest
from gateway.control.openapi import TOPICS, Operation
from gateway.control.otel_settings import saved_json
from gateway.control.replica_list import ReplicaList
from gateway.control.targets import TargetsSource
from gateway.delivery.probe import ProbeResult
from gateway.identity.issued_tokens import IssuedTokens
from gateway.store.audit_log import AuditLog
from gateway.tracestore.decode import span_json, trace_json
from gateway.tracestore.ledger import StoreState, local_report
from gateway.tracestore.metrics_query import MetricsQuery, figures, run_metrics
from gateway.tracestore.query import _PARAMETERS, COLUMN_NAMES, page_json
from gateway.tracestore.rollup import Sums, counted
from gateway.tracestore.span_blob import join
from tests.unit.config.writing import ACCOUNT, CALLER, documents
from tests.unit.control.limit_desk import budget, desk_of
from tests.unit.control.rooms import THIS, AnyModel, SpoolCounts
from tests.unit.tracestore.call_maker import make_row, make_span

TEXT = (Path(__file__).parents[3] / "docs" / "control-api.md").read_text()
OPERATIONS = [operation for topic in TOPICS for operation in topic.operations]
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
    sums.add_calls([counted(make_row(1))])
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
    return ConfigSource(lambda: status, lambda: [("w", "v", 0)]).report()


def deliveries() -> dict[str, object]:
    deliveries = DeliveryHistory()
    deliveries.note([{"name": "elastic", "signal": "traces", "ledger": {"created": 1, "exported": 1}}], 0.0)
    return deliveries.report()


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


def manifest_answers() -> dict[str, object]:
    """Of the rooms for manifests and for what was in force."""
    folder, kept = Path(mkdtemp()), AcceptedFiles(Path(mkdtemp()))
    team = "type: team\nname: ml\nmembers: [a@x.io]\n"
    (folder / "m.yaml").write_text(documents(ACCOUNT, team, CALLER))
    files = ManifestFiles(folder, strict=False, secrets=SecretSource({}, None))
    trail = AuditTrail(AuditLog(Path(mkdtemp())), now_ns=lambda: 0)
    versions = []
    for text in (team, team + "colour: red\n"):
        saved = files.put("team", "ml", text)
        trail.asked("manifest.saved", "team", "ml", "127.0.0.1", version=saved.version)
        config = check.check(folder, strict=False, secrets=SecretSource({}, None)).config
        assert config is not None
        kept.write(config.version, accepted.dump(config))
        trail.changed(("v", config.documents), config.version, config.documents)
        versions.append(config.version)
    one = one_manifest(files, trail, "team", "ml")
    history = History(kept, files, trail)
    tokens = IssuedTokens(files, Path(mkdtemp()))
    made = tokens.create("virtual-account", "app").to_dict()
    issued = [token.to_dict() for token in tokens.all()]
    (folder / "z.yaml").write_text("type: unheard-of\n")
    return {
        "tokens": {"tokens": issued},
        "token-made": made,
        "manifests": listed(files, "team", "ml"),
        "manifest": one,
        "editing": edited(files, trail, "team", "ml", ["ben"]),
        "manifest-saved": saved_manifest(files, saved),
        "validated": judged(files, "team", "ml", team + "colour: red\n", None),
        "history": history.versions(),
        "difference": history.difference(*versions),
        "restored": restored_json("v", [("team", "ml")]),
    }


LIMITS = desk_of(budget("b", {"cost_per_month": 1.0})).client()


def limits_answer(path: str, **body: object) -> object:
    # Callers ask with their own tokens, everybody else as the client does.
    headers = {"authorization": "Bearer app-token"} if path.startswith("my-") else {}
    path = f"/api/limits/{path}"
    return LIMITS.post(path, json=body).json() if body else LIMITS.get(path, headers=headers).json()


ANSWERS: dict[str, object] = {
    "deliveries": deliveries(),
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
    "replicas": ReplicaList(lambda: THIS).report(),
    "audit": audit(),
    "targets": TargetsSource(lambda: ["a/b"], None).report(),
    "usage": limits_answer("usage"),
    "my-usage": limits_answer("my-usage"),
    "simulate": limits_answer("simulate", user="a@x.io", model="fake/m"),
    "model-test": asyncio.run(ModelTest(AnyModel()).run(Config.__new__(Config), "a/b", "chat"))
    | {"status": 401},
    "test": {"results": [ProbeResult("d", "traces", True, 200, 1.0, "w", "a").to_dict()]},
    **manifest_answers(),
    "otel": otel(),
    "otel-saved": saved_json(Saved(Shown("t", "x", otel(), "t", Path("a")), "v", (problem(),))),
}
# Whose keys are data, not names.
FREE = {"attributes", "entity", "metadata", "resource", "by_reason", "manifest", "headers"}


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


def answered_errors() -> set[tuple[int, str]]:
    """Status and code of each error that the code of the control plane can answer with."""
    found = set(traces._UNANSWERED_AS.values()) | set(replies._CODES.items())
    found.add((400, json.loads(bytes(replies.invalid_reply("m", ()).body))["error"]["code"]))
    for file in Path(replies.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("error_reply", "BodyRefused"):
                status, code = node.args[:2]
                if isinstance(status, ast.Constant) and isinstance(code, ast.Constant):
                    found.add((int(str(status.value)), str(code.value)))
    return found


def test_every_error_is_documented() -> None:
    """With its status, and no other: what a program may meet."""
    table = TEXT.partition("| status | code |")[2].partition("\n\n")[0]
    rows = [line.split("|")[1:3] for line in table.splitlines()[2:]]
    documented = [(int(status), code) for status, codes in rows for code in re.findall(r"`(\w+)`", codes)]
    assert len(answered_errors()) > 30
    assert set(documented) == answered_errors()
    assert len(documented) == len(set(documented))
    assert [status for status, _ in documented] == sorted(status for status, _ in documented)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: f"{one.method} {one.path}")
def test_every_operation_is_documented(operation: Operation) -> None:
    """As a heading, in a table or in a sentence, with its method and path."""
    path = re.sub(r"\\\{\w+(?::\w+)?\\\}", r"\\{\\w+\\}(?:/\\{\\w+\\})?", re.escape(operation.path))
    assert re.search(rf"\b{operation.method}(?:, [A-Z]+)* {path}(?![\w/])", TEXT)


def test_every_action_of_the_audit_log_is_documented() -> None:
    """Also what commands on the host note."""
    action = re.compile(
        r"(?:account|admin_token|config|destination|manifest|operator|sign_in|target|token)\.(?!html)[a-z_]+"
    )
    written = {
        node.value
        for file in Path(replies.__file__).parent.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and action.fullmatch(node.value)
    }
    table = TEXT.partition("| action |")[2].partition("\n\n")[0]
    documented = set(
        re.findall(r"`(\w+\.\w+)`", "".join(row.split("|")[1] for row in table.splitlines()[1:]))
    )
    assert len(written) > 20
    # The three of a manifest that changed are put together.
    assert documented == written | {"manifest.created", "manifest.changed", "manifest.removed"}
