"""Paths of Google's APIs: what is asked, and where it is at an account."""

from __future__ import annotations

import pytest

from gateway.endpoints.gemini_catalogue import ARRAY, CALLS, COUNT, GENERATE, MODEL, MODELS, PASSED, STREAM
from gateway.endpoints.gemini_paths import (
    GeminiPath,
    Place,
    base_of,
    base_of_unlisted,
    find_key,
    find_signature,
    is_googles,
    model_path,
    place,
    place_of_model,
    read_gemini_path,
    speaks_google,
    without_credentials,
)
from gateway.model import Endpoint
from tests.unit.makers import make_target

GEMINI = "https://generativelanguage.googleapis.com/v1beta"
GEMINI_ROOT = "https://generativelanguage.googleapis.com"
VERTEX_ROOT = "https://europe-west1-aiplatform.googleapis.com"
OWN = "/projects/mine/locations/europe-west1"
VERTEX = f"{VERTEX_ROOT}/v1{OWN}/publishers/google"
THEIRS = "/projects/theirs/locations/us-central1"


def read(path: str, query: str = "", account: str = "main") -> GeminiPath:
    return read_gemini_path(account, f"/gemini/{account}/proxy", path, query)


@pytest.mark.parametrize(
    ("path", "model", "publisher"),
    [
        ("/v1beta/models/gemini-2.5-flash:generateContent", "gemini-2.5-flash", ""),
        ("/v1/models/gemini-2.5-flash:generateContent", "gemini-2.5-flash", ""),
        ("/models/gemini-2.5-flash:generateContent", "gemini-2.5-flash", ""),
        ("/v1beta/models/a%20b%3AgenerateContent", "a b", ""),
        ("/v1beta/models/main/flash:generateContent", "main/flash", ""),
        ("/v1beta/tunedModels/mine-1:generateContent", "tunedModels/mine-1", ""),
        (f"/v1beta1{THEIRS}/publishers/google/models/flash:generateContent", "flash", "google"),
        ("/v1beta1/publishers/main/models/flash:generateContent", "flash", "main"),
        (f"/v1{THEIRS}/endpoints/123:generateContent", "endpoints/123", ""),
        (f"/v1{THEIRS}/publishers/meta/models/llama%40001:generateContent", "llama@001", "meta"),
    ],
)
def test_a_call_of_a_model(path: str, model: str, publisher: str) -> None:
    """Of either API, in any version, the model is found, and so is what is wanted of it."""
    found = read(path)
    assert (found.endpoint, found.is_call) == (GENERATE, True)
    assert (found.model, found.publisher) == (model, publisher)


@pytest.mark.parametrize("verb", sorted(CALLS))
def test_every_call(verb: str) -> None:
    """Each word of the table is a call of its model."""
    found = read(f"/v1beta/models/m:{verb}", "alt=sse")
    assert (found.endpoint, found.is_call, found.model) == (CALLS[verb], True, "m")


@pytest.mark.parametrize(
    ("query", "endpoint"),
    [
        ("alt=sse", STREAM),
        ("a=1&alt=sse&b", STREAM),
        ("%24alt=sse", STREAM),
        ("%61lt=sse", STREAM),
        ("", ARRAY),
        ("alt=json", ARRAY),
        ("%24alt=json%3Benum-encoding%3Dint", ARRAY),
        ("x=alt&y=sse", ARRAY),
    ],
)
def test_form_of_a_stream(query: str, endpoint: Endpoint) -> None:
    """It comes as events to who asks for them, else as one array."""
    assert read("/v1beta/models/m:streamGenerateContent", query).endpoint is endpoint


@pytest.mark.parametrize(
    ("path", "name", "service"),
    [
        ("/v1beta/models", "models", ""),
        ("/v1beta1/publishers/google/models", "models", ""),
        ("/v1beta/models/gemini-2.5-flash", "models", ""),
        ("/upload/v1beta/files", "files", "/upload"),
        ("/resumable/upload/v1beta/files", "files", "/resumable/upload"),
        ("/v1beta/files/abc:download", "files", ""),
        ("/v1beta/files:register", "files", ""),
        (f"/v1{THEIRS}/cachedContents/7", "cachedContents", ""),
        ("/v1beta/interactions", "interactions", ""),
        ("/v1beta/models/m:batchGenerateContent", "proxy", ""),
        ("/v1beta/models/m:predictLongRunning", "proxy", ""),
        ("/upload/v1beta/models/m:generateContent", "proxy", "/upload"),
        ("/v1beta/something/new", "proxy", ""),
        ("/", "proxy", ""),
        ("", "proxy", ""),
        ("nonsense", "proxy", ""),
    ],
)
def test_no_call(path: str, name: str, service: str) -> None:
    """All else is passed on, and named after its first word where that is known."""
    found = read(path)
    assert (found.is_call, found.endpoint.name, found.service) == (False, name, service)
    assert (found.path, found.endpoint.route.startswith("/gemini/{account}/proxy/")) == (path, True)


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("/v1beta/models/flash:countTokens", ["flash"]),
        ("/v1beta/models/main/flash:countTokens", ["main/flash", "flash"]),
        ("/v1/publishers/google/models/flash:countTokens", ["google/flash", "flash"]),
        ("/v1/publishers/main/models/flash:countTokens", ["flash"]),
    ],
)
def test_names(path: str, names: list[str]) -> None:
    """A model may be written with its account, as with its publisher."""
    assert list(read(path).names()) == names


@pytest.mark.parametrize(
    ("path", "at_gemini", "at_vertex"),
    [
        ("/v1beta/files/a", "/v1beta/files/a", f"/v1{OWN}/files/a"),
        ("/v1/files", "/v1/files", f"/v1{OWN}/files"),
        ("/v1alpha/files", "/v1alpha/files", f"/v1{OWN}/files"),
        ("/upload/v1beta/files", "/upload/v1beta/files", f"/upload/v1{OWN}/files"),
        (f"/v1beta1{THEIRS}/cachedContents", "/v1beta/cachedContents", f"/v1beta1{OWN}/cachedContents"),
        ("/v1beta1/projects/theirs/x", "/v1beta/x", "/v1beta1/projects/mine/x"),
        ("/v1beta1/publishers/google/models", "/v1beta/models", "/v1beta1/publishers/google/models"),
        ("/v1beta/models", "/v1beta/models", "/v1/publishers/google/models"),
        (
            f"/v1{THEIRS}/publishers/google/models/m:batchGenerateContent",
            "/v1/models/m:batchGenerateContent",
            f"/v1{OWN}/publishers/google/models/m:batchGenerateContent",
        ),
    ],
)
def test_place(path: str, at_gemini: str, at_vertex: str) -> None:
    """Either API's path leads to the account's own, project and region being the account's."""
    assert place(read(path), GEMINI) == Place(GEMINI_ROOT, at_gemini)
    assert place(read(path), VERTEX) == Place(VERTEX_ROOT, at_vertex)


@pytest.mark.parametrize(
    ("path", "model_id", "base_url", "expected"),
    [
        ("/v1/models/m", "gemini-x", VERTEX, "/v1/publishers/google/models/gemini-x"),
        ("/v1/publishers/anthropic/models/m", "claude", VERTEX, "/v1/publishers/anthropic/models/claude"),
        ("/v1/models/m", "endpoints/12", VERTEX, f"/v1{OWN}/endpoints/12"),
        (f"/v1{THEIRS}/publishers/google/models/m", "endpoints/12", VERTEX, f"/v1{OWN}/endpoints/12"),
        ("/v1beta/models/m", "gemini-x", GEMINI, "/v1beta/models/gemini-x"),
        ("/v1beta/models/m", "tunedModels/t", GEMINI, "/v1beta/tunedModels/t"),
        ("/v1beta/models/m:predictLongRunning", "veo-3", GEMINI, "/v1beta/models/veo-3:predictLongRunning"),
        (
            f"/v1{THEIRS}/publishers/google/models/a%2Fm:predictLongRunning",
            "veo-3",
            VERTEX,
            f"/v1{OWN}/publishers/google/models/veo-3:predictLongRunning",
        ),
    ],
)
def test_place_of_a_model(path: str, model_id: str, base_url: str, expected: str) -> None:
    """A tuned model is no publisher's."""
    assert place_of_model(read(path), model_id, base_url).path == expected


def test_place_at_an_endpoint_and_behind_a_path() -> None:
    """What is before the version stays, and what a model has behind the region goes."""
    assert place(read("/v1/cachedContents"), f"{VERTEX_ROOT}/x/v1{OWN}/endpoints/openapi") == Place(
        f"{VERTEX_ROOT}/x", f"/v1{OWN}/cachedContents"
    )
    assert place(read("/files"), "https://mirror.test/google/v1beta") == Place(
        "https://mirror.test/google", "/v1beta/files"
    )
    assert place(read("/v1beta/files"), "https://mirror.test/latest") == Place(
        "https://mirror.test/latest", "/files"
    )


@pytest.mark.parametrize(
    ("base_url", "version", "expected"),
    [
        (GEMINI, "v1alpha", f"{GEMINI_ROOT}/v1alpha"),
        (GEMINI, "v1beta", GEMINI),
        (GEMINI, "v1beta1", GEMINI),
        (GEMINI, "", GEMINI),
        (VERTEX, "v1beta1", f"{VERTEX_ROOT}/v1beta1{OWN}/publishers/google"),
        (VERTEX, "v1beta", VERTEX),
        ("https://mirror.test/latest", "v1", "https://mirror.test/latest"),
    ],
)
def test_version(base_url: str, version: str, expected: str) -> None:
    """A model is called in the version that was asked for, if its API has that."""
    path = f"/{version}/models/m:generateContent" if version else "/models/m:generateContent"
    assert base_of(read(path), base_url) == expected


@pytest.mark.parametrize(
    ("path", "base_url", "expected"),
    [
        ("/v1/models/m:generateContent", GEMINI, f"{GEMINI_ROOT}/v1"),
        ("/v1beta/tunedModels/t:generateContent", GEMINI, GEMINI),
        (
            f"/v1{THEIRS}/publishers/meta/models/m:generateContent",
            VERTEX,
            f"{VERTEX_ROOT}/v1{OWN}/publishers/meta",
        ),
        (f"/v1{THEIRS}/endpoints/1:generateContent", VERTEX, f"{VERTEX_ROOT}/v1{OWN}"),
    ],
)
def test_base_of_an_unlisted_model(path: str, base_url: str, expected: str) -> None:
    """With the model's own path behind it, it is the place that was asked for."""
    asked = read(path)
    assert base_of_unlisted(asked, base_url) == expected
    found = place(asked, base_url)
    model_id = asked.model
    assert base_of_unlisted(asked, base_url) + model_path(GENERATE, model_id) == found.root + found.path


@pytest.mark.parametrize(
    ("endpoint", "model_id", "expected"),
    [
        (STREAM, "m", "/models/m:streamGenerateContent"),
        (ARRAY, "m@1", "/models/m@1:streamGenerateContent"),
        (COUNT, "tunedModels/t", "/tunedModels/t:countTokens"),
        (COUNT, "a:b c", "/models/a%3Ab%20c:countTokens"),
    ],
)
def test_model_path(endpoint: Endpoint, model_id: str, expected: str) -> None:
    """The id is escaped, and stands where its kind does."""
    assert model_path(endpoint, model_id) == expected


@pytest.mark.parametrize(
    ("query", "key", "rest"),
    [
        ("", "", ""),
        ("alt=sse", "", "alt=sse"),
        ("key=abc", "abc", ""),
        ("alt=sse&key=a%2Bb&x=1", "a+b", "alt=sse&x=1"),
        ("%6Bey=abc&alt=sse", "abc", "alt=sse"),
        ("access_token=t&oauth_token=u&alt=sse", "", "alt=sse"),
        ("key=&monkey=1", "", "monkey=1"),
        ("tfySigned=s&key=k&upload_id=1", "k", "upload_id=1"),
    ],
)
def test_credentials_in_a_query(query: str, key: str, rest: str) -> None:
    """A key is read, however it is escaped, and no credential goes on."""
    assert (find_key(query), without_credentials(query)) == (key, rest)
    assert find_signature(query) == ("s" if "tfySigned" in query else "")


def test_whose() -> None:
    """An account is Google's by what it speaks or by where it is, and so is a host."""
    assert speaks_google(make_target(dialect="gemini"))
    assert speaks_google(
        make_target(dialect="anthropic", base_url=f"{VERTEX_ROOT}/v1{OWN}/publishers/anthropic")
    )
    assert not speaks_google(make_target(base_url="https://api.openai.com/v1"))
    assert is_googles("generativelanguage.googleapis.com")
    assert not is_googles("googleapis.com.evil.test")


def test_models_are_told_apart() -> None:
    """The list of models is one thing and a model another."""
    assert read("/v1beta/models").endpoint is MODELS
    assert read("/v1beta/models/m").endpoint is MODEL
    assert read("/v1beta/new").endpoint is PASSED
