"""What callers may use."""

from __future__ import annotations

import pytest

from gateway.config.manifests.role import EVERYTHING, ModelGrant
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
            Granted((), (EVERYTHING,)),
            {"main/small", "main/large", "lab/qwen", "vm/chat"},
            {"main", "lab"},
            id="a role of everything",
        ),
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


ALICE = frozenset({"user:a", "team:ml", "team:everyone"})
BOB = frozenset({"user:b", "team:everyone"})
APP = frozenset({"virtualaccount:app"})


def test_what_accounts_share() -> None:
    """All of their models, with who has one of the subjects."""
    rights = Rights(
        ["main/small", "lab/qwen"],
        {"main": "openai", "lab": "ollama"},
        [GROUP],
        shared={
            "team:ml": [ModelGrant("openai", "main", None), ModelGrant("virtual-model", "vm", None)],
            "user:b": [ModelGrant("ollama", "lab", None)],
        },
    )
    usable = rights.of(Granted(()), ALICE)
    assert usable.models == {"main/small", "vm/chat"}
    assert usable.accounts == {"main"}
    assert rights.of(Granted(("main/small",)), BOB).models == {"main/small", "lab/qwen"}
    assert rights.of(Granted(()), APP).models == frozenset()


def test_models_for_some_alone() -> None:
    """Are taken from all others, and with them the account as a whole; those meant get no right by it."""
    rights = Rights(
        ["main/small", "main/large", "lab/qwen"],
        {"main": "openai", "lab": "ollama"},
        [GROUP],
        reserved={"main/large": frozenset({"team:ml"}), "lab/qwen": frozenset()},
    )
    assert rights.of(Granted(("*",)), ALICE).models == {"main/small", "main/large", "vm/chat"}
    assert rights.of(Granted(("*",)), ALICE).accounts == {"main"}
    assert rights.of(Granted(("*",)), APP).models == {"main/small", "vm/chat"}
    assert rights.of(Granted(("*",)), APP).accounts == frozenset()
    assert rights.of(Granted(()), ALICE).models == frozenset()
    by_name = Granted((), (ModelGrant("openai", "main", "large"),))
    assert rights.of(by_name, APP).models == frozenset()
    assert rights.of(by_name, ALICE).models == {"main/large"}
