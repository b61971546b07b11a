"""What every manifest is made of: the base class, and field types that check more than Python's own.

A validator raises `wrong(what, fix)`; neither text may quote the value, which could be a secret in the
wrong place.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

import msgspec
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PlainSerializer,
    Strict,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from gateway.config.document import folder_of
from gateway.config.field_meanings import meanings_of
from gateway.config.secrets import SecretKind, SecretReference

_VISIBLE: Final = re.compile(r"[!-~]+")
HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_MAX_NAME_LENGTH: Final = 128
# Set by the HTTP client from the body and the URL; a second value would break the request.
_OWN_HEADERS: Final = frozenset(
    {
        "host",
        "connection",
        "content-length",
        "content-type",
        "content-encoding",
        "transfer-encoding",
        "te",
        "upgrade",
    }
)


def wrong(what: str, fix: str) -> PydanticCustomError:
    """The error for a validator to raise: *what* follows "FIELD: ", *fix* is a sentence without full stop."""
    return PydanticCustomError("manifest", "{what}", {"what": what, "fix": fix})


class Part(BaseModel):
    """A mapping inside a manifest: unknown fields are left out (and warned of), `null` means not written."""

    # Few configurations have manifests of every type, so a model is built when the first one is read.
    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True, defer_build=True)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler, /
    ) -> JsonSchemaValue:
        """With what the fields mean."""
        shown = handler(schema)
        fields = handler.resolve_ref_schema(shown)["properties"]
        for name, meaning in meanings_of(cls).items():
            fields[name]["description"] = meaning
        return shown

    @model_validator(mode="before")
    @classmethod
    def _drop_nulls(cls, value: Any) -> Any:
        if isinstance(value, dict) and None in value.values():
            return {key: item for key, item in value.items() if item is not None}
        return value


class Source(msgspec.Struct, frozen=True):
    """Where a manifest was written.

    Attributes:
        line: From 1.
    """

    file: Path
    line: int

    @property
    def folder(self) -> Path:
        """What the manifest's relative paths and `file:` references start at."""
        return folder_of(self.file)


_NOWHERE: Final = Source(Path("manifest.yaml"), 1)


class Manifest(Part):
    """A whole manifest."""

    # No private attribute of pydantic's: to make one, and to read it, takes a microsecond each.
    __slots__ = ("_source",)

    @property
    def source(self) -> Source:
        """Where it was written."""
        source: Source = getattr(self, "_source", _NOWHERE)
        return source

    def written_in(self, source: Source) -> None:
        """Note where the manifest was written; called once, by whoever made it from a document."""
        object.__setattr__(self, "_source", source)


def _none_if_empty(names: tuple[str, ...] | None) -> tuple[str, ...] | None:
    return names or None


def _check_label(text: str) -> str:
    if not text.strip() or text != text.strip() or not text.isprintable():
        raise wrong("a name must be printable text without space around it", "Choose another name")
    return text


def _check_account_name(text: str) -> str:
    if not _VISIBLE.fullmatch(text) or "/" in text or ":" in text:
        raise wrong(
            "an account's name must be ASCII without space, '/' and ':' (models are named <account>/<model>)",
            "Use letters, digits, '-', '_' and '.'",
        )
    return text


def _check_integration_name(text: str) -> str:
    if not _VISIBLE.fullmatch(text):
        raise wrong("a model's name must be ASCII without spaces", "Use letters, digits and -_.:/")
    return text


def _check_url(text: str) -> str:
    try:
        parts = urlsplit(text)
        is_web = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_web = False
    if not is_web or not _VISIBLE.fullmatch(text):
        raise wrong("not a URL that can be called", "Write it as https://host[:port]/path")
    if parts.username is not None or parts.password is not None:
        raise wrong("the URL holds credentials", "Move them to auth_data or headers, as a secret reference")
    if parts.fragment:
        raise wrong("a '#' part of a URL is never sent", "Remove it")
    return text


def _check_grpc_url(text: str) -> str:
    """As SDKs take it: `host:port` alone means TLS."""
    return _check_url(text if "://" in text else f"https://{text}")


def _check_base_url(text: str) -> str:
    _check_url(text)
    if urlsplit(text).query:
        raise wrong("a base URL takes no '?' part, because paths are added to it", "Remove the '?' part")
    return text.rstrip("/")


def _check_header_name(name: str) -> str:
    if not HEADER_NAME.fullmatch(name):
        raise wrong("not a header name that HTTP allows", "Use letters, digits and '-'")
    if name.lower() in _OWN_HEADERS:
        raise wrong(f"'{name.lower()}' is set by the gateway itself", "Remove that header")
    return name.lower()


def _check_attribute_names(attributes: dict[str, str]) -> dict[str, str]:
    if not all(name.strip() for name in attributes):
        # Elasticsearch takes no field without a name, and refuses the whole span or data point that has one.
        raise wrong("holds an attribute without a name", "Name it, or remove it")
    return attributes


def _check_header_names(headers: dict[str, SecretReference]) -> dict[str, SecretReference]:
    seen: set[str] = set()
    for name in headers:
        if not HEADER_NAME.fullmatch(name):
            raise wrong("holds a header name that HTTP does not allow", "Use letters, digits and '-'")
        if name.lower() in _OWN_HEADERS:
            raise wrong(f"'{name.lower()}' is set by the gateway itself", "Remove that header")
        if name.lower() in seen:
            raise wrong(f"'{name.lower()}' is written twice (header names have no case)", "Keep one of them")
        seen.add(name.lower())
    return headers


_REFERENCE_FIX: Final = "Write env:NAME, file:PATH or tfy-secret://OWNER:GROUP:KEY"
_HASH_FIX: Final = "Write what printf %s \"$TOKEN\" | sha256sum prints, without the '-' behind it"


class _SecretSchema:
    """Makes a `SecretReference` of text, and shows its place in the JSON Schema without an example."""

    def __init__(self, *, is_header: bool, may_be_hash: bool) -> None:
        self._is_header = is_header
        self._may_be_hash = may_be_hash

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._read, core_schema.str_schema(min_length=1))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"type": "string", "format": "secret", "minLength": 1, "title": "Secret reference"}

    def _read(self, text: str) -> SecretReference:
        try:
            reference = SecretReference.in_header(text) if self._is_header else SecretReference(text)
        except ValueError as error:
            is_hash = self._may_be_hash and text.startswith("sha256:")
            raise wrong(str(error), _HASH_FIX if is_hash else _REFERENCE_FIX) from None
        if reference.kind is SecretKind.SHA256 and not self._may_be_hash:
            raise wrong(
                "'sha256:' works for tokens only: a hash cannot be sent", "Write env:NAME or file:PATH"
            )
        if reference.is_literal and (_CONTROL.search(text) or text != text.strip()):
            raise wrong(
                "holds a line break, another control character or space at an end", "Write it on one line"
            )
        return reference


class _DocumentSchema:
    """The same of a text or a mapping, for a secret that is a whole document."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self._read)

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        kinds = [{"type": "string", "minLength": 1}, {"type": "object"}]
        return {"anyOf": kinds, "format": "secret", "title": "Secret reference"}

    def _read(self, value: Any) -> SecretReference:
        if isinstance(value, SecretReference):
            return value
        if not value or not isinstance(value, str | dict):
            raise wrong(
                "not a reference to a document and no document",
                "Write env:NAME, file:PATH, or the JSON itself",
            )
        try:
            reference = SecretReference.of_document(value)
        except ValueError as error:
            raise wrong(str(error), _REFERENCE_FIX) from None
        if reference.kind is SecretKind.SHA256:
            raise wrong(
                "'sha256:' works for tokens only: a hash cannot be sent", "Write env:NAME or file:PATH"
            )
        return reference


_masked: Final = PlainSerializer(str, return_type=str)

Secret = Annotated[SecretReference, _SecretSchema(is_header=False, may_be_hash=False), _masked]
HeaderValue = Annotated[SecretReference, _SecretSchema(is_header=True, may_be_hash=False), _masked]
Token = Annotated[SecretReference, _SecretSchema(is_header=False, may_be_hash=True), _masked]
SecretDocument = Annotated[SecretReference, _DocumentSchema(), _masked]
Headers = Annotated[dict[str, HeaderValue], AfterValidator(_check_header_names)]
HeaderName = Annotated[str, Field(min_length=1), AfterValidator(_check_header_name)]
"""In lower case."""

Attributes = Annotated[dict[str, str], AfterValidator(_check_attribute_names)]
Text = Annotated[str, Field(min_length=1)]
Patterns = Annotated[tuple[Text, ...] | None, AfterValidator(_none_if_empty)]
"""Of names that a rule is about, None for all. TrueFoundry writes `[]` for all in rules that it gives out."""
Label = Annotated[str, Field(min_length=1, max_length=_MAX_NAME_LENGTH), AfterValidator(_check_label)]
AccountName = Annotated[
    str, Field(min_length=1, max_length=_MAX_NAME_LENGTH), AfterValidator(_check_account_name)
]
IntegrationName = Annotated[
    str, Field(min_length=1, max_length=_MAX_NAME_LENGTH), AfterValidator(_check_integration_name)
]
Url = Annotated[str, Field(min_length=1), AfterValidator(_check_url)]
GrpcUrl = Annotated[str, Field(min_length=1), AfterValidator(_check_grpc_url)]
BaseUrl = Annotated[str, Field(min_length=1), AfterValidator(_check_base_url)]
# Python takes True for 1 and pydantic "5" for 5; in a manifest both are slips.
Flag = Annotated[bool, Strict()]
Count = Annotated[int, Strict(), Field(ge=0)]
PositiveCount = Annotated[int, Strict(), Field(gt=0)]
Amount = Annotated[float, Strict(), Field(ge=0, allow_inf_nan=False)]
Ratio = Annotated[float, Strict(), Field(ge=0, le=1, allow_inf_nan=False)]
