"""Every fuzz target, and the inputs that are kept for each."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from tests.fuzz.answers import ANSWERS
from tests.fuzz.connections import CONNECTIONS
from tests.fuzz.event_stream import EVENT_STREAM
from tests.fuzz.manifests import EDITS, MANIFESTS
from tests.fuzz.replies import EXCHANGES, REPLIES
from tests.fuzz.requests import REQUESTS
from tests.fuzz.spans import SPANS
from tests.fuzz.sse import SSE

TARGETS: Final = {
    target.name: target
    for target in (
        *(CONNECTIONS, REQUESTS, ANSWERS, SSE, EVENT_STREAM, REPLIES, EXCHANGES, SPANS, MANIFESTS, EDITS),
    )
}

_CORPUS: Final = Path(__file__).parent / "corpus"


def read_corpus(name: str) -> list[bytes]:
    """The inputs that are kept because they reached code which no other did."""
    return _read(_CORPUS / f"{name}.txt")


def read_failed(name: str) -> list[bytes]:
    """The inputs that once failed."""
    return _read(_CORPUS / f"{name}.failed.txt")


def write_corpus(name: str, inputs: Iterable[bytes]) -> None:
    """Keep these, a line each."""
    _write(_CORPUS / f"{name}.txt", inputs)


def add_failed(name: str, inputs: Iterable[bytes]) -> None:
    """Keep these for good, too."""
    known = read_failed(name)
    if new := set(inputs) - set(known):
        _write(_CORPUS / f"{name}.failed.txt", [*known, *new])


def _read(file: Path) -> list[bytes]:
    return [base64.b64decode(line) for line in file.read_text().splitlines()] if file.exists() else []


def _write(file: Path, inputs: Iterable[bytes]) -> None:
    _CORPUS.mkdir(exist_ok=True)
    lines = sorted(base64.b64encode(data).decode() for data in set(inputs))
    file.write_text("".join(line + "\n" for line in lines))
