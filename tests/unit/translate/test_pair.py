"""What becomes of fields that a target cannot do."""

from __future__ import annotations

import pytest

from gateway.errors import UnsupportedParameter
from gateway.translate.pair import LeftOut
from tests.unit.makers import make_target


def test_left_out() -> None:
    """By default they are left out, each named once."""
    left_out = LeftOut(make_target())
    for name in ("seed", "logprobs", "seed"):
        left_out.add(name)
    assert left_out.names == ["seed", "logprobs"]


def test_refused() -> None:
    """An operator may want such calls refused; the error names field and model."""
    left_out = LeftOut(make_target(unsupported="reject"))
    with pytest.raises(UnsupportedParameter, match='acct/small cannot do "seed"') as caught:
        left_out.add("seed")
    assert caught.value.param == "seed"
    assert left_out.names == []
