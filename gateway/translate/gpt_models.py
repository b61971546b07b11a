"""Which of OpenAI's own models cannot be kept from thinking.

Facts: https://developers.openai.com/api/docs/guides/latest-model ,
https://github.com/UKGovernmentBEIS/inspect_ai/pull/5254 , https://github.com/genkit-ai/genkit/pull/6303
"""

from __future__ import annotations

import re
from typing import Final

_ALWAYS: Final = re.compile(r"gpt-(?:6-astra|6\.1-sol)(?![a-z\d])")

LEAST_EFFORT: Final = "low"
"""What they take where the least thinking is wanted; `none` and `minimal` they refuse."""


def always_thinks(name: str) -> bool:
    """Whether the model of that *name*, at whatever provider, refuses not to think."""
    return _ALWAYS.search(name) is not None
