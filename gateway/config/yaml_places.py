"""Where in a text of YAML each field stands, so that an editor can mark it. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from gateway.config.document import FieldPath
from gateway.config.plain_data import MAX_DEPTH, UnreadableText
from gateway.config.problem import Problem, dotted
from gateway.config.yaml_text import read_yaml


class Places:
    """The columns of one text. Of one that cannot be read only where the reading ended."""

    def __init__(self, text: str) -> None:
        self._columns: dict[str, tuple[int, int]] = {}
        self._end: tuple[int, int] | None = None
        try:
            # First within the bounds of a manifest: what is composed here is composed by recursion.
            list(read_yaml(text))
            node = yaml.compose(text, Loader=yaml.SafeLoader)
        except UnreadableText:
            self._end = _syntax_error(text)
            return
        except yaml.YAMLError:
            return
        for path, line, column in _walk(node, (), 0):
            self._columns.setdefault(dotted(path), (line, column))

    def of(self, problem: Problem) -> tuple[int, int]:
        """Line and column, from 1: of its field, or of the nearest part around it."""
        if problem.path == "(syntax)":
            return self._end or (problem.line, 1)
        steps = problem.path.split(".")
        for length in range(len(steps), 0, -1):
            found = self._columns.get(".".join(steps[:length]))
            if found is not None:
                return found
        return problem.line, 1


def _syntax_error(text: str) -> tuple[int, int] | None:
    try:
        for _event in yaml.parse(text, Loader=yaml.CSafeLoader):
            pass
    except yaml.MarkedYAMLError as error:
        mark: Any = error.problem_mark or error.context_mark
        return None if mark is None else (min(mark.line, text.rstrip().count("\n")) + 1, mark.column + 1)
    except yaml.YAMLError:
        return None
    return None


def _walk(node: Any, path: FieldPath, depth: int) -> Iterator[tuple[FieldPath, int, int]]:
    if depth > MAX_DEPTH:
        return
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inner = (*path, str(key.value))
            yield inner, key.start_mark.line + 1, key.start_mark.column + 1
            yield from _walk(value, inner, depth + 1)
    elif isinstance(node, yaml.SequenceNode):
        for at, item in enumerate(node.value):
            yield (*path, at), item.start_mark.line + 1, item.start_mark.column + 1
            yield from _walk(item, (*path, at), depth + 1)
