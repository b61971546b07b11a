"""Rules on metadata as manifests have them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.config.writing import ACCOUNT, CALLER, TEAM, accepted_config, check_text, found

RULES = "type: gateway-metadata-config\nrules:\n"


def test_in_force(tmp_path: Path) -> None:
    """In their order; a rule without subjects is for all."""
    rules = (
        "  - {id: b, when: {subjects: ['team:ml']}, metadata_override: {a: '1'}}\n"
        "  - {id: a, when: {}, metadata_override: {b: ''}}\n"
    )
    checked = check_text(tmp_path, RULES + rules, ACCOUNT, CALLER, TEAM, strict=True)
    [manifest] = accepted_config(checked).metadata_configs
    assert checked.problems == ()
    assert [(rule.id, rule.when.subjects, rule.metadata_override) for rule in manifest.rules] == [
        ("b", ("team:ml",), {"a": "1"}),
        ("a", None, {"b": ""}),
    ]


@pytest.mark.parametrize(
    ("rule", "what"),
    [
        pytest.param("when: {}", "rules.0.metadata_override: the field is missing", id="gives nothing"),
        pytest.param("when: {}, metadata_override: {}", "rules.0.metadata_override", id="empty"),
        pytest.param("when: {}, metadata_override: {a: 1}", "rules.0.metadata_override.a", id="a number"),
        pytest.param("metadata_override: {a: b}", "rules.0.when: the field is missing", id="for nobody"),
        pytest.param(
            f"when: {{}}, metadata_override: {{a: {'b' * 129}}}", "more than 128 characters", id="long value"
        ),
        pytest.param(
            f"when: {{}}, metadata_override: {{{'a' * 129}: b}}", "more than 128 characters", id="long key"
        ),
        pytest.param(
            f"when: {{}}, metadata_override: {{{', '.join(f'k{n}: v' for n in range(65))}}}",
            "more than 64 keys",
            id="many keys",
        ),
    ],
)
def test_slips(tmp_path: Path, rule: str, what: str) -> None:
    """Each is an error that says where."""
    checked = check_text(tmp_path, RULES + f"  - {{id: a, {rule}}}\n", ACCOUNT, CALLER)
    assert checked.config is None
    assert what in "\n".join(found(checked))
