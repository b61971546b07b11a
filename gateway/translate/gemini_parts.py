"""The parts of what is said in Gemini's dialect: files in and out, function calls, signatures of thoughts.

Pure, and of no other dialect: those who put one into the other build on it.

Shapes: https://ai.google.dev/api/caching#Part , https://ai.google.dev/gemini-api/docs/file-input-methods
"""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import urlsplit

from gateway.endpoints.openai_reply import text_of
from gateway.translate.foreign_json import object_of
from gateway.translate.picture_types import usual_type

Part = dict[str, Any]

UNSIGNED: Final = "skip_thought_signature_validator"
"""What Google takes as the signature of a call that another model made, or whose own was lost on the way."""

INVENTED: Final = "call-"
"""How ids of calls begin that have none of the model's own; those are not for it."""

_DATA_URL: Final = re.compile(r"data:([\w.+-]+/[\w.+-]+)?(?:;[\w.+=-]+)*;base64,", re.IGNORECASE)
_DATA_URL_HEAD: Final = 256
# By the end of an address, for Vertex wants a type with each.
_TYPES: Final = {
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "png": "image/png",
    "gif": "image/gif",
    "webp": "image/webp",
    "heic": "image/heic",
    "heif": "image/heif",
    "bmp": "image/bmp",
    "pdf": "application/pdf",
    "txt": "text/plain",
    "md": "text/markdown",
    "html": "text/html",
    "csv": "text/csv",
    "json": "application/json",
    "mp3": "audio/mp3",
    "wav": "audio/wav",
    "flac": "audio/flac",
    "ogg": "audio/ogg",
    "aac": "audio/aac",
    "aiff": "audio/aiff",
    "m4a": "audio/m4a",
    "mp4": "video/mp4",
    "mov": "video/quicktime",
    "mpeg": "video/mpeg",
    "mpg": "video/mpg",
    "webm": "video/webm",
    "avi": "video/x-msvideo",
    "wmv": "video/wmv",
    "3gp": "video/3gpp",
}
_KINDS: Final = {
    "image": "image/jpeg",
    "audio": "audio/mp3",
    "video": "video/mp4",
    "document": "application/pdf",
}
_ADDRESSES: Final = ("https://", "http://", "gs://")


def text_part(text: str) -> Part:
    """A text."""
    return {"text": text}


def inline_part(mime_type: str, data: str) -> Part:
    """A file that is sent along, in base64."""
    return {"inlineData": {"mimeType": mime_type, "data": data}}


def file_part(url: str, *, kind: str, mime_type: str = "") -> Part | None:
    """A file that is sent along or found at an address.

    Args:
        url: A data URL with base64, or an address that Google can read: of the web, of its storage, or of a
            file that was uploaded to it (`files/...` for short).
        kind: What it is if nothing else tells: image, audio, video or document.
        mime_type: What it is, "" when that is not known.

    Returns:
        None when it is neither.
    """
    found = _DATA_URL.match(url[:_DATA_URL_HEAD])
    if found is not None:
        return inline_part(usual_type(mime_type or found[1] or _KINDS[kind]), url[found.end() :])
    if url.startswith("files/"):
        named = {"mimeType": mime_type} if mime_type else {}
        return {"fileData": {**named, "fileUri": f"https://generativelanguage.googleapis.com/v1beta/{url}"}}
    if not url.lower().startswith(_ADDRESSES):
        return None
    guessed = usual_type(mime_type or type_by_name(url) or _KINDS[kind])
    return {"fileData": {"mimeType": guessed, "fileUri": url}}


def type_by_name(name: str) -> str:
    """The type of what has this name or address, "" when it does not tell."""
    try:
        path = urlsplit(name).path
    except ValueError:
        return ""
    return _TYPES.get(path.rpartition(".")[2].lower(), "")


def data_url(blob: object) -> str:
    """A file in an answer, "" when it has none."""
    found = object_of(blob)
    data = text_of(found.get("data"))
    return (
        f"data:{text_of(found.get('mimeType')) or 'application/octet-stream'};base64,{data}" if data else ""
    )


def call_id_of(call: dict[str, Any], *, reply_id: str, index: int) -> str:
    """The id of a function call: its own, or one that no other call of the conversation has.

    Args:
        call: The `functionCall`.
        reply_id: Of the reply, or whatever tells it from others.
        index: Of the call in its reply.
    """
    return text_of(call.get("id")) or f"{INVENTED}{reply_id}-{index}"


def signature_of(part: Part) -> str:
    """The signature of the thoughts before this part, "" when it has none."""
    return text_of(part.get("thoughtSignature"))


def signed(part: Part, signature: str) -> Part:
    """*part* with its signature, if there is one."""
    return {**part, "thoughtSignature": signature} if signature else part
