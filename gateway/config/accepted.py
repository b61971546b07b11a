"""The accepted set: the documents of a configuration in one file, from which workers load and start.

It holds what the manifests hold, literal secrets too, so it is for files of mode 0600 only. References stay
references: each process resolves them itself.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Final

from gateway.config.config import Config, version_of
from gateway.config.document import Document

_FORMAT: Final = 2
_FORMER_FORMAT: Final = 1
"""Without a sum: its version is compared with that of its documents, which takes as long as to read them."""

_SUMMED: Final = b', "documents": '


class NotAccepted(ValueError):
    """The bytes are not an accepted set, or not a whole one."""


def dump(config: Config) -> bytes:
    """The accepted set of *config*."""
    documents = [
        {
            "type": document.type,
            "name": document.name,
            # Absolute, because the reader may run in another folder.
            "file": str(document.file.absolute()),
            "line": document.line,
            "body": document.body,
        }
        for document in config.documents
    ]
    text = json.dumps(documents).encode()
    head = {"format": _FORMAT, "version": config.version, "sum": _sum(config.version, text)}
    return json.dumps(head).encode()[:-1] + _SUMMED + text + b"}"


def load(data: bytes) -> tuple[Document, ...]:
    """The documents that `dump` wrote.

    Raises:
        NotAccepted: They are not what was dumped (torn, changed, of another format).
    """
    try:
        found = json.loads(data)
        if found["format"] not in (_FORMAT, _FORMER_FORMAT):
            msg = f"accepted set of format {found['format']}, this gateway reads {_FORMAT}"
            raise NotAccepted(msg)
        files: dict[str, Path] = {}
        documents = tuple(_to_document(item, files) for item in found["documents"])
    except (ValueError, KeyError, TypeError) as error:
        if isinstance(error, NotAccepted):
            raise
        # Without `from`: the foreign error may carry the text, and the text may hold a secret.
        msg = "not an accepted set"
        raise NotAccepted(msg) from None
    if not _is_whole(data, found, documents):
        msg = "the accepted set is not what its version says"
        raise NotAccepted(msg)
    return documents


def _is_whole(data: bytes, found: dict[str, Any], documents: tuple[Document, ...]) -> bool:
    """Whether the set is what its version says."""
    version = found.get("version")
    if found["format"] == _FORMER_FORMAT:
        return version_of(documents) == version
    return found.get("sum") == _sum(str(version), data.partition(_SUMMED)[2][:-1])


def _sum(version: str, text: bytes) -> str:
    return hashlib.sha256(version.encode() + b" " + text).hexdigest()


def _to_document(item: dict[str, Any], files: dict[str, Path]) -> Document:
    name = item["file"]
    file = files.get(name)
    if file is None:
        file = files[name] = Path(name)
    return Document(item["type"], item["name"], item["body"], file, item["line"])
