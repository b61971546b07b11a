"""Pictures, documents, films and sound as Converse takes them: base64 or a place in S3, with a format.

Bedrock fetches no addresses of the web, so those are refused, with what to do instead.

Shapes: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ContentBlock.html ,
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_DocumentBlock.html
"""

from __future__ import annotations

import base64
import re
from typing import Any, Final, NamedTuple

from gateway.endpoints.openai_reply import text_of
from gateway.errors import InvalidBody, UnsupportedParameter
from gateway.translate.picture_types import picture_format

Block = dict[str, Any]

_DATA_URL: Final = re.compile(r"data:([\w.+-]+/[\w.+-]+)?(?:;[\w.+=-]+)*;base64,", re.IGNORECASE)
_HEAD_CHARACTERS: Final = 256
_S3: Final = "s3://"
_OWNER: Final = "bucketOwner="
_PICTURES: Final = {"png": "png", "jpeg": "jpeg", "jpg": "jpeg", "gif": "gif", "webp": "webp"}
_FILMS: Final = {
    "mp4": "mp4",
    "quicktime": "mov",
    "mov": "mov",
    "x-matroska": "mkv",
    "mkv": "mkv",
    "webm": "webm",
    "x-flv": "flv",
    "flv": "flv",
    "mpeg": "mpeg",
    "mpg": "mpg",
    "x-ms-wmv": "wmv",
    "wmv": "wmv",
    "3gpp": "three_gp",
    "3gp": "three_gp",
}
_SOUNDS: Final = {
    "mp3": "mp3",
    "mpeg": "mp3",
    "wav": "wav",
    "x-wav": "wav",
    "wave": "wav",
    "flac": "flac",
    "x-flac": "flac",
    "ogg": "ogg",
    "opus": "opus",
    "aac": "aac",
    "m4a": "m4a",
    "x-m4a": "m4a",
    "mp4": "mp4",
    "webm": "webm",
    "pcm": "pcm",
    "pcm16": "pcm",
}
_DOCUMENTS: Final = {
    "pdf": "pdf",
    "csv": "csv",
    "msword": "doc",
    "doc": "doc",
    "vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "docx": "docx",
    "vnd.ms-excel": "xls",
    "xls": "xls",
    "vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "xlsx": "xlsx",
    "html": "html",
    "htm": "html",
    "plain": "txt",
    "txt": "txt",
    "markdown": "md",
    "x-markdown": "md",
    "md": "md",
}
"""By the second half of a media type, or by how a name ends."""

_NOT_IN_A_NAME: Final = re.compile(r"[^A-Za-z0-9()\[\]-]+")
_ENDING: Final = re.compile(r"\.[A-Za-z0-9]{1,5}$")
_MAX_NAME_CHARACTERS: Final = 150
_NAMELESS: Final = "document"


class Source(NamedTuple):
    """Where the content of a file is.

    Attributes:
        kind: Its media type in lower case, or the ending of its name; "" where neither is known.
        where: As Converse names it.
    """

    kind: str
    where: Block


def inline(kind: str, data: str) -> Source:
    """A file whose base64 stands in the call itself."""
    return Source(kind.lower(), {"bytes": data})


def read_url(url: str, at: str) -> Source:
    """A file by its data URL or its place in S3.

    Args:
        url: As the caller has it.
        at: The field, for the error.

    Raises:
        UnsupportedParameter: It lies on the web.
        InvalidBody: It is a data URL without base64.
    """
    if url[: len(_S3)].lower() == _S3:
        uri, _, query = url.partition("?")
        place = {"uri": uri}
        if query.startswith(_OWNER):
            place["bucketOwner"] = query.removeprefix(_OWNER)
        return Source(uri.rpartition(".")[2].lower(), {"s3Location": place})
    found = _DATA_URL.match(url[:_HEAD_CHARACTERS])
    if found is not None:
        return inline(found[1] or "", url[found.end() :])
    if url[:5].lower() == "data:":
        raise InvalidBody(f'"{at}" is a data URL without base64 in it.', param=at)
    why = "Send its content as a data URL with base64, or put it into S3 and send its s3:// address."
    raise UnsupportedParameter(f'This model cannot fetch what "{at}" points to. {why}', param=at)


def picture(source: Source, at: str) -> Block:
    """A picture; raises `UnsupportedParameter` for a format that Converse does not take."""
    # What it is counts, whatever it is called: Bedrock refuses a picture that is another than it says.
    form = picture_format(text_of(source.where.get("bytes"))) or _form(source.kind, _PICTURES)
    if not form:
        raise _unknown_format(source.kind, at, "PNG, JPEG, GIF or WebP")
    return {"image": {"format": form, "source": source.where}}


def film(source: Source, at: str) -> Block:
    """A film; raises `UnsupportedParameter` for a format that Converse does not take."""
    form = _form(source.kind, _FILMS)
    if not form:
        raise _unknown_format(source.kind, at, "MP4, MOV, MKV, WebM, FLV, MPEG, WMV or 3GP")
    return {"video": {"format": form, "source": source.where}}


def sound(source: Source, at: str) -> Block:
    """A recording; raises `UnsupportedParameter` for a format that Converse does not take."""
    form = _form(source.kind, _SOUNDS)
    if not form:
        raise _unknown_format(source.kind, at, "WAV, MP3, FLAC, OGG, Opus, AAC or M4A")
    return {"audio": {"format": form, "source": source.where}}


class Documents:
    """The documents of one call: each has a name, and no two the same."""

    def __init__(self) -> None:
        self._names: set[str] = set()
        self._counts: dict[str, int] = {}

    def file(self, source: Source, title: str, at: str) -> Block:
        """A file of any kind: a document, or a picture, film or recording that came as a file.

        Raises:
            UnsupportedParameter: Converse takes none of that format.
        """
        group, _, _ = source.kind.rpartition("/")
        ending = title.rpartition(".")[2].lower()
        form = _form(source.kind, _DOCUMENTS) or _form(ending, _DOCUMENTS)
        if form or group == "text":
            return self._document(form or "txt", source.where, title)
        if group == "image" or source.kind in _PICTURES:
            return picture(source, at)
        if group == "video" or source.kind in _FILMS:
            return film(source, at)
        if group == "audio" or source.kind in _SOUNDS:
            return sound(source, at)
        raise _unknown_format(source.kind, at, "PDF, CSV, DOC, DOCX, XLS, XLSX, HTML, TXT or MD")

    def text(self, text: str, title: str) -> Block:
        """A document that is nothing but text."""
        data = base64.b64encode(text.encode(errors="replace")).decode()
        return self._document("txt", {"bytes": data}, title)

    def pieces(self, texts: list[str], title: str) -> Block:
        """A document that is cut into pieces, which a citation can name."""
        return self._document("txt", {"content": [{"text": text} for text in texts]}, title)

    def _document(self, form: str, where: Block, title: str) -> Block:
        return {"document": {"format": form, "name": self._name(title), "source": where}}

    def _name(self, title: str) -> str:
        """*title* in the letters that Bedrock takes, with a number where another has it already."""
        name = _NOT_IN_A_NAME.sub(" ", _ENDING.sub("", text_of(title)))[:_MAX_NAME_CHARACTERS].strip()
        name = name or _NAMELESS
        found, count = name, self._counts.get(name, 0)
        while not count or found in self._names:
            count += 1
            found = name if count == 1 else f"{name} {count}"
        self._counts[name] = count
        self._names.add(found)
        return found


def _form(kind: str, known: dict[str, str]) -> str:
    return known.get(kind.rpartition("/")[2], "")


def _unknown_format(kind: str, at: str, formats: str) -> UnsupportedParameter:
    what = f'a "{kind[:80]}" file' if kind else "a file of an unknown format"
    return UnsupportedParameter(f"This model cannot be sent {what}. Send {formats}.", param=at)
