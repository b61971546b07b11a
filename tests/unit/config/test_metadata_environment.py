"""Metadata of the environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config.metadata_environment import VARIABLE, default_metadata
from tests.unit.config.writing import ACCOUNT, CALLER, accepted_config, check_text


@pytest.mark.parametrize("text", [None, "", "  ", "{}"])
def test_nothing(text: str | None) -> None:
    """Without it, or with nothing in it, nothing is given."""
    assert default_metadata({} if text is None else {VARIABLE: text}) == ({}, ())


def test_read_with_the_configuration(tmp_path: Path) -> None:
    """It is in what every process works with."""
    checked = check_text(tmp_path, ACCOUNT, CALLER, environ={VARIABLE: '{"region":"eu"}'})
    assert accepted_config(checked).default_metadata == {"region": "eu"}
    assert checked.problems == ()


@pytest.mark.parametrize("text", ["region=eu", "[]", '{"a":1}', '{"a":null}', '{"a":"' + "b" * 129 + '"}'])
def test_slips(tmp_path: Path, text: str) -> None:
    """A warning that does not quote it: what was written is not for metadata, and may be anything."""
    checked = check_text(tmp_path, ACCOUNT, CALLER, environ={VARIABLE: text})
    [problem] = checked.problems
    assert accepted_config(checked).default_metadata == {}
    assert VARIABLE in problem.message
    assert text not in str(problem)
