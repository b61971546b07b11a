"""What may pass of a path, a query and a redirect."""

from __future__ import annotations

import pytest

from gateway.endpoints.provider_path import (
    OwnParameters,
    check_path,
    join_url,
    models_in_query,
    own_location,
    read_query,
    rename_in_query,
    without_parameters,
    words_in,
)
from gateway.errors import InvalidPath


@pytest.mark.parametrize(
    "path", ["/", "/a", "/a/b:c@d/e%20f", "/a/", "/a.b/..c", "/ft:gpt-4o:org::x", "/a%3Bb"]
)
def test_good_paths(path: str) -> None:
    """Ids of all kinds pass as they are."""
    check_path(path)


@pytest.mark.parametrize(
    "path",
    [
        "", "a", "/..", "/a/../b", "/a/./b", "/a/%2e%2e/b", "/a/%2E./b", "/%252e%252e/b", "/a%2fb", "/a%5Cb",
        "/a\\b", "//a", "/a//b", "/..;x=1/b", "/a%00", "/a%0d%0ab", "/a b", "/a\x7f", "/\xe9", "/a?b", "/a#b",
        "/%2525252565", "/a%252fb",
    ],
)  # fmt: skip
def test_bad_paths(path: str) -> None:
    """What could lead elsewhere, for whatever reader."""
    with pytest.raises(InvalidPath):
        check_path(path)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/responses/resp_1/cancel", {"", "responses", "resp_1", "cancel"}),
        ("/responses/resp%5F1", {"", "responses", "resp_1"}),
        ("/responses/resp%255F1;a=b", {"", "responses", "resp%5F1;a=b", "resp%5F1", "resp_1"}),
        ("/responses/resp_1%253Ba", {"", "responses", "resp_1%3Ba", "resp_1"}),
        ("/responses/resp_1%20", {"", "responses", "resp_1 ", "resp_1"}),
    ],
)
def test_words(path: str, words: set[str]) -> None:
    """An id is found however a server behind may come to it."""
    assert set(words_in(path)) == words


@pytest.mark.parametrize(
    ("query", "own"),
    [
        ("", OwnParameters("")),
        ("a=1&b=%20&a=2", OwnParameters("a=1&b=%20&a=2")),
        ("a=1&tfyProviderName=main&b", OwnParameters("a=1&b", account="main")),
        ("tfyModelName=main%2Fx+y", OwnParameters("", model="main/x y")),
        ("tfy%4dodelName=m", OwnParameters("", model="m")),
        ("tfyOther=1", OwnParameters("tfyOther=1")),
    ],
)
def test_query(query: str, own: OwnParameters) -> None:
    """Ours are taken out, the rest stays as it was written."""
    assert read_query(query) == own


@pytest.mark.parametrize("query", ["a b", "a\r\nb", "\xe9", "a#b"])
def test_bad_query(query: str) -> None:
    """A query cannot become a line of its own."""
    with pytest.raises(InvalidPath):
        read_query(query)


def test_rename_in_query() -> None:
    """Only the model changes, and only if it has another name."""
    assert rename_in_query("a=%20&model=main%2Fx&b=1", lambda _: "x y") == "a=%20&model=x+y&b=1"
    assert rename_in_query("model=main%2Fx&model=", lambda name: name) == "model=main%2Fx&model="


@pytest.mark.parametrize(
    ("query", "rest"),
    [
        ("", ""),
        ("beta=true", "beta=true"),
        ("beta=true&model=x&a=%20", "beta=true&a=%20"),
        ("mod%65l=x", ""),
        ("models=x&Model=y&amodel=z", "models=x&Model=y&amodel=z"),
    ],
)
def test_without_parameters(query: str, rest: str) -> None:
    """Only the member of that name goes, however it is written; all else stays as it was."""
    assert without_parameters(query, frozenset({"model"})) == rest


@pytest.mark.parametrize(
    ("base_url", "path", "query", "url"),
    [
        ("https://h/v1", "/files", "", "https://h/v1/files"),
        ("https://h/v1", "/files", "a=1", "https://h/v1/files?a=1"),
        ("https://h/v1", "/v1/files", "", "https://h/v1/files"),
        ("https://h/v1", "/v1", "", "https://h/v1"),
        ("https://h/v1", "/v10/files", "", "https://h/v1/v10/files"),
        ("https://h", "/v1/files", "", "https://h/v1/files"),
    ],
)
def test_join(base_url: str, path: str, query: str, url: str) -> None:
    """Below the base URL, whose last segment may be repeated."""
    assert join_url(base_url, path, query) == url


@pytest.mark.parametrize(
    ("query", "models"),
    [
        ("", []),
        ("a=1", []),
        ("model=main%2Fsmall&a=1", ["main/small"]),
        ("mod%65l=a+b&model=c", ["a b", "c"]),
        ("model=&model", []),
        ("models=x", []),
    ],
)
def test_models_in_a_query(query: str, models: list[str]) -> None:
    """Those that it would be renamed for, unescaped."""
    assert models_in_query(query) == models
    seen: list[str] = []

    def keep(model: str) -> str:
        seen.append(model)
        return model

    assert rename_in_query(query, keep) == query
    assert seen == models


@pytest.mark.parametrize(
    ("location", "own"),
    [
        ("https://h/v1/files/f?x=1", "/api/llm/v1/files/f?x=1"),
        ("/v1/files/f", "/api/llm/v1/files/f"),
        ("https://h/v2/files", None),
        ("http://h/v1/files", None),
        ("https://h:444/v1/files", None),
        ("https://user@h/v1/files", None),
        ("https://other/v1/files", None),
        ("//other/v1/files", None),
        ("files/f", None),
        ("/v1/../x", None),
        ("/v1x/files", None),
        ("/v1/f?a=b c", None),
        ("javascript:x", None),
        ("https://[h/v1/files", None),
    ],
)
def test_location(location: str, own: str | None) -> None:
    """A redirect leads back to the gateway or nowhere."""
    assert own_location(location, base_url="https://h/v1", prefix="/api/llm/v1") == own
