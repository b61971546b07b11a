"""Virtual models and rules beside the models that they name."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.config.writing import CALLER, check_text, found

MAIN = """\
type: provider-account/openai
name: main
integrations:
  - {name: small, model_id: a, model_types: [chat]}
  - {name: embed, model_id: b, model_types: [embedding]}
"""
CALL = CALLER.replace("lab/*", "*")
GROUP = """\
type: provider-account/virtual-model
name: vm
integrations:
"""


def findings(folder: Path, *texts: str) -> list[str]:
    return [
        line.split(" ", 1)[1]
        for line in found(check_text(folder, MAIN, CALL, *texts))
        if "account that is not in force" in line or "not in force yet. " not in line
    ]


def model(name: str, *targets: str, more: str = "", kind: str = "priority") -> str:
    written = ", ".join(f"{{{target}}}" for target in targets)
    return (
        f"  - name: {name}\n{more}    routing_config:\n      type: {kind}-based-routing\n"
        f"      load_balance_targets: [{written}]\n"
    )


TARGETS = "integrations.0.routing_config.load_balance_targets"


def test_what_fits(tmp_path: Path) -> None:
    """Names that are new, and targets that there are."""
    group = GROUP + model(
        "chat", "target: main/small", "target: main/embed", more="    slug: chat\n    alias: [main/old, c2]\n"
    )
    assert findings(tmp_path, group) == []


@pytest.mark.parametrize(
    ("targets", "expected"),
    [
        pytest.param(
            ["target: main/smal"],
            ["18 at.0.target: there is no model 'main/smal'. Did you mean 'main/small'?"],
            id="near",
        ),
        pytest.param(
            ["target: main/small", "target: zzz"],
            ["18 at.1.target: there is no model 'zzz'. Name a model of an account, as <account>/<model>"],
            id="far",
        ),
        pytest.param(["target: 't:openai:main:model:small'"], [], id="as a resource"),
        pytest.param(
            ["target: vm/other"],
            [
                (
                    "18 at.0.target: 'vm/other' is a virtual model, which no other may have behind it. "
                    "Name a model of an account, as <account>/<model>"
                )
            ],
            id="virtual",
        ),
        pytest.param(
            ["target: other-slug"],
            [
                (
                    "18 at.0.target: 'other-slug' is a virtual model, which no other may have behind it. "
                    "Name a model of an account, as <account>/<model>"
                )
            ],
            id="virtual, by its slug",
        ),
        pytest.param(
            ["target: main/small", "target: voices/v1"],
            [
                (
                    "18 at.1.target: 'voices/v1' is of an account that is not in force yet, so it is left "
                    "out. Nothing is sent to it; it may stay"
                )
            ],
            id="of an account that is not built",
        ),
        pytest.param(
            ["target: main/small, priority: 0", "target: main/small, priority: 1"],
            [
                (
                    "18 at.1.target: the same target again: 'main/small' is already on line 18. Remove it "
                    "here or there, or tell the two apart"
                )
            ],
            id="twice",
        ),
        pytest.param(
            ["target: main/small", "target: main/small, override_params: {temperature: 0}"],
            [],
            id="twice with other parameters",
        ),
    ],
)
def test_targets(tmp_path: Path, targets: list[str], expected: list[str]) -> None:
    """Models of accounts, each once."""
    other = "type: provider-account/virtual-model\nname: vm2\nintegrations:\n" + model(
        "x", "target: main/small", more="    slug: other-slug\n"
    )
    own = GROUP + model("chat", *targets) + model("other", "target: main/small")
    voices = "type: provider-account/elevenlabs\nname: voices\nintegrations: [{name: v1}, 7]\n"
    lines = findings(tmp_path, own, other, voices)
    assert [line.replace(TARGETS, "at") for line in lines] == expected


def test_accounts_with_errors_are_told_of_once(tmp_path: Path) -> None:
    """Their models are not known, so nothing is said of the targets."""
    broken = "type: provider-account/openai\nname: b\nintegrations: [{name: x}]\n"
    lines = findings(tmp_path, broken, GROUP + model("chat", "target: b/x"))
    assert len(lines) == 1
    assert "model_id: the field is missing" in lines[0]


@pytest.mark.parametrize(
    ("names", "path", "message"),
    [
        pytest.param("slug: taken", "1.slug", "'taken' is already a name in", id="slug and slug"),
        pytest.param("alias: [taken]", "1.alias.0", "'taken' is already a name in", id="alias and slug"),
        pytest.param("alias: [x, x]", "1.alias.1", "'x' is already a name in", id="alias twice"),
        pytest.param("alias: [main/small]", "1.alias.0", "'main/small' is the name of a model", id="a model"),
        pytest.param(
            "alias: [vm/first]", "1.alias.0", "'vm/first' is the name of a model", id="a virtual one"
        ),
        pytest.param("alias: [voices/v1]", "1.alias.0", "'voices/v1' is the name of a model", id="not built"),
    ],
)
def test_names_are_for_one_thing(tmp_path: Path, names: str, path: str, message: str) -> None:
    """Slugs, aliases and models share one space."""
    group = (
        GROUP
        + model("first", "target: main/small", more="    slug: taken\n")
        + model("second", "target: main/small", more=f"    {names}\n")
    )
    voices = "type: provider-account/elevenlabs\nname: voices\nintegrations: [{name: v1}]\n"
    (line,) = findings(tmp_path, group, voices)
    assert f"integrations.{path}: {message}" in line
    assert line.endswith("Choose another, or remove it")


def test_a_model_serves_one_tier(tmp_path: Path) -> None:
    """Whatever its parameters."""
    group = GROUP + model(
        "auto",
        "target: main/small, tier: simple",
        "target: main/small, tier: complex, override_params: {reasoning_effort: high}",
        kind="complexity",
    )
    (line,) = findings(tmp_path, group)
    assert "load_balance_targets.1.target: a model serves one tier: 'main/small' is already on line" in line


@pytest.mark.parametrize(
    ("classifier", "message"),
    [
        ("main/small", None),
        ("main/embed", "the classifier is no chat model. Name a model of type chat"),
        ("vm/auto", "'vm/auto' is a virtual model, which no other may have behind it"),
        ("main/gone", "there is no model 'main/gone'"),
    ],
)
def test_classifiers(tmp_path: Path, classifier: str, message: str | None) -> None:
    """A chat model of an account."""
    group = (
        GROUP
        + model("auto", "target: main/small, tier: simple", kind="complexity")
        + (
            f"      classification_strategy: {{type: llm-classifier, model: {classifier}, "
            "fallback_strategy: {type: heuristic}}\n"
        )
    )
    lines = findings(tmp_path, group)
    if message is None:
        assert lines == []
    else:
        (line,) = lines
        assert "classification_strategy.model: " + message in line


RULES = "type: gateway-load-balancing-config\nrules:\n"


def rule(name: str, when: str, target: str = "main/small") -> str:
    return (
        f"  - id: {name}\n    type: priority-based-routing\n    when: {when}\n"
        f"    load_balance_targets: [{{target: {target}}}]\n"
    )


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        pytest.param("  []\n", ["rules: there are no rules. Add one, or remove the manifest"], id="none"),
        pytest.param(rule("r", "{}"), [], id="all calls"),
        pytest.param(
            rule(
                "r",
                "{models: [main/*, chat], subjects: ['virtualaccount:*', 'team:everyone'], metadata: {a: b}}",
            ),
            [],
            id="right",
        ),
        pytest.param(
            rule("r", "{models: [main/smal]}"),
            ["rules.0.when.models.0: 'main/smal' matches no model. Did you mean 'main/small'?"],
            id="no model",
        ),
        pytest.param(
            rule("r", "{models: [zzz*]}"),
            [
                (
                    "rules.0.when.models.0: 'zzz*' matches no model. Write <account>/<model>; '*' stands for "
                    "any text"
                )
            ],
            id="no model far and wide",
        ),
        pytest.param(
            rule("r", "{models: [production/chat]}"),
            [
                (
                    "rules.0.when.models.0: 'production/chat' matches no model. A rule makes no new name: a "
                    "virtual model does, and this can be an alias of one"
                )
            ],
            id="a name of its own",
        ),
        pytest.param(
            rule("r", "{models: [main/zzz]}"),
            [
                (
                    "rules.0.when.models.0: 'main/zzz' matches no model. Write <account>/<model>; '*' stands "
                    "for any text"
                )
            ],
            id="no model of an account",
        ),
        pytest.param(
            rule("r", "{subjects: ['user:a', 'team:b']}"),
            [
                "rules.0.when.subjects.0: 'a' matches no user. '*' stands for any text",
                "rules.0.when.subjects.1: 'b' matches no team. '*' stands for any text",
            ],
            id="nobody",
        ),
        pytest.param(
            rule("r", "{}") + rule("r", "{}"),
            ["rules.1.id: the rule 'r' is already on line 14. Give one of them another id"],
            id="twice",
        ),
        pytest.param(
            rule("r", "{}", "vm/chat"),
            [
                (
                    "rules.0.load_balance_targets.0.target: 'vm/chat' is a virtual model, which no other may "
                    "have behind it. Name a model of an account, as <account>/<model>"
                )
            ],
            id="virtual",
        ),
    ],
)
def test_rules(tmp_path: Path, rules: str, expected: list[str]) -> None:
    """Targets as of virtual models; conditions that match nothing are slips."""
    group = GROUP + model("chat", "target: main/small", more="    slug: chat\n")
    lines = findings(tmp_path, RULES + rules, group)
    assert [line.split(" ", 1)[1] for line in lines] == expected


def test_there_is_one_manifest_of_rules(tmp_path: Path) -> None:
    """The first rule that matches counts, so their order must be in one place."""
    first, second = RULES + rule("a", "{}"), RULES.replace("rules:", "name: b\nrules:") + rule("b", "{}")
    (line,) = findings(tmp_path, first, second)
    assert "type: load-balancing rules are already in" in line
    assert line.endswith("Put all of them into one manifest")


def test_a_rule_for_a_model_without_its_account(tmp_path: Path) -> None:
    """However little of the whole name that is."""
    group = GROUP.replace("vm", "a-longer-group") + model("o3", "target: main/small")
    (line,) = findings(tmp_path, RULES + rule("r", "{models: [o3]}"), group)
    assert line.endswith("'o3' matches no model. Did you mean 'a-longer-group/o3'?")
