"""What the fields of manifests mean: the docstring below each, read from the source when somebody asks.

Pydantic can do it by itself (`use_attribute_docstrings`), and does it then for every class when it is made:
of the 0.42 s of CPU that importing the manifests cost each process at each start, 0.19 s were this. Only the
schema for editors and the message about a missing field show it.
"""

from __future__ import annotations

import ast
import inspect
import itertools
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from types import MappingProxyType

from pydantic import BaseModel


@cache
def meanings_of(part: type[BaseModel]) -> Mapping[str, str]:
    """The meaning of each field of *part* that has one, by the name that a manifest uses."""
    found: dict[str, str] = {}
    own = itertools.takewhile(lambda one: one is not BaseModel, part.__mro__)
    for one in reversed(tuple(own)):
        # A field that is written anew means what it says there, if anything.
        found |= _in_module(one.__module__).get(one.__qualname__, {})
    meanings = {
        field.alias or name: field.description or found.get(name) for name, field in part.model_fields.items()
    }
    return MappingProxyType({name: meaning for name, meaning in meanings.items() if meaning})


@cache
def _in_module(name: str) -> Mapping[str, Mapping[str, str]]:
    """The same of each class of a module, by its name; "" where a field has none."""
    try:
        tree = ast.parse(inspect.getsource(sys.modules[name]))
    except OSError:  # installed without its source
        return {}
    return {one.name: dict(_in_class(one)) for one in tree.body if isinstance(one, ast.ClassDef)}


def _in_class(definition: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for line, below in zip(definition.body, [*definition.body[1:], None], strict=True):
        if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name):
            match below:
                case ast.Expr(ast.Constant(str() as docstring)):
                    yield line.target.id, inspect.cleandoc(docstring)
                case _:
                    yield line.target.id, ""
