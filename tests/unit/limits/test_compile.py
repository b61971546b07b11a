"""From manifests to rules."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.limits.compile import compile_limits
from gateway.limits.rules import Meter
from gateway.model import PARALLEL, Caller
from tests.unit.config.writing import ACCOUNT, CALLER, accepted_config, check_text

VIRTUAL = """\
type: provider-account/virtual-model
name: vm
integrations:
  - name: chat
    slug: chat
    alias: [c2]
    routing_config: {type: weight-based-routing, load_balance_targets: [{target: lab/qwen, weight: 1}]}
"""
APP = Caller("app", frozenset())
ANN = Caller("ann", frozenset(), kind="user", teams=("ml",))
BOB = Caller("bob", frozenset(), kind="user")
MONDAY = 1_796_688_000.0


def found(
    folder: Path,
    text: str,
    caller: Caller = APP,
    asked: str = "lab/qwen",
    target: str = "",
    metadata: dict[str, str] | None = None,
) -> list[tuple[str, str, int, tuple[str, ...]]]:
    """Id, limit, amount and entity of each meter; with a *target* of those that it brings."""
    rules = compile_limits(accepted_config(check_text(folder, ACCOUNT, CALLER, VIRTUAL, text)))
    if target:
        meters = rules.of_target(caller, asked, target, metadata or {})
    else:
        meters = rules.of_call(caller, asked, metadata or {})
    return [(one.rule.id, one.limit.name, one.limit.amount, one.entity) for one in meters]


def test_nothing(tmp_path: Path) -> None:
    """Without rules nothing is looked up for a call."""
    assert not compile_limits(accepted_config(check_text(tmp_path, ACCOUNT, CALLER)))


RULES = """\
type: gateway-rate-limiting-config
name: rates
rules:
  - id: dev
    when: {metadata: {env: dev}, subjects: ["team:ml", "virtualaccount:app"]}
    limit_to: 7
    unit: parallel_requests
  - id: chat
    when: {models: ["t:virtual-model:vm:model:chat"]}
    limit_to: 100
    unit: tokens_per_hour
    rate_limit_applies_per: [user, model]
  - id: rest
    when: {}
    limit_to: 10
    unit: requests_per_day
    rate_limit_applies_per: [metadata.app]
"""


@pytest.mark.parametrize(
    ("caller", "asked", "metadata", "expected"),
    [
        (APP, "lab/qwen", {"env": "dev"}, ("dev", "parallel_requests", 7, ())),
        (BOB, "c2", {"env": "dev"}, ("chat", "tokens_per_hour", 100, ("bob", "vm/chat"))),
        (ANN, "chat", {"env": "prod"}, ("chat", "tokens_per_hour", 100, ("ann", "vm/chat"))),
        (APP, "vm/chat", {}, ("rest", "requests_per_day", 10, ("",))),
        (BOB, "lab/qwen", {"app": "bot"}, ("rest", "requests_per_day", 10, ("bot",))),
    ],
)
def test_rate_limiting_config(
    tmp_path: Path, caller: Caller, asked: str, metadata: dict[str, str], expected: tuple[object, ...]
) -> None:
    """The first rule that a call matches, with what it counts apart."""
    assert found(tmp_path, RULES, caller, asked, metadata=metadata) == [expected]


def test_windows(tmp_path: Path) -> None:
    """Rate limits roll; parallel requests have no time."""
    config = accepted_config(check_text(tmp_path, ACCOUNT, CALLER, VIRTUAL, RULES))
    meters: tuple[Meter, ...] = ()
    for metadata in ({"env": "dev"}, {}):
        meters += compile_limits(config).of_call(APP, "lab/qwen", metadata)
    charges = [meter.charge(1, MONDAY) for meter in meters]
    assert [(charge.window_s, charge.limit) for charge in charges] == [(PARALLEL, 7), (86_400, 10)]


TENANT = """\
type: tenant-rate-limit-config/model
name: r
limits: {requests_per_minute: 5, tokens_per_day: 1000, parallel_requests: 2}
"""
BOTH = [
    ("r", "requests_per_minute", 5, ()),
    ("r", "tokens_per_day", 1000, ()),
    ("r", "parallel_requests", 2, ()),
]


def test_each_limit_of_a_manifest(tmp_path: Path) -> None:
    """One manifest may have several, and all that match hold, whatever the older rules say."""
    assert found(tmp_path, TENANT) == BOTH
    other = TENANT.replace("name: r", "name: s").replace(", tokens_per_day: 1000, parallel_requests: 2", "")
    every = found(tmp_path, f"{TENANT}---\n{other}---\n{RULES}")
    assert every == [("rest", "requests_per_day", 10, ("",)), *BOTH, ("s", "requests_per_minute", 5, ())]


@pytest.mark.parametrize(
    ("subjects", "who"),
    [
        ("users: {in: [ann]}", [ANN]),
        ("teams: {in: [ml]}", [ANN]),
        ("teams: {in: [everyone]}", [ANN, BOB]),
        ("virtual_accounts: {in: ['*']}", [APP]),
        ("virtual_accounts: {in: [app]}, users: {in: [bob]}", [APP, BOB]),
        ("users: {not_in: [bob]}", [APP, ANN]),
        ("users: {in: ['*'], not_in: [bob]}", [ANN]),
        ("teams: {not_in: [ml]}", [APP, BOB]),
        ("users: {in: ['*']}, teams: {not_in: [ml]}", [BOB]),
    ],
)
def test_subjects(tmp_path: Path, subjects: str, who: list[Caller]) -> None:
    """Who is in one of the lists and in none of those of who is not meant."""
    text = f"{TENANT}when: {{subjects: {{{subjects}}}}}\n"
    assert [one for one in (APP, ANN, BOB) if found(tmp_path, text, one)] == who


@pytest.mark.parametrize(
    ("when", "of_call", "of_target"),
    [
        ("models: {in: [c2]}", True, False),
        ("models: {in: [lab/qwen]}", False, True),
        ("provider_accounts: {in: [vm]}", True, False),
        ("provider_accounts: {in: [lab]}", False, True),
        ("models: {not_in: [lab/qwen]}", False, False),
        ("models: {not_in: [lab/other]}", False, True),
        ("provider_accounts: {not_in: [vm]}", False, False),
    ],
)
def test_models(tmp_path: Path, when: str, *, of_call: bool, of_target: bool) -> None:
    """What is asked, what answers, and the accounts of both."""
    text = f"{TENANT}when: {{{when}}}\n"
    assert bool(found(tmp_path, text, asked="chat")) is of_call
    assert bool(found(tmp_path, text, asked="chat", target="lab/qwen")) is of_target


@pytest.mark.parametrize(
    ("metadata", "is_meant"), [({}, False), ({"app": "bot"}, True), ({"app": "bot", "env": "dev"}, False)]
)
def test_metadata(tmp_path: Path, metadata: dict[str, str], *, is_meant: bool) -> None:
    """Lists of values, of each key."""
    text = TENANT + "when: {metadata: {app: {in: [bot, cat]}, env: {not_in: [dev]}}}\n"
    assert bool(found(tmp_path, text, metadata=metadata)) is is_meant


NINE = "limits: {requests_per_minute: 9}"


@pytest.mark.parametrize(
    ("applies_to", "caller", "expected"),
    [
        ("type: aggregate", ANN, [(5, ())]),
        ("type: per-user", ANN, [(5, ("ann",))]),
        (f"type: per-user, overrides: [{{users: [ann], {NINE}}}]", ANN, [(9, ("ann",))]),
        (f"type: per-user, overrides: [{{users: [ann], {NINE}}}]", BOB, [(5, ("bob",))]),
        ("type: per-user", APP, []),
        ("type: per-virtual-account", APP, [(5, ("app",))]),
        (
            f"type: per-virtual-account, overrides: [{{virtual_accounts: [app], {NINE}}}]",
            APP,
            [(9, ("app",))],
        ),
        ("type: per-model", APP, [(5, ("vm/chat",))]),
        (f"type: per-model, overrides: [{{models: [c2], {NINE}}}]", APP, [(9, ("vm/chat",))]),
        ("type: metadata, metadata: a", APP, [(5, ("b",))]),
        (f"type: metadata, metadata: a, overrides: [{{metadata_values: [b], {NINE}}}]", APP, [(9, ("b",))]),
    ],
)
def test_applies_to(
    tmp_path: Path, applies_to: str, caller: Caller, expected: list[tuple[int, tuple[str, ...]]]
) -> None:
    """What is counted apart, and other limits for some of it."""
    text = f"{TENANT}applies_to: {{{applies_to}}}\n"
    shown = found(tmp_path, text, caller, "chat", metadata={"a": "b"})
    per_minute = [one for one in shown if one[1] == "requests_per_minute"]
    assert [(amount, entity) for _, _, amount, entity in per_minute] == expected


def test_audit(tmp_path: Path) -> None:
    """What is only watched refuses nobody."""
    config = accepted_config(check_text(tmp_path, ACCOUNT, CALLER, TENANT + "mode: audit\n"))
    meters = compile_limits(config).of_call(APP, "lab/qwen", {})
    assert [meter.charge(1, MONDAY).is_enforced for meter in meters] == [False] * 3


BUDGETS = """\
type: gateway-budget-config
rules:
  - {id: chat, when: {models: [chat]}, limit_to: 0.1, unit: cost_per_day, budget_applies_per: [user]}
  - {id: watch, when: {}, limit_to: 50, unit: cost_per_week, audit_mode: true}
  - {id: tokens, when: {}, limit_to: 1000, unit: tokens_per_lifetime}
"""


def enforced(folder: Path, text: str, caller: Caller, asked: str) -> list[tuple[str, int, bool]]:
    """Id, amount, and whether it may refuse."""
    rules = compile_limits(accepted_config(check_text(folder, ACCOUNT, CALLER, VIRTUAL, text)))
    meters = rules.of_call(caller, asked, {})
    assert all(meter.rule.is_budget for meter in meters)
    charges = [meter.charge(1, MONDAY) for meter in meters]
    assert all(charge.window_s == 0 for charge in charges)
    return [
        (meter.rule.id, charge.limit, charge.is_enforced)
        for meter, charge in zip(meters, charges, strict=True)
    ]


@pytest.mark.parametrize(
    ("caller", "asked", "expected"),
    [
        pytest.param(
            ANN,
            "c2",
            [("chat", 100_000, True), ("watch", 50_000_000, False), ("tokens", 1000, False)],
            id="the first refuses",
        ),
        pytest.param(
            APP,
            "c2",
            [("watch", 50_000_000, False), ("tokens", 1000, False)],
            id="the first only watches, so none refuses",
        ),
    ],
)
def test_budget_config(
    tmp_path: Path, caller: Caller, asked: str, expected: list[tuple[str, int, bool]]
) -> None:
    """The first rule may refuse, all count; money is in millionths."""
    assert enforced(tmp_path, BUDGETS, caller, asked) == expected


BUDGET = "limits: {cost_per_day: 20, cost_per_month: 400.5}\napplies_to: {type: per-user}\n"


@pytest.mark.parametrize(
    ("text", "caller", "expected"),
    [
        (
            "type: tenant-budget-config\nmode: enforce\n",
            ANN,
            [("b", 20_000_000, True), ("b", 400_500_000, True)],
        ),
        (
            "type: tenant-budget-config\nmode: soft_enforce\n",
            ANN,
            [("b", 20_000_000, True), ("b", 400_500_000, True)],
        ),
        (
            "type: tenant-budget-config\nmode: audit\n",
            ANN,
            [("b", 20_000_000, False), ("b", 400_500_000, False)],
        ),
        (
            "type: team-budget-config\nteam_name: ml\nmode: enforce\n",
            ANN,
            [("b", 20_000_000, True), ("b", 400_500_000, True)],
        ),
        ("type: team-budget-config\nteam_name: ml\nmode: enforce\n", BOB, []),
        (
            "type: team-budget-config\nteam_name: ml\nmode: audit\nwhen: {subjects: {users: {in: [bob]}}}\n",
            ANN,
            [],
        ),
    ],
)
def test_budgets(tmp_path: Path, text: str, caller: Caller, expected: list[tuple[str, int, bool]]) -> None:
    """All that match hold; a team's is about its members."""
    assert enforced(tmp_path, f"{text}name: b\n{BUDGET}", caller, "lab/qwen") == expected


def test_modes_are_kept(tmp_path: Path) -> None:
    """Whether another budget lets a call pass is found when it comes."""
    text = f"type: tenant-budget-config\nname: b\nmode: soft_enforce\n{BUDGET}"
    config = accepted_config(check_text(tmp_path, ACCOUNT, CALLER, text))
    assert {meter.rule.mode for meter in compile_limits(config).of_call(ANN, "lab/qwen", {})} == {
        "soft_enforce"
    }


def test_the_example_of_a_month(tmp_path: Path) -> None:
    """An override of the month alone leaves no limit of the day, and what holds ends with the calendar's."""
    text = (
        "type: tenant-budget-config\nname: b\nmode: audit\nlimits: {cost_per_day: 20, cost_per_month: 400}\n"
        "applies_to: {type: per-user, overrides: [{users: [ann], limits: {cost_per_month: 900}}]}\n"
    )
    config = accepted_config(check_text(tmp_path, ACCOUNT, CALLER, text))
    rules = compile_limits(config)
    charges = [meter.charge(1, MONDAY) for meter in rules.of_call(ANN, "lab/qwen", {})]
    assert [(charge.limit, charge.expires_s) for charge in charges] == [(900_000_000, 1_798_761_600)]
    charges = [meter.charge(1, MONDAY) for meter in rules.of_call(BOB, "lab/qwen", {})]
    assert [(charge.limit, charge.expires_s) for charge in charges] == [
        (20_000_000, MONDAY + 86_400),
        (400_000_000, 1_798_761_600),
    ]


def test_the_example(tmp_path: Path) -> None:
    """What operators copy has no finding, and each of its rules holds for somebody."""
    example = Path(__file__).resolve().parents[3] / "deploy" / "examples" / "limits.yaml"
    environ = {"OPENAI_API_KEY": "k", "APP_TOKEN": "t", "ANN_TOKEN": "u"}
    checked = check_text(tmp_path, example.read_text(), strict=True, environ=environ)
    assert checked.problems == ()
    rules = compile_limits(accepted_config(checked))
    user = Caller("ann@example.com", frozenset(), kind="user", teams=("research",))
    found = [
        {meter.rule.id for meter in rules.of_call(caller, "openai-main/gpt", {})} for caller in (APP, user)
    ]
    assert found == [
        {"app-by-customer", "gpt-at-once", "whole-month"},
        {"everybody", "gpt-at-once", "whole-month", "each-user", "research-week"},
    ]


BUDGETS_HEAD = "type: gateway-budget-config\nname: b\nrules:\n"
ALERTS = "alerts: {thresholds: [90, 50.5, 90]}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"type: tenant-budget-config\nname: b\nmode: audit\n{BUDGET}{ALERTS}\n", (50.5, 90.0)),
        (
            f"type: tenant-budget-config\nname: b\nmode: audit\n{BUDGET}alerts: {{}}\n",
            (75.0, 90.0, 95.0, 100.0),
        ),
        (f"type: tenant-budget-config\nname: b\nmode: audit\n{BUDGET}", ()),
        (
            f"{BUDGETS_HEAD}  - {{id: b, when: {{}}, limit_to: 5, unit: cost_per_day, {ALERTS}}}\n",
            (50.5, 90.0),
        ),
    ],
)
def test_thresholds(tmp_path: Path, text: str, expected: tuple[float, ...]) -> None:
    """Those of a budget's alerts, whether or not there is a webhook."""
    config = accepted_config(check_text(tmp_path, ACCOUNT, CALLER, VIRTUAL, text))
    assert [rule.thresholds for rule in compile_limits(config).every()] == [expected]
