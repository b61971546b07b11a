"""Which calls go first."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.config.manifests.global_settings import OverloadSettings
from gateway.overload import priorities as tested
from gateway.overload.priorities import Priorities, compile_priorities
from tests.unit.makers import make_caller

NAMES = {"vm/chat": ("vm/chat", "smart"), "smart": ("vm/chat", "smart")}


def compiled(*rules: dict[str, Any], **shares: float) -> Priorities:
    written = [{"id": f"r{at}", **rule} for at, rule in enumerate(rules)]
    settings = OverloadSettings.model_validate({"priority_rules": written, **shares})
    found = compile_priorities(settings, NAMES)
    assert found is not None
    return found


def rule(priority: str, **when: Any) -> dict[str, Any]:
    return {"when": when, "priority": priority}


def test_no_rules() -> None:
    """Nothing is compiled, so nothing is looked up."""
    assert compile_priorities(OverloadSettings(), NAMES) is None


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        pytest.param([rule("low")], "low", id="all"),
        pytest.param([rule("low", subjects=["virtualaccount:*"])], "low", id="subject"),
        pytest.param([rule("low", subjects=["team:x"])], "normal", id="another subject"),
        pytest.param([rule("low", models=["vm/*"])], "low", id="full name of the model"),
        pytest.param([rule("low", models=["smart"])], "low", id="another name of it"),
        pytest.param([rule("low", models=["other/*"])], "normal", id="another model"),
        pytest.param([rule("low", metadata={"kind": "batch"})], "low", id="metadata"),
        pytest.param([rule("low", metadata={"kind": "chat"})], "normal", id="other metadata"),
        pytest.param([rule("high", models=["vm/*"]), rule("low")], "high", id="the first decides"),
        pytest.param([rule("high", models=["no/*"]), rule("low")], "low", id="else the next"),
    ],
)
def test_rules(rules: list[dict[str, Any]], expected: str) -> None:
    """Every part of a rule must match; of several the first that does decides."""
    assert compiled(*rules).of(make_caller(), "smart", {"kind": "batch"}) == expected


@pytest.mark.parametrize(
    ("rules", "expected", "depends"),
    [
        pytest.param([rule("low")], "low", False, id="the model does not matter"),
        pytest.param([rule("high", models=["a/*"])], "high", True, id="it may turn out to be high"),
        pytest.param([rule("low", models=["a/*"])], "normal", True, id="it may turn out not to be low"),
        pytest.param([rule("low", models=["a/*"]), rule("low")], "low", True, id="low in any case"),
        pytest.param([rule("low"), rule("high", models=["a/*"])], "low", True, id="decided before"),
        pytest.param([rule("high", metadata={"x": "y"})], "normal", False, id="metadata are known"),
    ],
)
def test_before_the_model_is_known(rules: list[dict[str, Any]], expected: str, *, depends: bool) -> None:
    """A call has the best that it may have; what is known decides already."""
    found = compiled(*rules)
    assert found.at_best(make_caller(), {}) == expected
    assert found.depend_on_model == depends


@pytest.mark.parametrize(
    ("rules", "shares"),
    [
        pytest.param([rule("low")], {"high": 1.0, "normal": 1.0, "low": 0.6}, id="nothing is high"),
        pytest.param([rule("high")], {"high": 1.0, "normal": 0.9, "low": 0.6}, id="something is high"),
    ],
)
def test_shares(rules: list[dict[str, Any]], shares: dict[str, float]) -> None:
    """Nothing is kept free for calls that do not exist."""
    assert compiled(*rules).shares == shares
    assert compiled(rule("high"), normal_share=0.5, low_share=0.1).shares["low"] == 0.1


def test_what_is_kept_of_callers_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Users of an identity provider may be very many."""
    monkeypatch.setattr(tested, "_MOST_KEPT", 3)
    found = compiled(rule("low", subjects=["virtualaccount:c1"]))
    said = [found.of(make_caller(name=f"c{at}"), "m", {}) for at in range(10)]
    assert [priority == "low" for priority in said].index(True) == 1
    assert len(found._of_caller) <= 3
