"""OpenAI's own models."""

from __future__ import annotations

import pytest

from gateway.translate.gpt_models import always_thinks


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("gpt-6-astra", True),
        ("gpt-6-astra-2026-09-03", True),
        ("global.openai.gpt-6-astra", True),
        ("gpt-6.1-sol", True),
        ("gpt-6-sol", False),
        ("gpt-6-luna", False),
        ("gpt-6.1-solar", False),
        ("gpt-5.6-sol", False),
    ],
)
def test_who_always_thinks(name: str, *, expected: bool) -> None:
    """Those that refuse `none`, dated or at Bedrock."""
    assert always_thinks(name) is expected
