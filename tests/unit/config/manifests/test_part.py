"""The field types that every manifest is made of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from gateway.config.manifests.part import (
    AccountName,
    Amount,
    BaseUrl,
    Count,
    Flag,
    HeaderName,
    Headers,
    IntegrationName,
    Label,
    Manifest,
    Part,
    PositiveCount,
    Ratio,
    Secret,
    SecretDocument,
    Source,
    Token,
    Url,
)
from gateway.config.secrets import SecretKind


def refusal(kind: Any, value: Any) -> str:
    """What the type says to *value*; pydantic's own kind of error where it is not ours."""
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(kind).validate_python(value)
    [error] = caught.value.errors()
    return str(error["ctx"]["what"]) if error["type"] == "manifest" else str(error["type"])


def test_null_is_not_written() -> None:
    """`base_url:` with nothing behind it is the default, not an error."""

    class Example(Part):
        a: int = 7

    assert Example.model_validate({"a": None}).a == 7


def test_errors_hide_the_input() -> None:
    """Should one ever be printed as it is."""

    class Example(Part):
        a: int

    with pytest.raises(ValidationError) as caught:
        Example.model_validate({"a": "canary"})
    assert "canary" not in str(caught.value)


def test_a_manifest_has_a_source() -> None:
    """Set once, by who read it."""
    manifest = Manifest()
    manifest.written_in(Source(Path("/c/m.yaml"), 3))
    assert (manifest.source.line, manifest.source.folder) == (3, Path("/c"))


@pytest.mark.parametrize("name", ["openai-main", "a.b_c", "A1"])
def test_account_names(name: str) -> None:
    """What stands before the first `/` of a model's name."""
    assert TypeAdapter(AccountName).validate_python(name) == name


@pytest.mark.parametrize("name", ["a/b", "a:b", "a b", "ü", "a\n"])
def test_names_that_are_none_of_an_account(name: str) -> None:
    """`/` would split elsewhere, `:` would break resource names, the rest does not fit in a header."""
    assert refusal(AccountName, name).startswith("an account's name must be ASCII")


@pytest.mark.parametrize("name", ["gpt-4o", "meta/llama-3:70b", "a+b@c"])
def test_integration_names(name: str) -> None:
    """May hold `/` and `:`, as the names of open models do."""
    assert TypeAdapter(IntegrationName).validate_python(name) == name


@pytest.mark.parametrize("name", ["a b", "ü", "a\x7f"])
def test_names_that_are_none_of_an_integration(name: str) -> None:
    """It is sent back in a header."""
    assert refusal(IntegrationName, name) == "a model's name must be ASCII without spaces"


def test_labels() -> None:
    """Any printable text."""
    assert TypeAdapter(Label).validate_python("Équipe 1") == "Équipe 1"
    for name in (" a", "a\n", "a\tb", "   "):
        assert refusal(Label, name) == "a name must be printable text without space around it"
    assert refusal(Label, "x" * 129) == "string_too_long"


@pytest.mark.parametrize(
    "url",
    [
        "https://api.openai.com/v1",
        "http://localhost:8000/v1",
        "http://[::1]:8000",
        "http://10.0.0.1",
        "HTTPS://Host/",
    ],
)
def test_urls(url: str) -> None:
    """Of HTTP, with a host; taken as written."""
    assert TypeAdapter(Url).validate_python(url) == url


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("api.openai.com/v1", "not a URL that can be called"),
        ("ftp://host/", "not a URL that can be called"),
        ("http://", "not a URL that can be called"),
        ("http:///v1", "not a URL that can be called"),
        ("http://host:99999/", "not a URL that can be called"),
        ("http://host:x/", "not a URL that can be called"),
        ("http://host:0/", "not a URL that can be called"),
        ("http://[::1/", "not a URL that can be called"),
        ("http://host/a b", "not a URL that can be called"),
        ("http://host/ü", "not a URL that can be called"),
        ("http://host/\nx", "not a URL that can be called"),
        ("http://user:canary@host/", "the URL holds credentials"),
        ("http://canary@host/", "the URL holds credentials"),
        ("http://host/#part", "a '#' part of a URL is never sent"),
        ("", "string_too_short"),
    ],
)
def test_what_is_no_url(url: str, message: str) -> None:
    """Each for its reason."""
    assert refusal(Url, url) == message


def test_base_urls() -> None:
    """Paths are added to them: no slash at the end, no question."""
    assert TypeAdapter(BaseUrl).validate_python("http://h/v1/") == "http://h/v1"
    assert (
        refusal(BaseUrl, "http://h/v1?version=1")
        == "a base URL takes no '?' part, because paths are added to it"
    )
    assert TypeAdapter(Url).validate_python("http://h/v1?version=1") == "http://h/v1?version=1"


def test_headers() -> None:
    """Names that HTTP allows, each once, none that the client sets; values are references."""
    headers = TypeAdapter(Headers).validate_python({"X-Team": "ml", "Authorization": "ApiKey env:KEY"})
    assert headers["Authorization"].kind is SecretKind.ENV
    assert headers["Authorization"].prefix == "ApiKey "
    assert refusal(Headers, {"x team": "ml"}) == "holds a header name that HTTP does not allow"
    assert refusal(Headers, {"x-a\r\nx-b": "ml"}) == "holds a header name that HTTP does not allow"
    assert refusal(Headers, {"Content-Length": "1"}) == "'content-length' is set by the gateway itself"
    assert refusal(Headers, {"X-A": "1", "x-a": "2"}) == "'x-a' is written twice (header names have no case)"
    assert refusal(Headers, {"x-a": "1\r\nx-b: 2"}) == (
        "holds a line break, another control character or space at an end"
    )


def test_header_names() -> None:
    """In lower case, and none that the client sets."""
    assert TypeAdapter(HeaderName).validate_python("X-Debug") == "x-debug"
    assert refusal(HeaderName, "x debug") == "not a header name that HTTP allows"
    assert refusal(HeaderName, "Transfer-Encoding") == "'transfer-encoding' is set by the gateway itself"


def test_secrets() -> None:
    """References; a hash only where it is compared, not sent."""
    assert TypeAdapter(Secret).validate_python("env:A").kind is SecretKind.ENV
    assert TypeAdapter(Token).validate_python("sha256:" + "0" * 64).kind is SecretKind.SHA256
    assert refusal(Secret, "sha256:" + "0" * 64) == "'sha256:' works for tokens only: a hash cannot be sent"
    assert refusal(Secret, "env:1") == "'env:' is not followed by the name of an environment variable"
    assert refusal(Secret, "literal\n") == "holds a line break, another control character or space at an end"
    assert refusal(Secret, 7) == "string_type"
    assert refusal(Secret, "") == "string_too_short"
    # A reference after a word is for headers; elsewhere it would be a literal with a space in it.
    assert TypeAdapter(Secret).validate_python("Bearer env:A").kind is SecretKind.LITERAL


def test_documents() -> None:
    """A reference, or the document itself as text or mapping; what is read once can be read again."""
    adapter: TypeAdapter[Any] = TypeAdapter(SecretDocument)
    assert adapter.validate_python("file:key.json").kind is SecretKind.FILE
    for literal in ('{"a": 1}\n', {"a": 1}):
        reference = adapter.validate_python(literal)
        assert (reference.kind, reference.is_document) == (SecretKind.LITERAL, True)
        assert adapter.validate_python(reference) is reference
        assert adapter.dump_python(reference) == "***"
    nothing: list[Any] = [None, "", {}, 7, ["a"]]
    for written in nothing:
        assert refusal(SecretDocument, written) == "not a reference to a document and no document"
    assert refusal(SecretDocument, "env:") == "'env:' is not followed by the name of an environment variable"
    assert "a hash cannot be sent" in refusal(SecretDocument, "sha256:" + "a" * 64)
    assert {"type": "object"} in adapter.json_schema()["anyOf"]


def test_a_secret_is_masked_when_dumped() -> None:
    """Whatever serialises a manifest shows none."""

    class Example(Part):
        key: Secret

    assert Example.model_validate({"key": "canary"}).model_dump_json() == '{"key":"***"}'


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        pytest.param(Flag, 1, "bool_type", id="number for truth"),
        pytest.param(Flag, "yes", "bool_type", id="text for truth"),
        pytest.param(Count, True, "int_type", id="truth for number"),
        pytest.param(Count, "5", "int_type", id="text for number"),
        pytest.param(Count, 1.0, "int_type", id="fraction for number"),
        pytest.param(Count, -1, "greater_than_equal", id="below zero"),
        pytest.param(PositiveCount, 0, "greater_than", id="zero"),
        pytest.param(Amount, "1", "float_type", id="text for amount"),
        pytest.param(Amount, -0.1, "greater_than_equal", id="negative amount"),
        pytest.param(Ratio, 1.1, "less_than_equal", id="more than all"),
    ],
)
def test_numbers_are_not_guessed(kind: Any, value: Any, expected: str) -> None:
    """Python takes True for 1 and pydantic "5" for 5; here both are slips."""
    assert refusal(kind, value) == expected


def test_whole_amounts() -> None:
    """A price of 1 needs no point."""
    assert TypeAdapter(Amount).validate_python(1) == 1.0
