"""The type of a picture that is sent along, in the words that providers take.

Callers write `image/jpg`, which OpenAI takes and nobody else, and pictures are often another than their name
says, which Anthropic and Bedrock refuse.
"""

from __future__ import annotations

from typing import Final

# What base64 begins with, of each format.
_BEGINNINGS: Final = (("iVBORw0KGgo", "png"), ("/9j/", "jpeg"), ("R0lGOD", "gif"), ("UklGR", "webp"))
_OTHER_NAMES: Final = {"image/jpg": "image/jpeg", "image/pjpeg": "image/jpeg", "image/x-png": "image/png"}


def picture_format(data: str) -> str:
    """The format that the base64 of a picture shows, "" for none that is known."""
    head = data[:16]
    return next((found for beginning, found in _BEGINNINGS if head.startswith(beginning)), "")


def picture_type(named: str, data: str) -> str:
    """The media type of a picture: what its base64 shows, else as it was *named*."""
    found = picture_format(data)
    return f"image/{found}" if found else usual_type(named)


def usual_type(named: str) -> str:
    """A media type by the name that all know it by."""
    return _OTHER_NAMES.get(named.lower(), named)
