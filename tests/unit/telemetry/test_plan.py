"""What the configuration says of telemetry, and of the content of each call."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from gateway.endpoints.catalogue import CHAT, COMPACTION, COMPLETION, EMBEDDING, MESSAGES, RESPONSE
from gateway.endpoints.gemini_catalogue import ARRAY, COUNT, EMBED, GENERATE, STREAM
from gateway.endpoints.openai_paths import PROXY
from gateway.model import Caller, Endpoint, Plan, TraceContext
from gateway.telemetry.call_notes import CallNotes
from gateway.telemetry.content import ContentCapture
from gateway.telemetry.plan import MAX_CAPTURED, TelemetryPlan, compile_telemetry, usable_names
from gateway.wire.trace_context import SAMPLED
from tests.unit.config.writing import ACCOUNT, CALLER, accepted_config, check_text
from tests.unit.makers import TARGET, make_call, make_caller, make_target

ALWAYS: Final = "type: gateway-global-settings\nlogging_settings: {type: always}\n"
BY_HEADER: Final = (
    "type: gateway-global-settings\nlogging_settings: {type: header_controlled, log_body_by_default: %s}\n"
)

VIRTUAL: Final = """\
type: provider-account/virtual-model
name: vm
integrations:
  - name: chat
    slug: short
    alias: [old/name]
    routing_config: {type: latency-based-routing, load_balance_targets: [{target: lab/qwen}]}
"""
ONE: Final = "{metadata: {a: '1'}}"


def rule(name: str = "rule", **members: str) -> str:
    fields = {"type": "gateway-logging-config", "name": name, "log": "true", **members}
    return "".join(f"{key}: {value}\n" for key, value in fields.items())


def plan_of(folder: Path, *texts: str) -> TelemetryPlan:
    return compile_telemetry(accepted_config(check_text(folder, ACCOUNT, CALLER, *texts)))


def capture(plan: TelemetryPlan, *, wants: bool | None = None, **metadata: str) -> ContentCapture | None:
    notes = CallNotes(metadata=metadata, wants_content=wants)
    return plan.capture(make_caller(), make_call(), Plan((TARGET,), (TARGET.name,)), notes)


@pytest.mark.parametrize(
    ("settings", "wants", "is_kept"),
    [
        pytest.param("", None, False, id="no settings"),
        pytest.param("", True, False, id="no settings, wanted"),
        pytest.param("type: gateway-global-settings\n", True, False, id="settings without it"),
        pytest.param(ALWAYS.replace("always", "never"), True, False, id="never"),
        pytest.param(ALWAYS, None, True, id="always"),
        pytest.param(ALWAYS, False, True, id="always, not wanted"),
        pytest.param(BY_HEADER % "true", None, True, id="by default"),
        pytest.param(BY_HEADER % "true", False, False, id="by default, not wanted"),
        pytest.param(BY_HEADER % "false", None, False, id="not by default"),
        pytest.param(BY_HEADER % "false", True, True, id="not by default, wanted"),
        pytest.param(ALWAYS + "telemetry_settings: {max_content_bytes: 0}\n", None, False, id="no room"),
    ],
)
def test_who_decides(tmp_path: Path, settings: str, *, wants: bool | None, is_kept: bool) -> None:
    """The operator, and the caller where the operator lets it."""
    texts = [settings] if settings else []
    assert (capture(plan_of(tmp_path, *texts), wants=wants) is not None) is is_kept


@pytest.mark.parametrize(
    ("when", "metadata", "matches"),
    [
        pytest.param("{}", {}, True, id="all"),
        pytest.param("{subjects: {in: ['virtualaccount:app']}}", {}, True, id="subject"),
        pytest.param("{subjects: {in: ['virtualaccount:other']}}", {}, False, id="other subject"),
        pytest.param("{subjects: {in: ['*']}}", {}, True, id="every subject"),
        pytest.param("{subjects: {in: ['team:ml', 'user:a@b.c']}}", {}, False, id="others"),
        pytest.param("{subjects: {in: ['team:everyone']}}", {}, False, id="all users"),
        pytest.param("{subjects: {in: []}}", {}, False, id="no subject"),
        pytest.param("{subjects: {not_in: ['virtualaccount:app']}}", {}, False, id="not this subject"),
        pytest.param("{subjects: {not_in: ['virtualaccount:other']}}", {}, True, id="not another subject"),
        pytest.param("{models: {in: [acct/small]}}", {}, True, id="model"),
        pytest.param("{models: {in: ['acct/*']}}", {}, True, id="models of an account"),
        pytest.param("{models: {in: [acct/large]}}", {}, False, id="other model"),
        pytest.param("{models: {in: ['acct/*'], not_in: [acct/small]}}", {}, False, id="all models but one"),
        pytest.param("{metadata: {pii: 'true'}}", {"pii": "true"}, True, id="metadata"),
        pytest.param("{metadata: {pii: 'true'}}", {"pii": "false"}, False, id="other metadata"),
        pytest.param("{metadata: {pii: 'true'}}", {}, False, id="no metadata"),
        pytest.param(
            "{metadata: {a: '1', b: '2'}}", {"a": "1", "b": "2", "c": "3"}, True, id="all the metadata"
        ),
        pytest.param(
            "{subjects: {in: ['*']}, models: {in: [x/y]}, metadata: {}}", {}, False, id="one part does not"
        ),
    ],
)
def test_when_a_rule_holds(tmp_path: Path, when: str, metadata: dict[str, Any], *, matches: bool) -> None:
    """Every part of `when` must match; a rule that holds and says no forbids."""
    plan = plan_of(tmp_path, ALWAYS, rule(log="false", when=when))
    assert (capture(plan, **metadata) is None) is matches


def test_rules_about_users(tmp_path: Path) -> None:
    """They are meant by their email and by their teams, and not as a virtual account of that name."""
    user = Caller("a@b.c", frozenset(), kind="user", teams=("ml",))
    planned = Plan((TARGET,), (TARGET.name,))
    for subject, matches in {"user:a@*": True, "team:ml": True, "virtualaccount:*": False}.items():
        plan = plan_of(tmp_path, ALWAYS, rule(log="false", when=f"{{subjects: {{in: ['{subject}']}}}}"))
        assert (plan.capture(user, make_call(), planned, CallNotes()) is None) is matches


@pytest.mark.parametrize("written", ["vm/chat", "vm/*", "short", "old/name", "lab/qwen"])
@pytest.mark.parametrize("asked", ["vm/chat", "short", "old/name"])
def test_virtual_models_are_meant_by_any_name(tmp_path: Path, written: str, asked: str) -> None:
    """Who calls one by its slug does not get around a rule on its full name."""
    plan = plan_of(tmp_path, VIRTUAL, ALWAYS, rule(log="false", when=f"{{models: {{in: ['{written}']}}}}"))
    target = make_target("lab/qwen")
    planned = Plan((target,), (target.name,))
    assert plan.capture(make_caller(), make_call(model=asked), planned, CallNotes()) is None
    other = plan.capture(make_caller(), make_call(), Plan((TARGET,), (TARGET.name,)), CallNotes())
    assert other is not None


def test_one_rule_that_forbids_is_enough(tmp_path: Path) -> None:
    """Whatever the others say, whatever the caller wants."""
    plan = plan_of(tmp_path, BY_HEADER % "true", rule("a"), rule("b", log="false"), rule("c"))
    assert capture(plan, wants=True) is None


def test_rules_of_masking_hold_without_recording(tmp_path: Path) -> None:
    """Some words of a call are on its spans all the same: those of a bad reply."""
    plan = plan_of(tmp_path, rule("a", redact_with="{presets: [email]}"), rule("b", log="false", when=ONE))
    assert plan.content is None
    found = plan.redaction.redactor(make_caller(), make_call(), Plan((TARGET,), ("acct/small",)), CallNotes())
    assert found is not None
    assert found.mask("ann@example.org") == "[REDACTED]"
    notes = CallNotes(metadata={"a": "1"})
    assert plan.redaction.redactor(make_caller(), make_call(), Plan((TARGET,), ("x",)), notes) is None


def test_embeddings_have_no_content(tmp_path: Path) -> None:
    """The conventions have no messages for them."""
    plan = plan_of(tmp_path, ALWAYS)
    call = make_call(EMBEDDING, input="x")
    assert plan.capture(make_caller(), call, Plan((TARGET,), ("acct/small",)), CallNotes()) is None


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        (CHAT, True),
        (COMPLETION, True),
        (MESSAGES, True),
        (RESPONSE, True),
        (COMPACTION, False),
        (PROXY, False),
        (GENERATE, True),
        (STREAM, True),
        (ARRAY, True),
        (COUNT, False),
        (EMBED, False),
    ],
)
def test_what_has_content(tmp_path: Path, endpoint: Endpoint, *, expected: bool) -> None:
    """Calls whose words are read; what is passed through, or only counted or shortened, is not."""
    plan = plan_of(tmp_path, ALWAYS)
    found = plan.capture(make_caller(), make_call(endpoint), Plan((TARGET,), ("acct/small",)), CallNotes())
    assert (found is not None) is expected


def test_pattern_that_took_too_long_is_given_up(tmp_path: Path) -> None:
    """Calls that it matches go without content, others with theirs; a new configuration tries again."""
    evil = rule(when="{metadata: {a: '1'}}", redact_with="{custom_patterns: [{pattern: '(a+)+b'}]}")
    plan = plan_of(tmp_path, ALWAYS, evil)
    first = capture(plan, a="1")
    assert first is not None
    first._redactor.is_spent = True
    assert capture(plan, a="1") is None
    assert capture(plan) is not None
    assert capture(plan_of(tmp_path, ALWAYS, evil), a="1") is not None


def test_masks_of_all_matching_rules_are_merged(tmp_path: Path) -> None:
    """In the order of the rules' names."""
    plan = plan_of(
        tmp_path,
        ALWAYS,
        rule("a", redact_with="{presets: [email]}"),
        rule("b", redact_with="{custom_patterns: [{pattern: 'EMP[0-9]+', redaction_text: '[ID]'}]}"),
        rule("c", when="{metadata: {x: y}}", redact_with="{presets: [ipv4]}"),
    )
    taken = capture(plan)
    assert taken is not None
    assert taken._redactor.mask("a@b.co EMP12 192.0.2.7") == "[REDACTED] [ID] 192.0.2.7"


def test_names_and_headers(tmp_path: Path) -> None:
    """As the settings say; credentials are never captured."""
    text = (
        "type: gateway-global-settings\ntelemetry_settings: {semconv: latest+old, tfy_attributes: true, "
        "capture_headers: [X-Team, authorization, cookie, x-my-token, x-team], "
        "capture_baggage: [Tenant, session.id, tenant, Tenant]}\n"
    )
    plan = plan_of(tmp_path, text)
    assert (plan.has_old_names, plan.has_tfy_names, plan.captured_headers) == (True, True, ("x-team",))
    assert plan.captured_baggage == ("Tenant", "tenant")  # keys of baggage differ by case
    plain = plan_of(tmp_path)
    assert (plain.has_old_names, plain.has_tfy_names, plain.captured_headers) == (False, False, ())


def test_traces_off_takes_no_content_either(tmp_path: Path) -> None:
    """What nobody gets is not captured; the caller's sampling decision stays its own."""
    plan = plan_of(tmp_path, ALWAYS + "telemetry_settings: {traces: false}\n")
    assert not plan.makes_spans
    assert capture(plan) is None
    assert plan.head_flags(bytes(range(16)), None) == 0
    parent = TraceContext(bytes(range(16)), bytes(range(8)), SAMPLED)
    assert plan.head_flags(parent.trace_id, parent) == SAMPLED
    stated = replace(parent, state="v=1,ot=th:8")
    assert [plan.head_state(bytes(16), one) for one in (None, stated)] == ["", "v=1,ot=th:8"]


def test_captured_headers_are_bounded() -> None:
    """Each is a field of an index."""
    assert len(usable_names(f"x-{number}" for number in range(99))) == MAX_CAPTURED
