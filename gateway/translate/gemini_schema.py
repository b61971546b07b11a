"""JSON schemas in the subset that Gemini takes, and what of one cannot be said in it.

Models from 2.5 on take JSON schemas with a part of its words; those before (and those that are not known)
Google's own kind, taken from OpenAPI: types in capitals, `nullable`, no references. A word that is not known
there lets the whole request fail, so each schema is written anew. What only describes (`title`, `default`,
`examples`) is left away silently; a rule that is lost is named.

Facts: https://ai.google.dev/api/generate-content#generationconfig (`responseJsonSchema`),
https://ai.google.dev/api/caching#Schema
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from gateway.endpoints.openai_reply import text_of
from gateway.errors import InvalidBody
from gateway.translate.foreign_json import list_of, object_of
from gateway.translate.gemini_models import takes_json_schema

Schema = dict[str, Any]

_KIND_OF: Final[dict[type, str]] = {str: "string", int: "integer", float: "number"}

MAX_NODES: Final = 20_000
"""A schema whose references, written out, are more than this is refused: each may double it."""

_MAX_REFERENCES: Final = 32
_RULING: Final = frozenset(
    {
        *("pattern", "minLength", "maxLength", "minProperties", "maxProperties", "multipleOf", "uniqueItems"),
        *("contains", "minContains", "maxContains", "additionalItems", "prefixItems", "unevaluatedItems"),
        *("patternProperties", "propertyNames", "unevaluatedProperties", "dependencies"),
        *("dependentRequired", "dependentSchemas", "not", "if", "then", "else", "$dynamicRef"),
        *("type", "enum", "const", "anyOf", "oneOf", "allOf", "items", "properties", "additionalProperties"),
        *("required", "minItems", "maxItems", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
        *("format", "nullable"),
    }
)
"""Words that are rules; what else a schema has describes, or is nobody's word."""

_CLOSED: Final = frozenset({"additionalProperties", "unevaluatedProperties"})
_BOUNDS: Final = ("minItems", "maxItems", "minimum", "maximum")
_MORE_BOUNDS: Final = ("minLength", "maxLength", "minProperties", "maxProperties", "pattern")
_FORMATS: Final = {
    "STRING": frozenset({"date-time", "enum"}),
    "INTEGER": frozenset({"int32", "int64"}),
    "NUMBER": frozenset({"float", "double"}),
}
_TYPES: Final = frozenset({"string", "number", "integer", "boolean", "array", "object", "null"})


class Narrowed(NamedTuple):
    """A schema in the subset.

    Attributes:
        lost: The words whose rules it lost, in order.
    """

    schema: Schema
    lost: tuple[str, ...]


def shape_of_answer(schema: Schema, model_id: str) -> tuple[Schema, tuple[str, ...]]:
    """The members of `generationConfig` that give an answer this shape, and the words that were lost.

    Raises:
        InvalidBody: It is far too big.
    """
    if takes_json_schema(model_id):
        narrowed = as_json_schema(schema)
        return {"responseJsonSchema": narrowed.schema}, narrowed.lost
    narrowed = as_google_schema(schema)
    return {"responseSchema": narrowed.schema}, narrowed.lost


def shape_of_arguments(schema: object, model_id: str) -> tuple[Schema, tuple[str, ...]]:
    """The same for a function's arguments; of one that has none there is nothing to say."""
    found = object_of(schema)
    rules = found.keys() & (_RULING - {"type", "properties", "required"} - _CLOSED)
    if not rules and "$ref" not in found and not object_of(found.get("properties")):
        return {}, ()
    if takes_json_schema(model_id):
        narrowed = as_json_schema(found)
        return {"parametersJsonSchema": narrowed.schema}, narrowed.lost
    narrowed = as_google_schema(found)
    return {"parameters": narrowed.schema}, narrowed.lost


def as_json_schema(schema: Schema) -> Narrowed:
    """The schema in the words that `responseJsonSchema` and `parametersJsonSchema` know."""
    writer = _JsonWriter(schema)
    written = writer.write(schema)
    return Narrowed(written, tuple(writer.lost))


def as_google_schema(schema: Schema) -> Narrowed:
    """The schema as Google's own `Schema`."""
    writer = _GoogleWriter(schema)
    written = writer.write(schema)
    return Narrowed(written, tuple(writer.lost))


class _Writer:
    """Writes one schema anew, word by word."""

    def __init__(self, root: Schema) -> None:
        self.lost: list[str] = []
        self._root = root
        self._nodes = 0
        self._merging: list[str] = []

    def write(self, schema: object) -> Schema:
        """One schema or what stands for one."""
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise InvalidBody("A JSON schema is too big to be put into Gemini's words.")
        if not isinstance(schema, dict):
            if schema is False:
                self._lose("false")
            return {}
        before = len(self._merging)
        written = self._written(self._without_all_of(schema))
        del self._merging[before:]
        return written

    def _written(self, schema: Schema) -> Schema:
        raise NotImplementedError

    def _lose(self, word: str) -> None:
        if word not in self.lost:
            self.lost.append(word)

    def _lose_rest(self, schema: Schema, known: frozenset[str]) -> None:
        for word in schema:
            if word in _RULING and word not in known:
                self._lose(word)

    def _resolved(self, reference: object) -> Schema | None:
        """What a reference within the schema means."""
        name = text_of(reference)
        if not name.startswith("#"):
            return None
        found: object = self._root
        for step in name[1:].split("/")[1:] if name != "#" else ():
            found = object_of(found).get(step.replace("~1", "/").replace("~0", "~"))
        return found if isinstance(found, dict) else None

    def _without_all_of(self, schema: Schema) -> Schema:
        """Its parts, which it has to be all of, in one."""
        parts = schema.get("allOf")
        if not isinstance(parts, list):
            return schema
        merged = {word: value for word, value in schema.items() if word != "allOf"}
        only = object_of(parts[0]) if len(parts) == 1 else {}
        rules = merged.keys() & _RULING
        if len(parts) == 1 and not rules:
            return only if "$ref" in only else {**merged, **only}
        if "$ref" in only and rules == {"nullable"}:
            # As generators for OpenAPI write what may be missing. Written out, a schema that leads back to
            # itself would have no end.
            nothing = [{"type": "null"}] if merged.pop("nullable") is True else []
            return {**merged, "anyOf": [only, *nothing]}
        outside = tuple(self._merging)
        for part in map(object_of, parts[:_MAX_REFERENCES]):
            if "$ref" in part:
                name = text_of(part["$ref"])
                if name in outside:
                    # Put together once more it would have no end.
                    self._lose("allOf")
                    return {"$ref": name}
                self._merging.append(name)
            found = self._followed(part)
            if found is None or "allOf" in found:
                self._lose("allOf")
                continue
            _merge(merged, found)
        return merged

    def _followed(self, schema: Schema) -> Schema | None:
        for _ in range(_MAX_REFERENCES):
            if "$ref" not in schema:
                return schema
            found = self._resolved(schema["$ref"])
            if found is None:
                return None
            schema = found
        return None

    def _required(self, schema: Schema) -> Schema:
        """`required`, but for what is no property, which Google refuses."""
        properties = object_of(schema.get("properties"))
        names = [
            name for name in list_of(schema.get("required")) if isinstance(name, str) and name in properties
        ]
        return {"required": names} if names else {}

    def _bounds(self, schema: Schema, words: tuple[str, ...]) -> Schema:
        written = {word: schema[word] for word in words if isinstance(schema.get(word), int | float | str)}
        for word, other, step in (("exclusiveMinimum", "minimum", 1), ("exclusiveMaximum", "maximum", -1)):
            bound = schema.get(word)
            if isinstance(bound, bool) or not isinstance(bound, int | float):
                continue
            if schema.get("type") == "integer" and isinstance(bound, int):
                written[other] = bound + step
            else:
                written.setdefault(other, bound)
                self._lose(word)
        return written

    def _each(self, schemas: object) -> list[Schema]:
        return [self.write(inner) for inner in list_of(schemas)]


_JSON_WORDS: Final = frozenset(
    {
        *("$id", "$anchor", "$defs", "definitions", "$ref", "type", "format", "description", "enum", "const"),
        *("items", "prefixItems", "anyOf", "oneOf", "properties", "additionalProperties", "required"),
        *("propertyOrdering", "nullable", "exclusiveMinimum", "exclusiveMaximum", "allOf", *_BOUNDS),
    }
)


class _JsonWriter(_Writer):
    """As models from 2.5 on take it."""

    def _written(self, schema: Schema) -> Schema:
        written: Schema = {
            word: schema[word] for word in ("$id", "$anchor") if isinstance(schema.get(word), str)
        }
        definitions = {**object_of(schema.get("definitions")), **object_of(schema.get("$defs"))}
        if definitions:
            written["$defs"] = {name: self.write(inner) for name, inner in definitions.items()}
        if isinstance(schema.get("$ref"), str):
            # Nothing may stand beside it but what begins with a `$`.
            self._lose_rest(
                schema, frozenset({"$id", "$anchor", "$defs", "definitions", "$ref", "description"})
            )
            return {**written, "$ref": schema["$ref"].replace("#/definitions/", "#/$defs/", 1)}
        self._lose_rest(schema, _JSON_WORDS)
        written |= {
            word: schema[word] for word in ("format", "description") if isinstance(schema.get(word), str)
        }
        written |= self._kind(schema) | self._bounds(schema, _BOUNDS) | self._required(schema)
        return written | self._inner(schema)

    def _kind(self, schema: Schema) -> Schema:
        kind = schema.get("type")
        kinds = [kind] if isinstance(kind, str) else [each for each in list_of(kind) if isinstance(each, str)]
        kinds = [each for each in kinds if each in _TYPES]
        written: Schema = {}
        values = [schema["const"]] if "const" in schema else schema.get("enum")
        if isinstance(values, list):
            plain = [
                each for each in values if isinstance(each, str | int | float) and not isinstance(each, bool)
            ]
            if plain:
                written["enum"] = plain
            if len(plain) < len([each for each in values if each is not None]):
                self._lose("const" if "const" in schema else "enum")
            if None in values:
                # Nothing among the values can be null; what may be is said by the type. Where others are lost
                # and no type says what they were, anything may be.
                told = kinds or [_KIND_OF[type(each)] for each in plain]
                others = [each for each in dict.fromkeys(told) if each != "null"]
                is_null = all(each is None for each in values)
                kinds = ["null"] if is_null else [*others, "null"] if others else []
        if schema.get("nullable") is True and kinds and "null" not in kinds:
            kinds = [*kinds, "null"]
        if kinds:
            written["type"] = kinds[0] if len(kinds) == 1 else kinds
        return written

    def _inner(self, schema: Schema) -> Schema:
        written: Schema = {}
        if isinstance(schema.get("properties"), dict):
            written["properties"] = {name: self.write(inner) for name, inner in schema["properties"].items()}
        ordering = schema.get("propertyOrdering")
        if isinstance(ordering, list) and all(isinstance(name, str) for name in ordering):
            written["propertyOrdering"] = ordering
        more = schema.get("additionalProperties")
        if isinstance(more, bool):
            written["additionalProperties"] = more
        elif isinstance(more, dict):
            written["additionalProperties"] = self.write(more)
        items = schema.get("items")
        if isinstance(items, dict):
            written["items"] = self.write(items)
        tuple_of = schema.get("prefixItems") or (items if isinstance(items, list) else None)
        if isinstance(tuple_of, list):
            written["prefixItems"] = self._each(tuple_of)
        for word in ("anyOf", "oneOf"):
            if isinstance(schema.get(word), list):
                written[word] = self._each(schema[word])
        return written


_GOOGLE_WORDS: Final = frozenset(
    {
        *("$id", "$anchor", "$defs", "definitions", "$ref", "type", "format", "description", "enum", "const"),
        *("items", "anyOf", "oneOf", "properties", "additionalProperties", "required", "propertyOrdering"),
        *("nullable", "exclusiveMinimum", "exclusiveMaximum", "allOf", *_BOUNDS, *_MORE_BOUNDS),
    }
)
_BESIDES: Final = frozenset({"properties", "items", "enum", *_BOUNDS, *_MORE_BOUNDS})
"""Words of a schema that say more than its type."""


class _GoogleWriter(_Writer):
    """As models before 2.5 take it."""

    def __init__(self, root: Schema) -> None:
        super().__init__(root)
        self._open: list[str] = []

    def _written(self, schema: Schema) -> Schema:
        if "$ref" in schema:
            return self._written_out(schema)
        self._lose_rest(schema, _GOOGLE_WORDS)
        written: Schema = {}
        if isinstance(schema.get("description"), str):
            written["description"] = schema["description"]
        written |= self._kind(schema)
        written |= self._bounds(schema, (*_BOUNDS, *_MORE_BOUNDS)) | self._required(schema)
        written |= self._format(schema, text_of(written.get("type"))) | self._inner(schema, written)
        return self._chosen(written) if "anyOf" in written else written

    def _chosen(self, written: Schema) -> Schema:
        """A choice, beside which nothing may stand: it goes where there is a type, else the rest does."""
        besides = [word for word in written if word in _BESIDES]
        if besides and "type" in written:
            self._lose("anyOf")
            del written["anyOf"]
            return written
        for word in besides:
            self._lose(word)
        nullable: Schema = {"nullable": True} if written.get("nullable") else {}
        return {"anyOf": [{**each, **nullable} for each in written["anyOf"]]}

    def _written_out(self, schema: Schema) -> Schema:
        """What stands behind a reference, in its place; one that leads back to itself cannot be."""
        reference = text_of(schema["$ref"])
        found = self._resolved(reference)
        if found is None or reference in self._open:
            self._lose("$ref")
            return {"type": "OBJECT"}
        self._open.append(reference)
        beside = {
            word: value for word, value in schema.items() if word not in ("$ref", "$defs", "definitions")
        }
        written = self.write({**found, **beside})
        self._open.pop()
        return written

    def _kind(self, schema: Schema) -> Schema:
        kind = schema.get("type")
        kinds = [kind] if isinstance(kind, str) else [each for each in list_of(kind) if isinstance(each, str)]
        written: Schema = {}
        if "null" in kinds or schema.get("nullable") is True:
            written["nullable"] = True
        kinds = [each.upper() for each in kinds if each.lower() in _TYPES and each != "null"]
        values = [schema["const"]] if "const" in schema else list_of(schema.get("enum"))
        if values:
            self._name_values(values, kinds, written)
        if len(kinds) > 1:
            written["anyOf"] = [{"type": each} for each in kinds]
        elif kinds:
            written["type"] = kinds[0]
        elif isinstance(schema.get("properties"), dict):
            written["type"] = "OBJECT"
        return written

    def _name_values(self, values: list[Any], kinds: list[str], written: Schema) -> None:
        if None in values:
            written["nullable"] = True
        told = [each for each in values if each is not None]
        if told and all(isinstance(each, str) for each in told):
            kinds[:] = ["STRING"]
            written["enum"] = told
        elif told:
            # Values of other types than texts have no place there.
            self._lose("enum")

    def _format(self, schema: Schema, kind: str) -> Schema:
        found = schema.get("format")
        if not isinstance(found, str):
            return {}
        if found in _FORMATS.get(kind, ()):
            return {"format": found}
        self._lose("format")
        return {}

    def _inner(self, schema: Schema, so_far: Schema) -> Schema:
        written: Schema = {}
        properties = schema.get("properties")
        if isinstance(properties, dict) and properties:
            written["properties"] = {name: self.write(inner) for name, inner in properties.items()}
            written["propertyOrdering"] = list(properties)
        if isinstance(schema.get("additionalProperties"), dict):
            self._lose("additionalProperties")
        items = schema.get("items")
        if isinstance(items, dict):
            written["items"] = self.write(items)
        elif so_far.get("type") == "ARRAY":
            # It must be said of what.
            self._lose("items")
            written["items"] = {"type": "STRING"}
        choices = [*list_of(schema.get("anyOf")), *list_of(schema.get("oneOf"))]
        if choices:
            written |= self._choice(choices)
        return written

    def _choice(self, choices: list[Any]) -> Schema:
        told = [choice for choice in choices if object_of(choice).get("type") != "null"]
        nullable: Schema = {"nullable": True} if len(told) < len(choices) else {}
        if len(told) == 1:
            return {**self.write(told[0]), **nullable}
        return {"anyOf": self._each(told), **nullable}


def _merge(merged: Schema, part: Schema) -> None:
    joins: dict[str, Callable[[Any, Any], Any]] = {
        "properties": lambda one, other: {**object_of(other), **object_of(one)},
        "required": lambda one, other: [
            *list_of(one),
            *(name for name in list_of(other) if name not in list_of(one)),
        ],
    }
    for word, value in part.items():
        if word in joins and word in merged:
            merged[word] = joins[word](merged[word], value)
        else:
            merged.setdefault(word, value)
