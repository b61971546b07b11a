"""Rules on metadata beside each other and whom they name."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.config.writing import ACCOUNT, CALLER, TEAM, check_text, found

KINDS = "user:, team:, virtualaccount: and a name"
HEAD = "type: gateway-metadata-config\n"


def rule(name: str, when: str = "") -> str:
    return f"  - {{id: {name}, when: {{{when}}}, metadata_override: {{a: b}}}}\n"


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ("rules: []\n", "warning 2 rules: there are no rules. Add one, or remove the manifest"),
        (
            "rules:\n" + rule("a") + rule("b") + rule("a"),
            "error 5 rules.2.id: the rule 'a' is already on line 3. Give one of them another id",
        ),
        (
            "rules:\n" + rule("a", "subjects: [app]"),
            "warning 3 rules.0.when.subjects.0: 'app' is no kind of subject. Write one of " + KINDS,
        ),
        (
            "rules:\n" + rule("a", "subjects: ['virtualaccount:apq']"),
            "warning 3 rules.0.when.subjects.0: 'apq' matches no virtual account. Did you mean 'app'?",
        ),
        (
            "rules:\n" + rule("a", "subjects: ['user:a@x.io', 'team:mm']"),
            "warning 3 rules.0.when.subjects.1: 'mm' matches no team. '*' stands for any text",
        ),
    ],
)
def test_findings(tmp_path: Path, rules: str, expected: str) -> None:
    """Each with its place."""
    assert found(check_text(tmp_path, HEAD + rules, ACCOUNT, CALLER, TEAM)) == [expected]


def test_one_manifest(tmp_path: Path) -> None:
    """Which of two would count first is not for their names to say."""
    one = HEAD + "rules:\n" + rule("a")
    [line] = found(check_text(tmp_path, one, one.replace(HEAD, HEAD + "name: z\n"), ACCOUNT, CALLER))
    assert "rules on metadata are already in" in line
