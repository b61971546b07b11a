"""Rules on limits beside what they name."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.config.writing import ACCOUNT, CALLER, TEAM, check_text, found

VIRTUAL = """\
type: provider-account/virtual-model
name: vm
integrations:
  - name: chat
    alias: [c2]
    routing_config: {type: weight-based-routing, load_balance_targets: [{target: lab/qwen, weight: 1}]}
"""
RULES = "type: gateway-rate-limiting-config\nrules:\n"
TENANT = "type: tenant-rate-limit-config/model\nname: r\nlimits: {tokens_per_day: 1}\n"


def findings(folder: Path, *texts: str) -> list[str]:
    checked = check_text(folder, *texts, ACCOUNT, CALLER, VIRTUAL, TEAM)
    return [line.split(" ", 2)[2] for line in found(checked)]


def rule(name: str, when: str = "", more: str = "") -> str:
    return f"  - {{id: {name}, when: {{{when}}}, limit_to: 1, unit: requests_per_minute{more}}}\n"


@pytest.mark.parametrize(
    "when",
    [
        "models: [lab/qwen, 'lab/*', vm/chat, c2, '*']",
        "models: ['t:virtual-model:vm:model:chat']",
        "subjects: [virtualaccount:app, 'virtualaccount:a*', 'user:a@x.io', team:ml, '*']",
        "metadata: {a: b}",
    ],
)
def test_rules_that_fit(tmp_path: Path, when: str) -> None:
    """Any name of a model, any kind of subject."""
    assert findings(tmp_path, RULES + rule("a", when)) == []


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ("models: [lab/qwem]", "models.0: 'lab/qwem' matches no model. Did you mean 'lab/qwen'?"),
        ("models: ['zz*']", "models.0: 'zz*' matches no model. '*' stands for any text"),
        (
            "subjects: [app]",
            "subjects.0: 'app' is no kind of subject. Write one of user:, team:, virtualaccount: and a name",
        ),
        (
            "subjects: [team:ml, 'virtualaccount:apq']",
            "subjects.1: 'apq' matches no virtual account. Did you mean 'app'?",
        ),
        ("subjects: ['team:x*']", "subjects.0: 'x*' matches no team. '*' stands for any text"),
        ("subjects: ['user:a@x.i']", "subjects.0: 'a@x.i' matches no user. Did you mean 'a@x.io'?"),
    ],
)
def test_slips_of_rules(tmp_path: Path, when: str, expected: str) -> None:
    """A pattern that matches nothing limits nothing, and it is said."""
    assert findings(tmp_path, RULES + rule("a", when)) == [f"rules.0.when.{expected}"]


@pytest.mark.parametrize(
    ("text", "name", "fix"),
    [
        (RULES + rule("'{user}-daily'"), "user", "rate_limit_applies_per: [user]"),
        (
            RULES + rule("'{model}-{metadata.app}-{model}'", more=", rate_limit_applies_per: [model]"),
            "metadata.app",
            "rate_limit_applies_per: [model, metadata.app]",
        ),
        (
            (
                "type: gateway-budget-config\n"
                "rules: [{id: 'b-{user}', when: {}, limit_to: 1, unit: cost_per_day}]\n"
            ),
            "user",
            "budget_applies_per: [user]",
        ),
    ],
    ids=["user", "one-of-two", "budget"],
)
def test_what_older_rules_count_apart_by_their_ids(tmp_path: Path, text: str, name: str, fix: str) -> None:
    """It was so at TrueFoundry: here one user would take what each was to have."""
    shared = "in it counts nothing apart: all calls of the rule share its limit"
    assert findings(tmp_path, text) == [f"rules.0.id: '{{{name}}}' {shared}. Write {fix}"]


def test_ids_with_braces_that_mean_nothing(tmp_path: Path) -> None:
    """What is counted apart anyhow, and any other word."""
    apart = ", rate_limit_applies_per: [user]"
    assert findings(tmp_path, RULES + rule("'{user}-x'", more=apart) + rule("'{team}'")) == []


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("when: {models: {in: [lab/qwen], not_in: ['vm/*']}}", []),
        (
            "when: {subjects: {virtual_accounts: {not_in: [app]}, users: {in: ['a@*']}, teams: {in: [ml]}}}",
            [],
        ),
        ("when: {provider_accounts: {in: [lab, vm]}}", []),
        (
            "when: {subjects: {users: {in: [a]}, teams: {not_in: [x]}}}",
            [
                "when.subjects.users.in.0: 'a' matches no user. Did you mean 'a@x.io'?",
                "when.subjects.teams.not_in.0: 'x' matches no team. '*' stands for any text",
            ],
        ),
        ("applies_to: {type: per-model, overrides: [{models: [c2], limits: {tokens_per_day: 2}}]}", []),
        (
            "when: {models: {not_in: [lab/x]}}",
            ["when.models.not_in.0: 'lab/x' matches no model. '*' stands for any text"],
        ),
        (
            "when: {subjects: {virtual_accounts: {in: [nobody]}}}",
            [
                (
                    "when.subjects.virtual_accounts.in.0: 'nobody' matches no virtual account. "
                    "'*' stands for any text"
                )
            ],
        ),
        (
            "when: {provider_accounts: {in: [labs]}}",
            ["when.provider_accounts.in.0: 'labs' matches no account. Did you mean 'lab'?"],
        ),
        (
            "applies_to: {type: per-model, overrides: [{models: [lab/qwe], limits: {tokens_per_day: 2}}]}",
            [
                (
                    "applies_to.overrides.0.models.0: there is no model 'lab/qwe', so it has no effect. "
                    "Did you mean 'lab/qwen'?"
                )
            ],
        ),
        (
            "applies_to: {type: per-user, overrides: [{users: [b@x.io], limits: {tokens_per_day: 2}}]}",
            [
                (
                    "applies_to.overrides.0.users.0: there is no user 'b@x.io', so it has no effect. "
                    "Did you mean 'a@x.io'?"
                )
            ],
        ),
        (
            (
                "applies_to: {type: per-virtual-account,"
                " overrides: [{virtual_accounts: ['a*'], limits: {tokens_per_day: 2}}]}"
            ),
            [
                (
                    "applies_to.overrides.0.virtual_accounts.0: there is no virtual account 'a*', so it has "
                    "no effect. Write the whole name: overrides take no patterns"
                )
            ],
        ),
    ],
)
def test_slips_of_manifests(tmp_path: Path, lines: str, expected: list[str]) -> None:
    """The same of the newer kind, in each of its lists."""
    assert findings(tmp_path, f"{TENANT}{lines}\n") == expected


@pytest.mark.parametrize(
    ("text", "path"),
    [
        (f"{TENANT}when: {{{when}}}\n", f"when.{path}.in")
        for when, path in (
            ("models: {in: []}", "models"),
            ("provider_accounts: {in: []}", "provider_accounts"),
            ("subjects: {users: {in: []}}", "subjects.users"),
            ("subjects: {teams: {in: []}}", "subjects.teams"),
            ("subjects: {virtual_accounts: {in: []}}", "subjects.virtual_accounts"),
            ("metadata: {a: {in: []}}", "metadata.a"),
        )
    ],
)
def test_empty_lists(tmp_path: Path, text: str, path: str) -> None:
    """A rule that matches nothing limits nothing, and it is said."""
    assert findings(tmp_path, text) == [
        f"{path}: an empty list, which matches nothing. Remove it to mean all"
    ]


def test_empty_lists_of_the_older_kind(tmp_path: Path) -> None:
    """They are for all, so a rule behind one is told of as behind any other for all."""
    text = RULES + rule("a", "subjects: [], models: []") + rule("b", "models: [lab/qwen]")
    [line] = findings(tmp_path, text)
    assert line.startswith("rules.1: no call gets here: the rule 'a' before it is for all.")


def test_names_of_rules(tmp_path: Path) -> None:
    """Each once, because a counter is kept by it."""
    lines = findings(tmp_path, RULES + rule("a", "models: [lab/qwen]") + rule("a"))
    assert lines == ["rules.1.id: the rule 'a' is already on line 3. Give one of them another id"]


def test_no_rules(tmp_path: Path) -> None:
    """An empty list limits nothing."""
    text = "type: gateway-rate-limiting-config\nrules: []\n"
    assert findings(tmp_path, text) == ["rules: there are no rules. Add one, or remove the manifest"]


def test_one_manifest(tmp_path: Path) -> None:
    """The order of rules must not depend on names of files or manifests."""
    text = RULES + rule("a")
    [line] = findings(tmp_path, text, text.replace("rules:", "name: other\nrules:"))
    assert line.startswith("type: rate limits are already in")


@pytest.mark.parametrize(
    ("first", "is_reached"),
    [
        (rule("a"), False),
        (rule("a", more=", rate_limit_applies_per: [model]"), False),
        (rule("a", more=", rate_limit_applies_per: [user, virtualaccount]"), False),
        (rule("a", more=", rate_limit_applies_per: [user]"), True),
        (rule("a", "models: ['*'], subjects: ['*']"), False),
        (rule("a", "subjects: [team:ml, team:everyone]"), True),
        (rule("a", "models: ['lab/*']"), True),
        (rule("a", "subjects: [team:ml]"), True),
        (rule("a", "metadata: {a: b}"), True),
    ],
)
def test_rules_that_never_decide(tmp_path: Path, first: str, *, is_reached: bool) -> None:
    """Behind a rule for all calls no other is the first."""
    lines = findings(tmp_path, RULES + first + rule("b") + rule("c", "models: [lab/qwen]"))
    behind_b = "rules.2: no call gets here: the rule 'b' before it is for all"
    behind_a = "rules.1: no call gets here: the rule 'a' before it is for all"
    assert [line.partition(". ")[0] for line in lines] == [behind_b if is_reached else behind_a]


def test_users_of_an_identity_provider(tmp_path: Path) -> None:
    """No manifest knows them, so nobody says that there is none of a name."""
    provider = (
        "type: external-identity-provider\nname: acme\nissuer: https://login.acme.com/\n"
        "audiences: [api://gateway]\njwks_uri: https://login.acme.com/keys\n"
    )
    override = "overrides: [{users: [b@x.io], limits: {tokens_per_day: 2}}]"
    text = f"{TENANT}applies_to: {{type: per-user, {override}}}\n"
    assert findings(tmp_path, text, provider) == []


BUDGETS = "type: gateway-budget-config\nrules:\n"


def test_budgets_are_held_against_names_too(tmp_path: Path) -> None:
    """All kinds, as rate limits are; but a rule behind one for all still counts."""
    unit = "limit_to: 1, unit: cost_per_day"
    rules = (
        f"  - {{id: a, when: {{}}, {unit}}}\n"
        f"  - {{id: a, when: {{}}, {unit}}}\n"
        f"  - {{id: b, when: {{models: [zz]}}, {unit}}}\n"
    )
    assert findings(tmp_path, BUDGETS + rules) == [
        "rules.1.id: the rule 'a' is already on line 3. Give one of them another id",
        "rules.2.when.models.0: 'zz' matches no model. '*' stands for any text",
    ]
    for kind, more in (("tenant", ""), ("team", "team_name: ml\n")):
        text = (
            f"type: {kind}-budget-config\nname: b\n{more}limits: {{cost_per_day: 1}}\nmode: audit\n"
            "when: {models: {in: [zz]}}\n"
            "applies_to: {type: per-model, overrides: [{models: [yy], limits: {cost_per_day: 2}}]}\n"
        )
        assert findings(tmp_path, text) == [
            "when.models.in.0: 'zz' matches no model. '*' stands for any text",
            (
                "applies_to.overrides.0.models.0: there is no model 'yy', so it has no effect. "
                "Write the whole name: overrides take no patterns"
            ),
        ]


def test_one_manifest_of_budget_rules(tmp_path: Path) -> None:
    """The first that a call matches may refuse it, so their order must be written."""
    text = BUDGETS + "  - {id: a, when: {}, limit_to: 1, unit: cost_per_day}\n"
    [line] = findings(tmp_path, text, text.replace("rules:", "name: other\nrules:"))
    assert line.startswith("type: budgets are already in")


def test_slips_of_priorities(tmp_path: Path) -> None:
    """They name callers and models as rules on limits do, and their ids are unique."""
    rules = "".join(
        f"    - {{id: a, priority: low, when: {{{when}}}}}\n"
        for when in ("models: [lab/qwem]", "subjects: []")
    )
    text = f"type: gateway-global-settings\noverload_settings:\n  priority_rules:\n{rules}"
    place = "overload_settings.priority_rules"
    assert findings(tmp_path, text) == [
        f"{place}.0.when.models.0: 'lab/qwem' matches no model. Did you mean 'lab/qwen'?",
        f"{place}.1.id: the rule 'a' is already on line 4. Give one of them another id",
    ]
    assert findings(tmp_path, "type: gateway-global-settings\n") == []
