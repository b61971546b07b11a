"""What callers may use."""

from __future__ import annotations

import pytest

from gateway.config.manifests.virtual_account import ModelGrant
from gateway.config.manifests.virtual_model import VirtualModelAccount
from gateway.identity.rights import Granted, Rights

GROUP = VirtualModelAccount.model_validate(
    {
        "type": "provider-account/virtual-model",
        "name": "vm",
        "integrations": [
            {
                "name": "chat",
                "type": "integration/model/virtual",
                "model_types": ["chat"],
                "slug": "fast",
                "alias": ["main/tiny"],
                "routing_config": {
                    "type": "weight-based-routing",
                    "load_balance_targets": [{"target": "main/small", "weight": 1}],
                },
            }
        ],
    }
)
RIGHTS = Rights(["main/small", "main/large", "lab/qwen"], {"main": "openai", "lab": "ollama"}, [GROUP])


@pytest.mark.parametrize(
    ("granted", "models", "accounts"),
    [
        pytest.param(Granted(()), set(), set(), id="nothing"),
        pytest.param(
            Granted(("*",)), {"main/small", "main/large", "lab/qwen", "vm/chat"}, {"main", "lab"}, id="all"
        ),
        pytest.param(
            Granted(("main/*",)),
            {"main/small", "main/large", "vm/chat"},
            {"main"},
            id="an account, and an alias",
        ),
        pytest.param(
            Granted(("main/small", "main/large")), {"main/small", "main/large"}, set(), id="each model"
        ),
        pytest.param(Granted(("fast",)), {"vm/chat"}, set(), id="a slug"),
        pytest.param(
            Granted((), (ModelGrant("openai", "main", None),)),
            {"main/small", "main/large"},
            {"main"},
            id="grant",
        ),
        pytest.param(
            Granted((), (ModelGrant("openai", "main", "small"),)), {"main/small"}, set(), id="one model"
        ),
        pytest.param(Granted((), (ModelGrant("ollama", "main", None),)), set(), set(), id="other provider"),
        pytest.param(
            Granted(("lab/q*",), (ModelGrant("virtual-model", "vm", "chat"),)),
            {"lab/qwen", "vm/chat"},
            set(),
            id="both",
        ),
    ],
)
def test_what_may_be_used(granted: Granted, models: set[str], accounts: set[str]) -> None:
    """Names of models that exist, and accounts as a whole where that is what was said."""
    usable = RIGHTS.of(granted)
    assert usable.models == models
    assert usable.accounts == accounts


def test_the_same_rights_are_one_set() -> None:
    """A hundred thousand callers need not have as many."""
    assert RIGHTS.of(Granted(("lab/*",))) is RIGHTS.of(Granted(("lab/*",)))
