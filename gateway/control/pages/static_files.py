"""Scripts, styles and pictures of the pages, served from memory.

The address has a digest of all files in it (`/static/<digest>/js/api.js`), so browsers keep what they have
for a year and a new version is another address; imports between modules stay relative.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.control.replies import error_reply

_MEDIA_TYPES: Final = {
    "css": "text/css",
    "js": "text/javascript",
    "svg": "image/svg+xml",
    "LICENSE": "text/plain",
}
_FOREVER: Final = "public, max-age=31536000, immutable"
# Less is not worth the header.
_MIN_GZIP_BYTES: Final = 1024


@dataclass(frozen=True, slots=True)
class StaticFile:
    """One file as it is sent."""

    content: bytes
    zipped: bytes | None
    media_type: str


class StaticFiles:
    """Everything under `static/`, read once."""

    def __init__(self) -> None:
        """Read the files of this package."""
        self._files = dict(_read(files(__package__).joinpath("static"), ""))
        self._digest = _digest(self._files)

    def url(self, name: str) -> str:
        """Where *name* is.

        Raises:
            KeyError: There is no such file: a slip in a template.
        """
        if name not in self._files:
            raise KeyError(name)
        return f"/static/{self._digest}/{name}"

    def routes(self) -> list[Route]:
        """The route of all of them."""
        return [Route("/static/{digest}/{name:path}", self._show, methods=["GET"])]

    async def _show(self, request: Request) -> Response:
        file = self._files.get(request.path_params["name"])
        if file is None:
            return error_reply(404, "not_found", "there is nothing at this path")
        # A page of the version before asks by its own digest: it gets what there is, and does not keep it.
        is_current = request.path_params["digest"] == self._digest
        headers = {
            "cache-control": _FOREVER if is_current else "no-store",
            "x-content-type-options": "nosniff",
            "vary": "accept-encoding",
        }
        if file.zipped is not None and "gzip" in request.headers.get("accept-encoding", ""):
            headers["content-encoding"] = "gzip"
            return Response(file.zipped, headers=headers, media_type=file.media_type)
        return Response(file.content, headers=headers, media_type=file.media_type)


def _read(folder: Traversable, prefix: str) -> Iterator[tuple[str, StaticFile]]:
    for entry in sorted(folder.iterdir(), key=lambda one: one.name):
        name = f"{prefix}{entry.name}"
        if entry.is_dir():
            yield from _read(entry, f"{name}/")
        elif (media_type := _MEDIA_TYPES.get(entry.name.rpartition(".")[2])) is not None:
            content = entry.read_bytes()
            zipped = gzip.compress(content, mtime=0) if len(content) >= _MIN_GZIP_BYTES else None
            yield name, StaticFile(content, zipped, media_type)


def _digest(found: Mapping[str, StaticFile]) -> str:
    whole = hashlib.sha256()
    for name, file in found.items():
        whole.update(f"{name}\0{len(file.content)}\0".encode())
        whole.update(file.content)
    return whole.hexdigest()[:16]
