"""Rules of any kind beside each other."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.config.writing import ACCOUNT, CALLER, check_text, found

KINDS = {
    "gateway-budget-config": "when: {}, limit_to: 1, unit: cost_per_day",
    "gateway-load-balancing-config": (
        "when: {}, type: priority-based-routing, load_balance_targets: [{target: lab/qwen}]"
    ),
    "gateway-metadata-config": "when: {}, metadata_override: {a: b}",
    "gateway-rate-limiting-config": "when: {metadata: {a: b}}, limit_to: 1, unit: requests_per_day",
}


@pytest.mark.parametrize("kind", KINDS)
def test_rules_and_their_ids(tmp_path: Path, kind: str) -> None:
    """There are some, and each has an id of its own; of three with one the first is named."""
    empty = check_text(tmp_path, f"type: {kind}\nrules: []\n", ACCOUNT, CALLER)
    assert found(empty) == ["warning 2 rules: there are no rules. Add one, or remove the manifest"]
    rules = "".join(f"  - {{id: {name}, {KINDS[kind]}}}\n" for name in "abaa")
    checked = check_text(tmp_path, f"type: {kind}\nrules:\n{rules}", ACCOUNT, CALLER)
    assert found(checked) == [
        f"error {line} rules.{index}.id: the rule 'a' is already on line 3. Give one of them another id"
        for line, index in ((5, 2), (6, 3))
    ]


@pytest.mark.parametrize(("subjects", "is_told"), [("[]", True), ("['*']", False), ("null", False)])
def test_lists_that_match_nothing(tmp_path: Path, subjects: str, *, is_told: bool) -> None:
    """An empty one is not the same as none."""
    when = f"{{subjects: {{virtual_accounts: {{in: {subjects}}}}}}}"
    text = f"type: tenant-rate-limit-config/model\nname: a\nlimits: {{requests_per_day: 1}}\nwhen: {when}\n"
    message = "an empty list, which matches nothing. Remove it to mean all"
    assert found(check_text(tmp_path, text, ACCOUNT, CALLER)) == (
        [f"warning 4 when.subjects.virtual_accounts.in: {message}"] if is_told else []
    )
