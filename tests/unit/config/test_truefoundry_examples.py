"""Every example of TrueFoundry's manifests loads, here and in their SDK."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest
import yaml
from truefoundry_sdk.types.true_foundry_apply_request_manifest import TrueFoundryApplyRequestManifest

from gateway.config import SecretSource, check
from gateway.config.manifests.known import IN_FORCE
from tests.unit.config.test_sdk_agreement import models_in, tag_of

EXAMPLES: Final = Path(__file__).with_name("truefoundry_examples.yaml")
DOCUMENTS: Final = list(yaml.safe_load_all(EXAMPLES.read_text()))
NEWER_THAN_THE_SDK: Final = ("tenant-rate-limit-config/mcp", "tenant-rate-limit-config/model")
THEIRS: Final = {tag_of(model): model for model in models_in(TrueFoundryApplyRequestManifest)}


@pytest.mark.parametrize(
    "document",
    [document for document in DOCUMENTS if document["type"] not in NEWER_THAN_THE_SDK],
    ids=lambda document: f"{document['type']} {document['name']}",
)
def test_the_examples_are_theirs(document: dict[str, object]) -> None:
    """They are manifests for their SDK, so that loading them here means something."""
    THEIRS[str(document["type"])].model_validate(document)


def test_all_load() -> None:
    """Without an error; what is not built yet is said, and nothing is unknown."""
    checked = check.check(
        EXAMPLES, strict=False, secrets=SecretSource({"TFY_SECRET__ACME__LLM__OPENAI": "k"})
    )
    assert checked.errors == ()
    assert checked.config is not None
    assert len(checked.config.documents) == len(DOCUMENTS)
    warnings = {problem.message for problem in checked.problems if "not in force" not in problem.message}
    assert warnings == {
        "the secret itself stands in the manifest",
        "no tokens, so nobody can call as this account",
        "'a' matches no team",
        "'ml' matches no team",
        "there is no user 'a@x.io', so it has no effect",
        # The examples' keys are invented.
        "no Authorization header is sent",
        "the API key is not base64: it looks like id:key or was cut short",
        "no span has 'tfy.span_type' while tfy_attributes is off, so none is sent",
    }


def test_each_type_that_is_not_built_is_said() -> None:
    """Once, by its name."""
    checked = check.check(EXAMPLES, strict=False, secrets=SecretSource({}))
    types = {document["type"] for document in DOCUMENTS}
    assert types - set(IN_FORCE) <= set(checked.not_in_force)
    assert {label for label in checked.not_in_force if ":" in label} == {
        "gateway-budget-config: rules.alerts.notification_target.type slack-bot",
        "gateway-global-settings: semantic_cache_settings",
    }


def test_strict_refuses_what_is_not_built() -> None:
    """Each is an error then, and the secret without a value is one too."""
    checked = check.check(EXAMPLES, strict=True, secrets=SecretSource({}))
    assert checked.config is None
    messages = [problem.message for problem in checked.errors]
    assert "tfy-secret://acme:llm:openai has no value" in messages
    assert len(messages) == 1 + len([p for p in checked.problems if "not in force" in p.message])
