"""docs/providers.md lists every row of the vendors' table, as it is, and every other account."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Final

import pytest

from gateway.config import SecretSource, check
from gateway.config.manifests.known import IN_FORCE, MODEL_ACCOUNTS, VIRTUAL_MODELS
from gateway.config.manifests.provider_account import SelfHostedIntegration
from gateway.config.manifests.vendors import VENDOR_ACCOUNTS, VENDORS, Vendor
from gateway.endpoints.openai_quirks import NOTHING_SAID
from gateway.model import EndpointQuirks
from tests.unit.config.test_google_file import KEY_FILE

_ROOT: Final = Path(__file__).resolve().parents[2]
PAGE: Final = (_ROOT / "docs" / "providers.md").read_text(encoding="utf-8")
EXAMPLES: Final = _ROOT / "deploy" / "examples" / "providers.yaml"


def differs(quirks: EndpointQuirks) -> list[str]:
    """What the page says of quirks."""
    said = []
    for endpoint, one in quirks.items():
        parts = [f"`{ours}` becomes `{theirs}`" for ours, theirs in one.renamed.items()]
        parts += [f"role `{ours}` becomes `{theirs}`" for ours, theirs in one.roles.items()]
        refused = [*one.refused, *(f"messages[].{name}" for name in one.refused_in_messages)]
        if refused:
            parts.append("left out: " + ", ".join(f"`{name}`" for name in refused))
        if one.call_id_length:
            parts.append(f"ids of tool calls are {one.call_id_length} letters and digits, made of others")
        if one.answers_results:
            parts.append(
                f"the assistant says `{NOTHING_SAID}` where a result of a tool is followed by others"
            )
        said.append(f"{endpoint}: " + "; ".join(parts))
    return said


@pytest.mark.parametrize("vendor", VENDORS, ids=lambda vendor: vendor.kind)
def test_every_vendor(vendor: Vendor) -> None:
    """With its address, its name on spans, and all that differs."""
    said = differs(vendor.quirks)
    if vendor.dialect != "openai":
        said.append(f"speaks its own API ([translation.md](translation.md#chat-for-{vendor.kind}))")
    said += [f"`{switch.field}` sends `{': '.join(switch.header)}`" for switch in vendor.switches]
    cells = [
        vendor.title,
        f"`provider-account/{vendor.kind}`",
        f"`{vendor.base_url}`",
        f"`{vendor.provider}`",
    ]
    assert f"| {' | '.join(cells)} | {'. '.join(said)}".rstrip() + " |" in PAGE


def test_no_vendor_that_is_none() -> None:
    """A row of the page that has lost its row of the table."""
    rows = re.findall(r"^\| [^|]+ \| `provider-account/([^`]+)` \| `https", PAGE, re.MULTILINE)
    assert rows == [vendor.kind for vendor in VENDORS]


def test_every_other_account() -> None:
    """Each type in force has its place."""
    for kind in (MODEL_ACCOUNTS & set(IN_FORCE)) - {VIRTUAL_MODELS}:
        assert f"`{kind}`" in PAGE, kind


def test_who_has_a_responses_api() -> None:
    """The sentence that names them names every one of the table, and no other."""
    [named] = re.findall(r"^(.*), OpenAI and Azure OpenAI .* have a Responses API", PAGE, re.MULTILINE)
    assert named.split(", ") == [vendor.title for vendor in VENDORS if vendor.has_responses]


def test_every_model_server() -> None:
    """Each with its row."""
    servers = SelfHostedIntegration.model_fields["model_server"].annotation.__args__  # type: ignore[union-attr]  # a Literal
    for server in servers:
        assert len(re.findall(rf"^\| `{server}` \|.*", PAGE, re.MULTILINE)) == 1, server


def test_the_examples() -> None:
    """An account of each kind, the vendors' by two of them, without a finding."""
    environ = {name: f"canary-{name}" for name in re.findall(r"env:(\w+)", EXAMPLES.read_text())}
    environ["VERTEX_KEY_FILE"] = json.dumps(KEY_FILE)
    checked = check.check(EXAMPLES, strict=True, secrets=SecretSource(environ))
    assert checked.problems == ()
    assert checked.config is not None
    kinds = {account.type for account in checked.config.provider_accounts}
    assert kinds - set(VENDOR_ACCOUNTS) == {
        f"provider-account/{kind}"
        for kind in (
            *("aws-bedrock", "aws-sagemaker", "azure-foundry", "azure-openai", "cloudera", "databricks"),
            *("google-gemini", "google-vertex", "microsoft-foundry", "nomic", "ollama"),
            *("self-hosted-model", "snowflake-cortex"),
        )
    }
    assert len(kinds & set(VENDOR_ACCOUNTS)) == 2
