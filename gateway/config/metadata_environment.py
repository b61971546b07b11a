"""`DEFAULT_GATEWAY_METADATA`: what the metadata of every call are given, as in TrueFoundry's gateway.

Pure: the environment is passed in.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter, ValidationError

from gateway.config.manifests.metadata_config import Metadata
from gateway.config.problem import Problem, Severity

VARIABLE: Final = "DEFAULT_GATEWAY_METADATA"

_reader: Final = TypeAdapter[dict[str, str]](Metadata)


def default_metadata(environ: Mapping[str, str]) -> tuple[dict[str, str], tuple[Problem, ...]]:
    """What the variable says, and what is wrong with it; then it says nothing."""
    text = environ.get(VARIABLE, "").strip()
    if not text:
        return {}, ()
    try:
        return _reader.validate_json(text, strict=True), ()
    except ValidationError:
        message = f"{VARIABLE} is no JSON object of texts that metadata may be; it has no effect"
        fix = 'Write one such as {"region":"eu"}, of at most 64 keys and 128 characters each'
        return {}, (Problem(Path("environment"), 1, VARIABLE, Severity.WARNING, message, fix),)
