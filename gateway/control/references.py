"""What a viewer may not ask about: secrets, variables and files that the configuration does not name.

A check says whether a reference has a value and whether a file is there, so that whoever may have anything
checked could find out what is on the host. What is configured already tells a viewer nothing new.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from gateway.config.plain_data import UnreadableText
from gateway.config.yaml_text import read_yaml
from gateway.control.json_body import BodyRefused

_REFERENCE: Final = re.compile(r"env:|file:|tfy-secret://")
_FILE: Final = "_file"


def refuse_new_references(asked: object, known: Iterable[Mapping[str, object]]) -> None:
    """Refuse what names something outside that no manifest of *known* names.

    Args:
        asked: Data; of a text the data that it is as YAML, if it is.
        known: Bodies of manifests.

    Raises:
        BodyRefused: It does.
    """
    fresh = set(_references(_data(asked)))
    if fresh - {reference for body in known for reference in _references(body)}:
        message = "you are signed in as a viewer; only an admin may have references checked that are new"
        raise BodyRefused(403, "admin_only", message)


def _data(asked: object) -> object:
    if not isinstance(asked, str):
        return asked
    try:
        return [plain.value for plain in read_yaml(asked)]
    except UnreadableText:
        # What cannot be read is not looked into by a check either.
        return None


def _references(value: object, key: str = "") -> Iterator[str]:
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from _references(item, str(name))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _references(item, key)
    elif isinstance(value, str) and (_REFERENCE.search(value) or key.endswith(_FILE)):
        yield value
