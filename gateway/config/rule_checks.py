"""What is wrong with rules of any kind, whatever they are about."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from gateway.config.document import Document, FieldPath
from gateway.config.problem import Problem


def check_rule_ids(document: Document, ids: Sequence[str], path: FieldPath = ("rules",)) -> Iterator[Problem]:
    """There are some rules at *path*, and no two have one id; *ids* are theirs."""
    if not ids:
        yield document.warning(path, "there are no rules", "Add one, or remove the manifest")
    first: dict[str, int] = {}
    for index, name in enumerate(ids):
        if first.setdefault(name, index) != index:
            line = document.line_of((*path, first[name], "id"))
            message = f"the rule '{name}' is already on line {line}"
            yield document.error((*path, index, "id"), message, "Give one of them another id")


def check_not_empty(document: Document, path: FieldPath, listed: Collection[str] | None) -> Iterator[Problem]:
    """Nothing is in an empty list, which is another thing than no list."""
    if listed is not None and not listed:
        yield document.warning(path, "an empty list, which matches nothing", "Remove it to mean all")
