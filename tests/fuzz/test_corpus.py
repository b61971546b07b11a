"""What fuzzing kept holds: `make fuzz` looks for more (README.md beside)."""

from __future__ import annotations

import pytest

from tests.fuzz.all_targets import TARGETS, read_corpus, read_failed
from tests.fuzz.target import Target


@pytest.mark.parametrize("target", TARGETS.values(), ids=list(TARGETS))
def test_every_input_that_was_kept(target: Target) -> None:
    """The rules of each target hold for its seeds, and for what reached new code or once broke them."""
    inputs = [*target.seeds(), *read_corpus(target.name), *read_failed(target.name)]
    assert inputs
    with target.open() as check:
        for data in inputs:
            check(data)
