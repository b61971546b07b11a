"""Virtual models as manifests have them."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config.manifests.virtual_model import VirtualModelAccount
from tests.unit.config.writing import ACCOUNT, CALLER, check_text, found

GROUP = """\
type: provider-account/virtual-model
name: vm
integrations:
  - name: chat
    slug: {slug}
    alias: {alias}
    routing_config: {{type: latency-based-routing, load_balance_targets: [{{target: lab/qwen}}]}}
"""


def test_other_names() -> None:
    """The slug before the aliases, if there is one."""
    routing = {"type": "latency-based-routing", "load_balance_targets": [{"target": "lab/qwen"}]}
    group = VirtualModelAccount.model_validate(
        {
            "type": "provider-account/virtual-model",
            "name": "vm",
            "integrations": [
                {"name": "a", "slug": "s", "alias": ["x", "y/z"], "routing_config": routing},
                {"name": "b", "alias": ["w"], "routing_config": routing},
            ],
        }
    )
    assert [model.other_names for model in group.integrations] == [("s", "x", "y/z"), ("w",)]


@pytest.mark.parametrize(
    ("slug", "alias", "expected"),
    [
        pytest.param("chat", "[old/chat]", [], id="right"),
        pytest.param(
            "a/b",
            "[]",
            ["error 20 integrations.0.slug: a slug takes no '/'. Write one word, or make it an alias"],
            id="slug with a slash",
        ),
        pytest.param(
            "null",
            "['a b']",
            [
                (
                    "error 21 integrations.0.alias.0: a model's name must be ASCII without spaces. Use "
                    "letters, digits and -_.:/"
                )
            ],
            id="alias with a space",
        ),
    ],
)
def test_slips(tmp_path: Path, slug: str, alias: str, expected: list[str]) -> None:
    """Each is told with its line and how to mend it."""
    assert found(check_text(tmp_path, ACCOUNT, CALLER, GROUP.format(slug=slug, alias=alias))) == expected
