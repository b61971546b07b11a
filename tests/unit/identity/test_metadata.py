"""What metadata callers are given."""

from __future__ import annotations

import pytest

from gateway.identity.metadata import NOTHING, GivenMetadata, MetadataRule
from gateway.model import Caller

SUBJECTS = Caller("app", frozenset(), teams=("ml",)).subjects


def test_nothing_is_given() -> None:
    """It is known to be nothing, so that callers cost what they cost."""
    assert GivenMetadata().to(SUBJECTS) is NOTHING
    assert GivenMetadata((MetadataRule(("user:*",), {"a": "b"}),)).to(SUBJECTS) == {}


def test_order() -> None:
    """Tags over rules, the first rule over the others, all over what the environment gives."""
    given = GivenMetadata(
        (
            MetadataRule(("team:ml",), {"rule": "first", "tag": "rule", "default": "rule"}),
            MetadataRule(("team:sales",), {"rule": "others'", "sales": "yes"}),
            MetadataRule(None, {"rule": "second", "second": "yes"}),
        ),
        {"default": "default", "second": "default", "left": "default"},
    )
    assert given.to(SUBJECTS, {"tag": "own"}) == {
        "tag": "own",
        "rule": "first",
        "default": "rule",
        "second": "yes",
        "left": "default",
    }


@pytest.mark.parametrize(
    ("patterns", "is_about"),
    [
        (("virtualaccount:app",), True),
        (("virtualaccount:a*",), True),
        (("team:ml",), True),
        (("team:everyone",), False),
        (("user:x", "*"), True),
        (("user:app",), False),
        (("virtualaccount:APP",), False),
        ((), False),
        (None, True),
    ],
)
def test_whom_a_rule_is_about(patterns: tuple[str, ...] | None, *, is_about: bool) -> None:
    """Patterns of subjects, in their case; a list of none is for none."""
    rule = MetadataRule(patterns, {})
    assert any(rule.is_about(subject) for subject in SUBJECTS) == is_about


def test_shared() -> None:
    """A hundred thousand callers of one rule have one mapping, which nobody can change."""
    given = GivenMetadata((MetadataRule(None, {"a": "b"}),))
    one, other = given.to(SUBJECTS), given.to(Caller("b", frozenset()).subjects)
    assert one is other
    with pytest.raises(TypeError):
        one["a"] = "c"  # type: ignore[index] # that it fails is what is shown
