"""Who is named beside who there is."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.config.writing import ACCOUNT, CALLER, TEAM, TOKEN, accepted_config, check_text, found


def findings(folder: Path, *texts: str) -> list[str]:
    checked = check_text(folder, ACCOUNT, CALLER, *texts)
    lines = [line.split(" ", 2) for line in found(checked)]
    return [f"{severity} {rest}" for severity, _, rest in lines]


def test_users_and_teams_are_in_force(tmp_path: Path) -> None:
    """Nothing is left to say of them, even when strict."""
    checked = check_text(tmp_path, ACCOUNT, CALLER, TEAM, TOKEN, strict=True)
    config = accepted_config(checked)
    assert checked.problems == ()
    assert [team.members for team in config.teams] == [("a@x.io",)]
    assert [token.user for token in config.access_tokens] == ["a@x.io"]


def test_users_alone_may_call(tmp_path: Path) -> None:
    """Without a virtual account too."""
    assert found(check_text(tmp_path, ACCOUNT, TEAM, TOKEN)) == []


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        pytest.param(
            [TOKEN.replace("a@x.io", "user:app")],
            "error user_fqn: the user has the name of the virtual account 'app'. "
            "Give the virtual account another name",
            id="name of a virtual account",
        ),
        pytest.param(
            ["type: pat\nname: a\nuser_fqn: a@x.io\n"],
            "warning tokens: no tokens, so nobody can call with this one. Add tokens: [env:NAME]",
            id="no tokens",
        ),
        pytest.param(
            [TOKEN, TEAM.replace("a@x.io", "b@x.io, A@x.io")],
            "warning members.1: 'A@x.io' has no token, 'a@x.io' has one: upper and lower case differ. "
            "Write 'a@x.io'",
            id="case",
        ),
        pytest.param(
            [TOKEN + "models: [lab/qwem]\n"],
            "warning models.0: 'lab/qwem' matches no model. Did you mean 'lab/qwen'?",
            id="model of a token",
        ),
        pytest.param(
            [TEAM.replace("lab/*", "zz/*")],
            "warning models.0: 'zz/*' matches no model. Write <account>/<model>; '*' stands for any text",
            id="model of a team",
        ),
        pytest.param(
            [TOKEN.replace("1" * 64, "0" * 64)],
            "error tokens.0: the same token is in {file}:13, of the account 'app'. "
            "Give each caller a token of its own",
            id="token of another",
        ),
    ],
)
def test_slips(tmp_path: Path, texts: list[str], expected: str) -> None:
    """Said where they are written."""
    assert findings(tmp_path, *texts) == [expected.replace("{file}", str(tmp_path / "m.yaml"))]


def test_budget_of_a_team_that_is_none(tmp_path: Path) -> None:
    """It would count nothing."""
    budget = (
        "type: team-budget-config\nname: b\nteam_name: {}\nlimits: {{cost_per_day: 1}}\n"
        "applies_to: {{type: aggregate}}\nmode: audit\n"
    )
    assert findings(tmp_path, TEAM, budget.format("ml")) == []
    assert findings(tmp_path, TEAM, budget.format("xy")) == [
        "warning team_name: 'xy' matches no team. '*' stands for any text"
    ]


def shared(*subjects: str, role: str = "provider-account-access") -> str:
    lines = [f"  - {{subject: '{subject}', role_id: {role}}}\n" for subject in subjects]
    return "".join(["collaborators:\n", *lines])


def sharing(folder: Path, account: str) -> list[str]:
    return [line.split(" ", 2)[2] for line in found(check_text(folder, account, CALLER, TEAM, TOKEN))]


def test_accounts_that_are_shared(tmp_path: Path) -> None:
    """With all kinds of subject, also of a model; then nothing is left to say, even when strict."""
    subjects = ["user:a@x.io", "team:ml", "team:everyone", "virtualaccount:app"]
    account = ACCOUNT + f"    authorized_subjects: {subjects}\n" + shared(*subjects)
    assert check_text(tmp_path, account, CALLER, TEAM, TOKEN, strict=True).problems == ()


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        ("user:a@x.i", "there is no user 'a@x.i'. Did you mean 'a@x.io'?"),
        ("team:zz", "there is no team 'zz'. Name a team of this configuration, or team:everyone"),
        (
            "virtualaccount:*",
            "there is no virtual account '*'. Name a virtual account of this configuration",
        ),
        ("*", "'*' is no kind of subject. Write one of user:, team:, virtualaccount: and a name"),
        ("user", "'user' is no kind of subject. Write one of user:, team:, virtualaccount: and a name"),
    ],
)
def test_who_is_nobody(tmp_path: Path, subject: str, expected: str) -> None:
    """Rights know no patterns."""
    assert sharing(tmp_path, ACCOUNT + shared(subject)) == [f"collaborators.0.subject: {expected}"]
    assert sharing(tmp_path, ACCOUNT + f"    authorized_subjects: ['team:ml', '{subject}']\n") == [
        f"integrations.0.authorized_subjects.1: {expected}"
    ]


def test_lists_that_let_nobody(tmp_path: Path) -> None:
    """An empty one, and a role that is not to call."""
    assert sharing(tmp_path, ACCOUNT + "    authorized_subjects: []\n") == [
        "integrations.0.authorized_subjects: nobody may use this model. Remove the empty list, or fill it"
    ]
    assert sharing(tmp_path, ACCOUNT + shared("team:ml", role="viewer")) == [
        (
            "collaborators.0.role_id: the role 'viewer' lets nobody call. "
            "Write one of provider-account-access, provider-account-manager"
        )
    ]


def test_virtual_accounts_that_accounts_name(tmp_path: Path) -> None:
    """They may call, though they say nothing of it themselves."""
    bare = CALLER.replace('models: ["lab/*"]\n', "")
    assert found(check_text(tmp_path, ACCOUNT + shared("virtualaccount:app"), bare)) == []
    lines = found(check_text(tmp_path, ACCOUNT + shared("virtualaccount:app", role="viewer"), bare))
    for line in (lines[-1], *found(check_text(tmp_path, ACCOUNT + shared("team:everyone"), bare))):
        assert "neither models nor permissions let this account call a model" in line


BINDING = """\
type: role-binding
name: b
subjects: [{{type: {kind}, name: {name}}}]
permissions: [{{resourceType: provider-account, resourceFqn: {fqn}, role: {role}}}]
"""


def bound(
    kind: str = "team",
    name: str = "ml",
    fqn: str = "t:self-hosted-model:lab",
    role: str = "provider-account-access",
) -> str:
    return BINDING.format(kind=kind, name=name, fqn=fqn, role=role)


@pytest.mark.parametrize(
    ("binding", "expected"),
    [
        (bound(), []),
        (bound("virtualaccount", "app", "t:self-hosted-model:lab:model:qwen"), []),
        (bound("user", "b@x.io"), ["subjects.0.name: there is no user 'b@x.io'. Did you mean 'a@x.io'?"]),
        (bound("agent"), ["subjects.0: no agent calls yet. It has no effect; it may stay"]),
        (
            bound("external-identity"),
            ["subjects.0: no external-identity calls yet. It has no effect; it may stay"],
        ),
        (
            bound(fqn="t:self-hosted-model:labs"),
            [
                (
                    "permissions.0.resourceFqn: there is no account 'labs' of self-hosted-model. "
                    "Did you mean 'lab'?"
                )
            ],
        ),
        (
            bound(role="viewer"),
            [
                (
                    "permissions.0: lets nobody call. Models need a resourceFqn "
                    "<tenant>:<provider>:<account>[:model:<name>] and the role provider-account-access or "
                    "provider-account-manager"
                )
            ],
        ),
    ],
)
def test_bindings(tmp_path: Path, binding: str, expected: list[str]) -> None:
    """Beside the subjects and the models that there are."""
    lines = found(check_text(tmp_path, ACCOUNT, CALLER, TEAM, TOKEN, binding))
    assert [line.split(" ", 2)[2] for line in lines] == expected


def test_virtual_accounts_that_are_bound(tmp_path: Path) -> None:
    """They may call, though they say nothing of it themselves."""
    bare = CALLER.replace('models: ["lab/*"]\n', "")
    assert found(check_text(tmp_path, ACCOUNT, bare, bound("virtualaccount", "app"))) == []
