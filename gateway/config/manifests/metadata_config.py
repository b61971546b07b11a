"""What the metadata of calls are given by who calls, whatever the caller writes."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field

from gateway.config.document import UNNAMED
from gateway.config.manifests.part import Label, Manifest, Part, Patterns, Text, wrong

MAX_KEYS: Final = 64
MAX_CHARACTERS: Final = 128
"""Of a key and of a value; as many as callers may write."""


def check_metadata(metadata: dict[str, Any]) -> dict[str, Any]:
    """Raises when *metadata* are more than callers may write; what is not text is not looked at."""
    if len(metadata) > MAX_KEYS:
        raise wrong(f"more than {MAX_KEYS} keys", "Leave out those that nobody looks at")
    texts = [*metadata, *(value for value in metadata.values() if isinstance(value, str))]
    if any(len(text) > MAX_CHARACTERS for text in texts):
        raise wrong(f"a key or a value of more than {MAX_CHARACTERS} characters", "Shorten it")
    return metadata


Metadata = Annotated[dict[Text, str], AfterValidator(check_metadata)]


class MetadataWhen(Part):
    """Whose calls a rule is about."""

    subjects: Patterns = None
    """Who calls: patterns of `user:<email>`, `team:<name>`, `virtualaccount:<name>`.

    Without it, or with an empty list: all.
    """


class MetadataRule(Part):
    """What the calls of some are given."""

    id: Label
    """Name of the rule."""
    when: MetadataWhen
    """Whose calls it is about."""
    metadata_override: Metadata = Field(min_length=1)
    """Keys and values of their metadata, in place of what callers write."""


class MetadataConfig(Manifest):
    """Rules that give calls metadata; at most one manifest."""

    type: Literal["gateway-metadata-config"]
    name: Label = UNNAMED
    """A name, without meaning."""
    rules: tuple[MetadataRule, ...]
    """All that are about a caller hold; of a key that two of them give, the first counts."""
