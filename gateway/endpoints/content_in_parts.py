"""What a message says whose content is a list of parts, as models of Mistral that think give it.

Shape: https://docs.mistral.ai/capabilities/reasoning
"""

from __future__ import annotations

from gateway.endpoints.openai_reply import text_of


def text_in(content: object) -> str:
    """The words of *content*, a text or parts."""
    if isinstance(content, list):
        return "".join([text_of(part.get("text")) for part in content if isinstance(part, dict)])
    return text_of(content)


def thoughts_in(content: object) -> str:
    """What was thought, where it is among the parts; "" of a text."""
    if not isinstance(content, list):
        return ""
    return "".join([text_in(part.get("thinking")) for part in content if isinstance(part, dict)])
