"""Which paths below an account are calls of a model that costs tokens, whoever's API has them.

Pure. Nothing else tells it of a call that is passed on unread while its reply has not said what it used: a
POST of JSON may as well make a vector store.
"""

from __future__ import annotations

import re
from typing import Final

# A base URL may end in the version, or begin before it. In the middle of a path the short words may be
# anybody's: a thread of OpenAI's has messages too, and what makes one uses nothing.
_CALLS: Final = re.compile(
    r"(?:(?:.*/)?(?:v\d\w*|api))?/(?:messages|chat|generate|embed)/?"
    r"|(?:.*/)?(?:"
    r"completions|embeddings|responses|responses/compact|interactions"
    r"|model/[^/]+/(?:converse|converse-stream|invoke|invoke-with-response-stream)"
    r"|endpoints/[^/]+/(?:invocations|invocations-response-stream)"
    r"|[^/]+:(?:generateContent|streamGenerateContent|embedContent|batchEmbedContents"
    r"|rawPredict|streamRawPredict)"
    r")/?"
)


def costs_tokens(path: str) -> bool:
    """Whether a POST to *path*, as it was written below the account, is such a call."""
    return _CALLS.fullmatch(path) is not None
